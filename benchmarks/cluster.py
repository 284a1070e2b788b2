"""What does a Ray cluster cost beside processes of this machine?

`PYTHONPATH=tests python -m benchmarks cluster` does the same runs twice, in turns: in local
processes, and on a cluster of one node on this machine. Start-up is told apart: until the command
is ready to give the first run away. What the runs take, from then to the last run folder, has in it
the start of the processes of both, and on the cluster publishing and fetching every run.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from ray_nodes import RayCluster, environment

from frankrl.cluster import engine_for
from frankrl.config.presets import load_preset
from frankrl.jobs import Ended, Job, run_jobs

_DO = "do"
"""First word of the process that does the runs."""


@dataclass(frozen=True)
class Options:
    """What to measure."""

    env: str = "CartPole-v1"
    """Environment."""
    env_steps: int = 60_000
    """Length of each run: about a minute."""
    runs: int = 8
    """Number of runs."""
    processes: int = 2
    """Runs at once, and CPUs of the cluster."""
    niceness: int = 15
    """Of the cluster's processes; Ray's own default. Where others use the machine, they go first,
    and only 0 compares alike."""
    turns: int = 3
    """How often to do all of it."""


def do(options: Options, out: Path, address: str) -> None:
    """Do the runs and print the seconds of start-up and of the runs."""
    begun = time.perf_counter()
    settings = load_preset("default").with_changes(total_env_steps=options.env_steps).resolved()
    jobs = [Job(options.env, "default", settings, n, out / f"s{n}") for n in range(options.runs)]
    engine = engine_for(options.processes, out, ray=address)
    ready = time.perf_counter()

    def check(end: Ended) -> None:
        assert end.is_done, end.error

    run_jobs(engine, lambda: jobs.pop(0) if jobs else None, check)
    print(json.dumps([ready - begun, time.perf_counter() - ready]))


def measured(options: Options, out: Path, address: str) -> tuple[float, float]:
    """Seconds of start-up and of the runs, in a process of their own."""
    words = [_DO, str(out), address, options.env, options.env_steps, options.runs]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.cluster", *map(str, words), str(options.processes)],
        stdout=subprocess.PIPE,
        check=True,
        env=environment(),
    )
    startup, runs = json.loads(done.stdout.splitlines()[-1])
    return startup, runs


def main(options: Options) -> None:
    """Measure and print a table."""
    seconds: dict[str, list[tuple[float, float]]] = {"local processes": [], "a Ray cluster": []}
    os.environ["RAY_worker_niceness"] = str(options.niceness)  # noqa: SIM112
    with tempfile.TemporaryDirectory() as folder:
        cluster = RayCluster(Path(folder) / "nodes")
        try:
            cluster.add(options.processes)
            for turn in range(options.turns):
                addresses = dict(zip(seconds, ("", cluster.address), strict=True))
                for number, (kind, address) in enumerate(addresses.items()):
                    out = Path(folder) / f"{turn}-{number}"
                    seconds[kind].append(measured(options, out, address))
        finally:
            cluster.close()
    print(f"{options.runs} runs of {options.env_steps:,} env steps, {options.processes} at once")
    print("| | start-up, median s | runs, median s | least–most, s |")
    print("|---|---|---|---|")

    for kind, values in seconds.items():
        startups, runs = ([each[part] for each in values] for part in (0, 1))
        print(
            f"| {kind} | {np.median(startups):.1f} | {np.median(runs):.1f} "
            f"| {min(runs):.1f}–{max(runs):.1f} |"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == [_DO]:
        _, _, place, at, env, *numbers = sys.argv
        do(Options(env, *map(int, numbers)), Path(place), at)
    else:
        main(tyro.cli(Options, description=__doc__))
