"""Compiled programs of training, alone: microseconds an update, and what weights come out.

`python -m benchmarks programs` needs `pip install '.[atari]' pgx pgx-minatar`. Each program is
compiled and timed in a process of its own, one after the other:

- atari: the learner's call of the preset `atari` (8 updates, batches of 256), with random frames
  and a replay buffer of 100,000 transitions;
- atari32: the same with batches of 32, 16 updates and no Munchausen;
- breakout: rounds of the preset `minatar` in pgx's MinAtar Breakout, batches of 100, one update per
  env step;
- seeds: 1,024 seeds of CartPole as one program, 64×64, batches of 64, one update per env step.

On a GPU, `XLA_FLAGS=--xla_gpu_enable_triton_gemm=false` lets all of them use cuBLAS, and `=true`
XLA's own kernels.

Time includes everything that the program does: writing to the replay buffer, sampling, and for the
last two acting and stepping. The hash of the weights after all calls is the same in every process
on the same kind of device, if the program gives the same bits.
"""

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import tyro

_BREAKOUT = "functional:pgx/minatar-breakout"
_TURNS = 3
_CALLS = 20
"""Learner's calls that are timed together."""


Name = Literal["atari", "atari32", "breakout", "seeds"]


@dataclass(frozen=True)
class Options:
    """What to measure."""

    programs: tuple[Name, ...] = ("atari", "atari32", "breakout", "seeds")
    """Which of the four."""
    turns: int = 1
    """Processes of each."""
    num_seeds: int = 1_024
    """Seeds of `seeds`."""
    here: bool = False
    """Measure one program in this process; for the processes that this command starts."""


def main(options: Options) -> None:
    """Measure each program, and print a line for each process."""
    if options.here:
        from frankrl.core.backend import start_backend

        start_backend()
        print(json.dumps(measured(options.programs[0], options.num_seeds)), flush=True)
        return
    for name in options.programs * options.turns:
        words = ["--programs", name, "--num-seeds", str(options.num_seeds), "--here"]
        subprocess.run([sys.executable, "-m", "benchmarks", "programs", *words], check=True)


def measured(name: Name, num_seeds: int) -> dict[str, Any]:
    """Time and result of one program in this process."""
    import jax

    begun = time.perf_counter()
    call, updates = learner(name) if name.startswith("atari") else chunk(name, num_seeds)
    ready, seconds = time.perf_counter() - begun, []
    weights = np.zeros(0, np.float32)
    for _ in range(_TURNS):
        started = time.perf_counter()
        weights = call()
        seconds.append(time.perf_counter() - started)
    return {
        "program": name,
        "device": str(jax.devices()[0]),
        "microseconds_per_update": [round(1e6 * each / updates, 1) for each in sorted(seconds)],
        "seconds_until_timed": round(ready, 1),
        "weights": hashlib.sha256(weights.tobytes()).hexdigest()[:12],
    }


Program = tuple[Callable[[], np.ndarray], int]
"""A call that gives the weights, and the number of its updates; it has been called once."""


def learner(name: str) -> Program:
    """The learner's call of a run with Atari games, with random frames."""
    import jax

    from frankrl.config.presets import load_preset
    from frankrl.core.types import Steps
    from frankrl.environments import describe
    from frankrl.environments.preprocessing import preprocessing_for
    from frankrl.training import Experiment, init_train_state
    from frankrl.training.learner_call import compiled_learn
    from frankrl.training.rounds import learner_input

    env = "ALE/Pong-v5"
    changes: dict[str, Any] = {"replay_capacity": 100_000}
    if name == "atari32":
        changes |= {"batch_size": 32, "replay_ratio": 0.25, "munchausen": False}
    settings = load_preset("atari").with_changes(**changes).resolved()
    spec = describe(env, {}, preprocessing=preprocessing_for(env, settings))
    experiment = Experiment.of(settings, spec, 0)
    state, size = init_train_state(experiment), settings.round_ticks
    assert state.replay is not None
    stored, numbers = state.replay.observation, np.random.default_rng(0)

    def frames(count: int) -> Any:
        def of_leaf(leaf: Any) -> np.ndarray:
            return numbers.integers(0, 256, (count, *leaf.shape[1:])).astype(leaf.dtype)

        return jax.tree.map(of_leaf, stored)

    no_ends = np.zeros(size, np.bool_)
    steps = Steps(
        observation=frames(size + settings.environment.num_envs),
        mask=None,
        action=np.zeros(size, np.uint8),
        reward=np.zeros(size, np.float32),
        is_last=no_ends,
        terminated=no_ends,
        last_observation=frames(size),
        last_mask=None,
        memory=None,
    )
    leaves, structure = jax.tree.flatten((state.learner, state.replay, state.demonstrations))
    learn = compiled_learn(settings.learning, experiment.network, experiment.replay, structure)
    env_steps = settings.training.learning_starts_env_steps // size * size + 64 * size
    updates = experiment.updates_due(env_steps + size) - experiment.updates_due(env_steps)

    def call(count: int = _CALLS) -> np.ndarray:
        nonlocal leaves, env_steps
        params: Any = None
        for _ in range(count):
            done, env_steps = experiment.updates_due(env_steps), env_steps + size
            due = experiment.updates_due(env_steps) - done
            output = learn(leaves, learner_input(experiment, steps, env_steps, done, due))
            leaves, params = output.leaves, output.params
        return np.asarray(params)

    call(1)
    return call, updates * _CALLS


def chunk(name: str, num_seeds: int) -> Program:
    """Chunks of rounds of a run on the device, or of many as one program."""
    import jax
    import jax.numpy as jnp

    from frankrl.config.presets import load_preset
    from frankrl.environments import describe
    from frankrl.training import Experiment, init_train_state
    from frankrl.training.device.batch import compiled_batch
    from frankrl.training.device.chunk import compiled_chunk
    from frankrl.training.device.rounds import (
        first_carry,
        max_rounds,
        round_of,
        schedule_for,
        source_on_device,
    )

    one = name == "breakout"
    changes: dict[str, Any] = {"replay_ratio": 1.0, "batch_size": 100 if one else 64}
    if not one:
        changes |= {
            "hidden_widths": [64, 64],
            "replay_capacity": 50_000,
            "learning_starts_env_steps": 1_000,
        }
    settings = load_preset("minatar" if one else "default").with_changes(**changes).resolved()
    env = _BREAKOUT if one else "frankrl/CartPole-functional-v0"
    experiment = Experiment.of(settings, describe(env, {}), 0)
    source = source_on_device(experiment)
    one_round, size = round_of(experiment, source), settings.round_ticks
    carry = first_carry(one_round, init_train_state(experiment), source)
    leaves, structure = jax.tree.flatten(carry)
    if not one:
        leaves = [jnp.array(jnp.broadcast_to(leaf, (num_seeds, *leaf.shape))) for leaf in leaves]
    seeds = np.stack([np.zeros(num_seeds, np.uint32), np.arange(num_seeds, dtype=np.uint32)], 1)
    num_rounds = min(max_rounds(size), 64)
    env_steps = 0

    def computed(schedule: Any) -> tuple[list[Any], Any]:
        count = np.int32(num_rounds)
        if one:
            carry = jax.tree.unflatten(structure, leaves)
            output = compiled_chunk(one_round)(carry, source.seed, schedule, count)
            return jax.tree.leaves(output.carry), output.params
        lanes = compiled_batch(one_round, structure, num_seeds)
        after, output = lanes(leaves, seeds, schedule, count)
        return after, output.params

    def call() -> np.ndarray:
        nonlocal leaves, env_steps
        ends = env_steps + size * np.arange(1, num_rounds + 1)
        counts = np.diff([experiment.updates_due(int(at)) for at in (env_steps, *ends)])
        done = experiment.updates_due(env_steps)
        schedule = schedule_for(experiment, one_round, env_steps, done, counts)
        leaves, params = computed(schedule)
        env_steps = int(ends[-1])
        return np.asarray(params)

    while not experiment.updates_due(env_steps):
        call()
    call()
    return call, num_rounds * size


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
