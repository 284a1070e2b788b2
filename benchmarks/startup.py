"""How long until training is under way?

`python -m benchmarks.startup` starts `frank train` in fresh processes and reads
`startup_seconds` from their reports: from the start of the process to the end of the
first round, so that imports, environments and compilation are all in it. *Cold* has an
empty cache of compiled code, *warm* the one that the run before has left. Beside them
`frank --help`, timed from outside.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro


@dataclass(frozen=True)
class Options:
    """What to measure."""

    env: str = "LunarLander-v3"
    """Environment."""
    turns: int = 5
    """Processes of each kind, taken in turns."""


def start_up(env: str, cache: Path, out: Path) -> float:
    """What a short run reports. [seconds]"""
    words = ["train", env, "--total-env-steps", "1600", "--final-evaluation-episodes", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "frankrl", *words, "--json", "--out", str(out), "--overwrite"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
        env=os.environ | {"XDG_CACHE_HOME": str(cache)},
    )
    return json.loads(done.stdout)["startup_seconds"]


def help_seconds() -> float:
    """Wall time of `frank --help`. [seconds]"""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "frankrl", "--help"], stdout=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - start


def main(options: Options) -> None:
    """Measure and print a table."""
    seconds: dict[str, list[float]] = {"cold": [], "warm": [], "frank --help": []}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(options.turns):
            cache, out = Path(folder) / f"cache-{turn}", Path(folder) / "run"
            kinds: dict[str, Callable[[], float]] = {
                "cold": lambda cache=cache, out=out: start_up(options.env, cache, out),
                "warm": lambda cache=cache, out=out: start_up(options.env, cache, out),
                "frank --help": help_seconds,
            }
            for kind, measure in kinds.items():
                seconds[kind].append(measure())
    print("| start-up | median, s | least–most, s |")
    print("|---|---|---|")
    for kind, values in seconds.items():
        print(f"| {kind} | {np.median(values):.2f} | {min(values):.2f}–{max(values):.2f} |")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
