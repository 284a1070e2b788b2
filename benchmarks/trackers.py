"""What a tracker costs: env steps a second with it and without, and the CPU time of its thread.

`python -m benchmarks trackers` trains a preset without evaluations, in turn without and with each
tracker. On a machine with other work the speeds say little, the CPU times more: a tracker can take
no more from the training than the CPU time of its threads. Everything is kept in a temporary
folder, and W&B is offline.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import tyro

import frankrl
from frankrl.trackers import BUILT_IN
from frankrl.trackers.background import BackgroundTracker
from frankrl.training import Event, Progress

_NONE = "none"
_OPENED_AFTER = 0.3
"""The speed counts from this part of a run on, when every tracker is open."""


@dataclass(frozen=True)
class Options:
    """What to measure."""

    env_id: str = "LunarLander-v3"
    """Environment; its preset is used."""
    seeds: int = 5
    """How many runs with each tracker."""
    total_env_steps: int = 100_000
    """Length of each. [env steps]"""
    trackers: tuple[str, ...] = tuple(BUILT_IN)
    """Trackers to measure."""


class Cost(NamedTuple):
    """One run."""

    env_steps_per_second: float
    cpu_per_env_step: float
    """CPU time of the whole process, its threads included. [seconds]"""
    cpu_per_row: float
    """CPU time of the tracker's thread, without opening and closing the tracker. [seconds]"""


def measure(options: Options, name: str, seed: int, folder: Path) -> Cost:
    """Train once."""
    marks: list[tuple[int, float, float]] = []
    cpu: list[float] = []
    real = BackgroundTracker._log_rows

    def mark(event: Event) -> None:
        if isinstance(event, Progress):
            marks.append((event.env_steps, time.perf_counter(), time.process_time()))

    def timed(self: BackgroundTracker, *arguments: Any) -> None:
        begun = time.thread_time()
        real(self, *arguments)
        cpu.append(time.thread_time() - begun)

    with mock.patch.object(BackgroundTracker, "_log_rows", timed):
        frankrl.train(
            options.env_id,
            seed=seed,
            out=folder / f"{name}-{seed}",
            total_env_steps=options.total_env_steps,
            evaluate_every_env_steps=None,
            final_evaluation_episodes=None,
            log=() if name == _NONE else (name,),
            on_event=mark,
        )
    counted = [mark for mark in marks if mark[0] >= _OPENED_AFTER * options.total_env_steps]
    (first, then, used), (last, now, used_now) = counted[0], counted[-1]
    return Cost(
        (last - first) / (now - then), (used_now - used) / (last - first), sum(cpu) / len(marks)
    )


def main(options: Options) -> None:
    """Measure, and print a table."""
    names = (_NONE, *options.trackers)
    costs: dict[str, list[Cost]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as place:
        os.environ |= {"WANDB_MODE": "offline", "WANDB_DIR": place, "TRACKIO_DIR": place}
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{place}/mlflow.db"
        measure(options, _NONE, options.seeds, Path(place))
        for seed in range(options.seeds):
            for name in names if seed % 2 else names[::-1]:
                costs[name].append(measure(options, name, seed, Path(place)))
    print(
        "| tracker | env steps/s, median (each) | CPU µs an env step, median (each) | a row, ms |"
    )
    print("|---|---|---|---|")
    for name, found in costs.items():
        speed, used, row = zip(*found, strict=True)
        print(
            f"| {name} | {_median(speed, 0)} | {_median([1e6 * cpu for cpu in used], 0)} "
            f"| {1e3 * statistics.median(row):.2f} |",
            flush=True,
        )


def _median(values: Sequence[float], decimals: int) -> str:
    each = ", ".join(f"{value:,.{decimals}f}" for value in values)
    return f"{statistics.median(values):,.{decimals}f} ({each})"


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
