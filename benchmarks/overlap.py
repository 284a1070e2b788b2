"""Do acting and learning run at the same time? Wall time beside that of each half alone.

`python -m benchmarks.overlap` trains LunarLander-v3 for some rounds, then does the same
number of rounds of the environments' half alone (acting, stepping, drawing which transitions
updates learn from) and of the learner's half alone (the compiled call), in turns. With a
perfect overlap the whole takes as long as the longer half.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np
import tyro

from frankrl.config import Settings
from frankrl.config.presets import load_preset
from frankrl.core.backend import start_backend
from frankrl.environments import describe, make_vector
from frankrl.experience import HostSource, make_policy
from frankrl.training import Experiment, init_train_state, rounds
from frankrl.training.learner_call import compiled_learn
from frankrl.training.rounds import learner_input

_SEED = 0


@dataclass(frozen=True)
class Options:
    """What to measure."""

    env: str = "LunarLander-v3"
    """Environment."""
    rounds: int = 400
    """Rounds in each measurement."""
    turns: int = 5
    """Turns; in each, the whole and its halves are timed once."""
    cases: tuple[str, ...] = (
        "64x64:64:0.25",
        "64x64:64:0.5",
        "64x64:128:0.5",
        "128x128:128:0.5",
        "256x256:128:1",
    )
    """WIDTHS:BATCH:REPLAY_RATIO, on top of the environment's preset."""


def settings_of(case: str, env: str) -> Settings:
    """The settings of a case, with updates from the first round on."""
    widths, batch, ratio = case.split(":")
    return (
        load_preset(env)
        .with_changes(
            hidden_widths=[int(width) for width in widths.split("x")],
            batch_size=int(batch),
            replay_ratio=float(ratio),
            learning_starts_env_steps=1_000,
            epsilon_decay_env_steps=2_000,
            total_env_steps=1_000_000,
        )
        .resolved()
    )


def halves(
    settings: Settings, env: str, num_rounds: int
) -> tuple[Callable[[], None], Callable[[], None], Callable[[], None]]:
    """The whole, the environments' half and the learner's half: each does so many rounds."""
    spec = describe(env, settings.environment.env_kwargs)
    experiment = Experiment.of(settings, spec, _SEED)
    running = rounds(experiment, _source(experiment), init_train_state(experiment))
    for result in running:
        if result.updates:
            break

    def whole() -> None:
        for _ in range(num_rounds - 1):
            next(running)
        next(running).output().params.block_until_ready()

    source, state = _source(experiment), init_train_state(experiment)
    policy = make_policy(settings.training.acting, experiment.network)
    begun, size = settings.training.learning_starts_env_steps, settings.round_ticks
    most = math.ceil(size * settings.training.replay_ratio)
    env_steps, updates = begun, 0

    def environments() -> None:
        nonlocal env_steps, updates
        for _ in range(num_rounds):
            policy.load(state.params)
            steps, *_ = source.collect(policy, env_steps)
            env_steps += size
            learner_input(experiment, steps, env_steps, updates, most)
            updates += most

    policy.load(state.params)
    steps, *_ = source.collect(policy, begun)
    given = learner_input(experiment, steps, begun, 0, most)
    leaves, structure = jax.tree.flatten((state.learner, state.replay, None))
    learn = compiled_learn(settings.learning, experiment.network, experiment.replay, structure)

    def learner() -> None:
        nonlocal leaves
        for _ in range(num_rounds):
            leaves = learn(leaves, given).leaves
        jax.block_until_ready(leaves)

    return whole, environments, learner


def _source(experiment: Experiment) -> HostSource:
    settings, seed = experiment.settings, experiment.seed
    envs = make_vector(settings.environment, experiment.spec, seed)
    return HostSource(settings, experiment.network, seed, envs)


def main(options: Options) -> None:
    """Measure and print a table."""
    print(f"{options.env}, XLA's threads: {start_backend()}\n")
    print(
        "| network : batch : replay ratio | whole, µs per env step | environments alone | "
        "learner alone | whole ÷ longer half (quartiles) |"
    )
    print("|---|---|---|---|---|")
    for case in options.cases:
        settings = settings_of(case, options.env)
        functions = halves(settings, options.env, options.rounds)
        seconds = np.empty((options.turns, len(functions)))
        for function in functions:
            function()
        for turn in range(options.turns):
            for column, function in enumerate(functions):
                start = time.perf_counter()
                function()
                seconds[turn, column] = time.perf_counter() - start
        each = np.median(seconds, axis=0) / (options.rounds * settings.round_ticks) * 1e6
        ratio = np.percentile(seconds[:, 0] / seconds[:, 1:].max(axis=1), [25, 50, 75])
        print(
            f"| {case.replace(':', ' : ')} | {each[0]:.0f} | {each[1]:.0f} | {each[2]:.0f} | "
            f"{ratio[1]:.2f} ({ratio[0]:.2f}–{ratio[2]:.2f}) |"
        )


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
