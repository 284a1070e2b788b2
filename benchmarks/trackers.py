"""What a tracker costs: CPU time of the whole process for an env step, with it and without.

`python -m benchmarks trackers` trains a preset without evaluations. Each run with a tracker is
paired with one of the same seed without: both do the same updates. CPU time of all threads counts,
that of other processes does not (W&B has one). Speeds are stored, too, but say little on a machine
with other work. Everything else is kept in a temporary folder, and W&B is offline.
"""

import json
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import tyro

import frankrl
from frankrl.runs import machine_facts
from frankrl.runs.machine import versions
from frankrl.trackers import BUILT_IN
from frankrl.training import Event, Progress

_NONE = "none"
_OPENED_AFTER = 0.3
"""It is measured from this part of a run on, when every tracker is open."""


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
    results: Path = Path("benchmarks/results/trackers.jsonl")
    """Where a row for each run is added."""


@dataclass(frozen=True)
class Cost:
    """One run."""

    tracker: str
    seed: int
    env_steps_per_second: float
    cpu_us_per_env_step: float
    """CPU time of the whole process, its threads included. [microseconds]"""


def measure(options: Options, name: str, seed: int, folder: Path) -> Cost:
    """Train once."""
    marks: list[tuple[int, float, float]] = []

    def mark(event: Event) -> None:
        if isinstance(event, Progress):
            marks.append((event.env_steps, time.perf_counter(), time.process_time()))

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
    steps = last - first
    return Cost(
        name, seed, round(steps / (now - then), 1), round(1e6 * (used_now - used) / steps, 2)
    )


def main(options: Options) -> None:
    """Measure, store each run, and print a table."""
    names = (_NONE, *options.trackers)
    found: dict[tuple[str, int], Cost] = {}
    with tempfile.TemporaryDirectory() as place:
        os.environ |= {"WANDB_MODE": "offline", "WANDB_DIR": place, "TRACKIO_DIR": place}
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{place}/mlflow.db"
        # The first run also compiles.
        measure(options, _NONE, options.seeds, Path(place))
        facts = {"env_id": options.env_id, "total_env_steps": options.total_env_steps}
        facts |= {"versions": versions(), "machine": machine_facts()}
        for seed in range(options.seeds):
            for name in names if seed % 2 else names[::-1]:
                cost = measure(options, name, seed, Path(place))
                found[name, seed] = cost
                with options.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(vars(cost) | facts) + "\n")
    print("| tracker | CPU time of an env step without it | more with it, median (each pair) |")
    print("|---|---|---|")
    for name in options.trackers:
        pairs = [
            (found[_NONE, seed].cpu_us_per_env_step, found[name, seed].cpu_us_per_env_step)
            for seed in range(options.seeds)
        ]
        more = [100 * (with_it / without - 1) for without, with_it in pairs]
        each = ", ".join(f"{percent:+.1f}" for percent in more)
        without = statistics.median(without for without, _ in pairs)
        print(f"| {name} | {without:.0f} µs | {statistics.median(more):+.1f} % ({each}) |")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
