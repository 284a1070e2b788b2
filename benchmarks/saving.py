"""What a checkpoint costs: its time, and its share of the training's, at the preset's interval.

`python -m benchmarks saving` trains a preset of LunarLander-v3 without evaluations and
times everything that a checkpoint makes the training wait for.
"""

import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import tyro

import frankrl
from frankrl.training import Trainer


@dataclass(frozen=True)
class Options:
    """What to measure."""

    env_id: str = "LunarLander-v3"
    """Environment; its preset is used."""
    seeds: int = 3
    """How many runs."""
    total_env_steps: int = 250_000
    """Length of each. [env steps]"""


def measure(options: Options, seed: int, folder: Path) -> tuple[list[float], float, int]:
    """Seconds of each checkpoint, seconds of the whole run, and the size of the last. [bytes]"""
    taken: list[float] = []
    real = Trainer._checkpoint

    def timed(self: Trainer) -> Iterator[Any]:
        # What the learner still computes would have been waited for in any case.
        np.asarray(self._eval_params())
        begun = time.perf_counter()
        events = list(real(self))
        taken.append(time.perf_counter() - begun)
        yield from events

    begun = time.perf_counter()
    with mock.patch.object(Trainer, "_checkpoint", timed):
        frankrl.train(
            options.env_id,
            seed=seed,
            out=folder / str(seed),
            total_env_steps=options.total_env_steps,
            evaluation_starts_env_steps=options.total_env_steps,
            final_evaluation_episodes=1,
        )
    seconds = time.perf_counter() - begun
    newest = max((folder / str(seed) / "checkpoints").iterdir())
    return taken, seconds, sum(file.stat().st_size for file in newest.iterdir())


def main(options: Options) -> None:
    """Measure, and print a table."""
    print(
        "| seed | checkpoints | ms each, median (most) | size of the last, MiB | share of the run |"
    )
    print("|---|---|---|---|---|")
    shares = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.seeds):
            taken, seconds, size = measure(options, seed, Path(folder))
            shares.append(sum(taken) / seconds)
            print(
                f"| {seed} | {len(taken)} | {1e3 * np.median(taken):.0f} ({1e3 * max(taken):.0f}) "
                f"| {size / 2**20:.1f} | {shares[-1]:.2%} |",
                flush=True,
            )
    print(json.dumps({"median_share": float(np.median(shares))}))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
