"""Steps a second of Atari games, beside ALE's own vector environment.

`python -m benchmarks atari_steps` steps a game with random actions and the default settings, in
turns with `AtariVectorEnv` with the same ones, which resets without a seed. It gives agent steps
per second of wall time and per second of processor time, of all processes and threads together.
"""

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tyro

from frankrl.config import EnvironmentSettings
from frankrl.environments import describe, make_vector
from frankrl.environments.env_group import start_workers


@dataclass(frozen=True)
class Options:
    """What to measure."""

    game: str = "Pong"
    """The game."""
    num_envs: tuple[int, ...] = (1, 8, 16)
    """Environments stepped together."""
    workers: int = 1
    """Worker processes beside the main one; none with a single environment."""
    seconds: float = 5.0
    """How long each is measured in a turn."""
    turns: int = 3
    """Turns; the best of each counts, since other programs only make it slower."""


def speeds(step: Callable[[], Any], num_envs: int, seconds: float) -> tuple[float, float]:
    """Agent steps per second, and per second of this process's time."""
    step()
    begin, used, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - begin < seconds:
        step()
        count += num_envs
    return count / (time.perf_counter() - begin), count / (time.process_time() - used)


def of_frank(options: Options, num_envs: int, workers: int) -> tuple[float, float]:
    """Frank's vector; the second number is right without workers only."""
    spec = describe(f"ALE/{options.game}-v5", {})
    pool = start_workers(workers)
    envs = make_vector(EnvironmentSettings(num_envs=num_envs), spec, 0, pool)
    actions = np.random.default_rng(0)
    try:
        with contextlib.closing(envs):
            return speeds(
                lambda: envs.step(actions.integers(spec.num_actions, size=num_envs), 0),
                num_envs,
                options.seconds,
            )
    finally:
        for worker in pool:
            worker.close()


def of_ale(options: Options, num_envs: int, threads: int) -> tuple[float, float]:
    """ALE's vector, without stacking."""
    import ale_py
    from ale_py import roms
    from ale_py.registration import rom_id_to_name
    from ale_py.vector_env import AtariVectorEnv

    game = next(rom for rom in roms.get_all_rom_ids() if rom_id_to_name(rom) == options.game)
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    envs = AtariVectorEnv(
        game,
        num_envs,
        num_threads=threads,
        noop_max=0,
        use_fire_reset=False,
        reward_clipping=False,
        repeat_action_probability=0.25,
        full_action_space=True,
        stack_num=1,
    )
    envs.reset(seed=0)
    actions = np.random.default_rng(0)
    with contextlib.closing(envs):
        return speeds(
            lambda: envs.step(actions.integers(18, size=num_envs)), num_envs, options.seconds
        )


def main() -> None:
    """Measure and print."""
    options = tyro.cli(Options, description=__doc__)
    print(f"{options.game}, {os.cpu_count()} CPUs; agent steps per second (per processor second)")
    for num_envs in options.num_envs:
        kinds: dict[str, Callable[[], tuple[float, float]]] = {
            "Frank, one process": lambda n=num_envs: of_frank(options, n, 0),
            "AtariVectorEnv, one thread": lambda n=num_envs: of_ale(options, n, 1),
        }
        if num_envs > 1:
            more = options.workers + 1
            kinds[f"Frank, {more} processes"] = lambda n=num_envs: of_frank(
                options, n, options.workers
            )
            kinds[f"AtariVectorEnv, {more} threads"] = lambda n=num_envs, m=more: of_ale(
                options, n, m
            )
        found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
        for _ in range(options.turns):
            for kind, measure in kinds.items():
                found[kind].append(measure())
        for kind, turns in found.items():
            wall, processor = (max(column) for column in zip(*turns, strict=True))
            told = "" if "processes" in kind else f" ({processor:,.0f})"
            print(f"{num_envs:3} envs  {kind:28} {wall:8,.0f}{told}")


if __name__ == "__main__":
    main()
