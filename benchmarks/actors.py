"""One run in several actors: env steps per second, what messages cost, what more nodes would give.

`python -m benchmarks.actors` trains the preset of an environment past the beginning of learning, in
one process and in actors, and prints a JSON line for each measurement:

- `throughput`: env steps per second, by where the actors are and their number;
- `cost`: the parts of a round, each measured alone;
- `simulated`: env steps per second with more nodes than there are, from a model of a round into
  which the measured costs go. It is no measurement.

`--ray ADDRESS` measures on that cluster as well; `--out FILE` appends the lines to a file. With the
defaults it takes about 3 minutes on 2 cores.
"""

import dataclasses
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro

from frankrl.config.presets import load_preset
from frankrl.core.backend import start_backend
from frankrl.core.numerics import own_numerics
from frankrl.environments import describe_for, make_vector
from frankrl.experience import Collected, HostSource, Policy, Source, make_policy
from frankrl.experience.remote import RemoteSource, parts_of, together
from frankrl.experience.remote.processes import ProcessActors
from frankrl.runs.machine import machine_facts
from frankrl.training import Experiment, init_train_state, rounds
from frankrl.training.remote import remote

_SIMULATED_ACTORS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Options:
    """What to measure."""

    env: str = "LunarLander-v3"
    """Environment, trained with the preset of its name."""
    num_envs: int = 32
    """Environments of the run."""
    actors: tuple[int, ...] = (1, 2, 4)
    """Numbers of actors."""
    ray: str = ""
    """Address of a Ray cluster; empty: processes of this machine alone."""
    nodes: int = 0
    """Number of nodes, each in a network of its own, of a Ray cluster that is started here;
    0: none. Needs root, and `PYTHONPATH=tests`."""
    turns: int = 3
    """Times that each point is measured; the turns go through all points one after the other."""
    seconds: float = 5.0
    """How long each is measured. [s]"""
    out: Path | None = None
    """File to which the lines are appended; none: they are printed alone."""


def experiment_of(options: Options) -> Experiment:
    """The run that is measured."""
    settings = load_preset(options.env).with_changes(num_envs=options.num_envs).resolved()
    start_backend()
    return Experiment.of(settings, describe_for(options.env, settings), seed=0)


def sources(
    options: Options, experiment: Experiment
) -> dict[tuple[str, int], Callable[[], Source]]:
    """How to make the source of each point, by where its actors are and their number."""

    def alone() -> Source:
        envs = make_vector(experiment.settings.environment, experiment.spec, experiment.seed)
        return HostSource(experiment.settings, experiment.network, experiment.seed, envs)

    def in_actors(make_actors: Callable[[], Any], count: int) -> Callable[[], Source]:
        def source() -> Source:
            made = remote(make_actors, count)(experiment)
            assert isinstance(made, Source)
            return made

        return source

    found: dict[tuple[str, int], Callable[[], Source]] = {("one process", 0): alone}
    for count in options.actors:
        found["processes", count] = in_actors(ProcessActors, count)
        if options.ray:
            from frankrl.cluster.ray_actors import RayActors

            found["ray", count] = in_actors(lambda: RayActors(options.ray), count)
    return found


def speed(experiment: Experiment, source: Source, seconds: float) -> float:
    """Env steps per second of a whole training, after learning has begun."""
    running = rounds(experiment, source, init_train_state(experiment))
    while (result := next(running)).updates < 100:
        pass
    result.output().params.block_until_ready()
    begin_steps, begin = result.ticks, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        result = next(running)
    result.output().params.block_until_ready()
    return (result.ticks - begin_steps) / (time.perf_counter() - begin)


def median_seconds(call: Callable[[], Any], times: int = 200) -> float:
    """The median time of a call. [s]"""
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def costs_here(experiment: Experiment) -> dict[str, float]:
    """What the parts of a round cost in one process. [s]"""
    settings, size = experiment.settings, experiment.settings.environment.num_envs
    policy = make_policy(settings.training.acting, experiment.network)
    policy.load(experiment.network.layout.flatten(experiment.network.init(0)))
    envs = make_vector(settings.environment, experiment.spec, experiment.seed)
    with closing(HostSource(settings, experiment.network, experiment.seed, envs)) as source:
        steps = itertools.count(0, settings.round_ticks)
        collect = median_seconds(lambda: source.collect(policy, next(steps)))
        act = median_seconds(lambda: policy.q_values(envs.stack.observation, envs.stack.mask))
    round_steps = settings.training.vector_steps_per_round
    parts = parts_of(size, min(4, size))
    own = [collected_by(experiment, part, policy) for part in parts]
    return {
        "collect": collect,
        "act_in_whole_batch": act,
        "step_one_env": (collect / round_steps - act) / size,
        "put_together_4": median_seconds(lambda: together(parts, own)),
    }


def collected_by(experiment: Experiment, part: range, policy: Any) -> Collected:
    """The first round of some environments."""
    settings, seed = experiment.settings, experiment.seed
    envs = make_vector(settings.environment, experiment.spec, seed, part=part)
    with closing(HostSource(settings, experiment.network, seed, envs)) as source:
        return source.collect(policy, 0)


def answer_bytes(experiment: Experiment) -> float:
    """Bytes of arrays that an actor sends for each env step."""
    policy = make_policy(experiment.settings.training.acting, experiment.network)
    size = experiment.settings.environment.num_envs
    steps = collected_by(experiment, range(size), policy).steps
    total = sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(steps))
    return total / experiment.settings.round_ticks


class _Timed(HostSource):
    """Notes how long each round took to collect, and looks ahead at none."""

    seconds = 0.0

    def look_ahead(self, policy: Policy, env_steps: int) -> None:
        """Nothing: the actions belong to the collecting that is measured."""

    def collect(self, policy: Policy, env_steps: int) -> Collected:
        """Collect, and note the time."""
        begin = time.perf_counter()
        found = super().collect(policy, env_steps)
        self.seconds = time.perf_counter() - begin
        return found


def learner_seconds(experiment: Experiment) -> float:
    """A round without its collecting: the learner's call, and what it is given. [s]"""
    settings, seed = experiment.settings, experiment.seed
    envs = make_vector(settings.environment, experiment.spec, seed)
    taken = []
    with closing(_Timed(settings, experiment.network, seed, envs)) as source:
        running = rounds(experiment, source, init_train_state(experiment))
        while (result := next(running)).updates < 100:
            pass
        for _ in range(100):
            result.output().params.block_until_ready()
            begin = time.perf_counter()
            result = next(running)
            result.output().params.block_until_ready()
            taken.append(time.perf_counter() - begin - source.seconds)
    return statistics.median(taken)


def message_costs(source: RemoteSource, experiment: Experiment) -> dict[str, float]:
    """What messages to an actor and back cost. [s]"""
    policy = make_policy(experiment.settings.training.acting, experiment.network)
    policy.load(experiment.network.layout.flatten(experiment.network.init(0)))
    handle = source._actors._handles[0]
    return {
        "message": median_seconds(lambda: handle.ask("states")()),
        "share_params": median_seconds(lambda: source._actors.shared(policy.vector)),
    }


def simulated_speed(costs: dict[str, float], experiment: Experiment, actors: int) -> float:
    """Env steps per second of a model of overlapped rounds, in which each actor has a core.

    The actors step their share and act in the whole batch while the learner learns; the learner
    then takes their answers one after the other, each for the time of a whole message and back,
    which is more than it costs the learner. A round lasts as long as the slower half.
    """
    settings = experiment.settings
    size, steps = settings.environment.num_envs, settings.training.vector_steps_per_round
    share = -(-size // actors)
    acting = steps * (share * costs["step_one_env"] + costs["act_in_whole_batch"])
    messages = costs["share_params"] + actors * costs["message"]
    joining = costs["put_together_4"]
    if settings.training.overlap:
        seconds = max(acting + costs["message"], costs["learn"]) + messages + joining
    else:
        seconds = acting + costs["learn"] + messages + joining
    return settings.round_ticks / seconds


@own_numerics()
def lines(options: Options) -> Iterator[dict[str, Any]]:
    """Everything that is measured, and then what is simulated from it."""
    experiment = experiment_of(options)
    about = {
        "env": options.env,
        "num_envs": options.num_envs,
        "cpu": machine_facts()["cpu"],
        "visible_cpus": machine_facts()["visible_cpus"],
    }
    found: dict[tuple[str, int], list[float]] = {}
    costs: dict[str, dict[str, float]] = {}
    for _ in range(options.turns):
        for point, make in sources(options, experiment).items():
            with closing(make()) as source:
                found.setdefault(point, []).append(speed(experiment, source, options.seconds))
                if isinstance(source, RemoteSource) and point[0] not in costs:
                    costs[point[0]] = message_costs(source, experiment)
    for (where, count), speeds in found.items():
        yield about | {
            "kind": "throughput",
            "where": where,
            "actors": count,
            "env_steps_per_second": round(statistics.median(speeds)),
            "turns": [round(each) for each in speeds],
        }
    here = costs_here(experiment) | {"learn": learner_seconds(experiment)}
    for where, own in costs.items():
        all_costs = here | own
        size = answer_bytes(experiment)
        yield about | {
            "kind": "cost",
            "where": where,
            "seconds": all_costs,
            "answer_bytes_per_env_step": size,
        }
        for count in _SIMULATED_ACTORS:
            if count <= options.num_envs:
                simulated = simulated_speed(all_costs, experiment, count)
                yield about | {
                    "kind": "simulated",
                    "where": where,
                    "actors": count,
                    "env_steps_per_second": round(simulated),
                }


def main() -> None:
    """Measure, and print each line."""
    options = tyro.cli(Options, description=__doc__)
    if not options.nodes:
        measure(options)
        return
    from ray_nodes import NamespacedCluster, environment, ray_cluster

    os.environ.update(environment())
    with (
        tempfile.TemporaryDirectory() as folder,
        ray_cluster(Path(folder), options.nodes, NamespacedCluster) as cluster,
    ):
        measure(dataclasses.replace(options, ray=cluster.address))


def measure(options: Options) -> None:
    """Print each line, and write it into the file."""
    for line in lines(options):
        text = json.dumps(line)
        print(text, flush=True)
        if options.out is not None:
            with options.out.open("a") as file:
                file.write(text + "\n")


if __name__ == "__main__":
    main()
