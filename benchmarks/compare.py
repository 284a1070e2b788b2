"""Frank beside other DQN libraries: the same work, in one run.

`python -m benchmarks compare --peers sb3 sbx tianshou torchrl rllib --seeds 3` installs each
library from its published package into a virtual environment of its own, then measures
in turns, one process at a time:

- env steps per second at settings that all share, and with it start-up (from the start
  of the process to the first env step; for Frank to the end of its first round) and the
  peak memory of the process and its children;
- seconds until LunarLander-v3 is solved, each library with its own best published
  recipe, given up after `--limit` seconds.

PyTorch gets one thread; Frank's learner has one too, beside the thread that acts. No
library is kept from a second core.

Results are kept in a JSON-lines file; what is in it and has not failed is not measured
again. `--plot FILE` draws greedy return against seconds.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from benchmarks import read_rows
from benchmarks.peers.tables import ENVS, plot, tables

PEERS = {
    "sb3": ("torch==2.13.0", "stable-baselines3==2.9.2"),
    "sbx": ("torch==2.13.0", "sbx-rl==0.28.0"),
    "tianshou": ("torch==2.13.0", "tianshou==2.0.1"),
    "torchrl": ("torch==2.13.0", "torchrl==0.14.1"),
    "rllib": ("torch==2.13.0", "ray[rllib]==2.60.0"),
}
_SHARED = ("gymnasium>=1", "Box2D>=2.3.10", "pygame-ce")
_ROOT = Path(__file__).parent.parent
_SETTINGS = ((256, 128, 1.0), (64, 64, 1.0), (64, 64, 0.25))
"""Width of both hidden layers, batch size, updates per env step."""
_LONGEST_SECONDS = 600.0
"""A process that takes so much longer than its job is ended."""


@dataclass(frozen=True)
class Options:
    """What to measure."""

    peers: tuple[str, ...] = tuple(PEERS)
    """Libraries, beside Frank."""
    seeds: int = 3
    """Turns: in each, every library does every job once, with its own seed."""
    tasks: tuple[str, ...] = ("speed", "solve")
    """Kinds of job."""
    seconds: float = 10.0
    """How long speed is measured, after the warm-up."""
    limit: float = 300.0
    """When a run that is not solved is given up. [seconds]"""
    venvs: Path = Path(".venv-peers")
    """Where the libraries' environments are, or are made."""
    results: Path = Path("benchmarks/results/compare.jsonl")
    """Where results are kept, one JSON object a job."""
    plot: Path | None = None
    """Where to draw greedy return against seconds."""


def jobs(options: Options, seed: int) -> list[dict[str, Any]]:
    """The jobs of one turn."""
    found: list[dict[str, Any]] = []
    if "speed" in options.tasks:
        found += [
            {
                "task": "speed",
                "env_id": env_id,
                "seed": seed,
                "seconds": options.seconds,
                "widths": [width, width],
                "batch_size": batch,
                "replay_ratio": ratio,
            }
            for env_id in ENVS
            for width, batch, ratio in _SETTINGS
        ]
    if "solve" in options.tasks:
        found.append({"task": "solve", "env_id": ENVS[0], "seed": seed, "seconds": options.limit})
    return found


def python_of(options: Options, peer: str) -> Path | None:
    """The interpreter that has a library; none where it cannot be installed."""
    if peer == "frank":
        return Path(sys.executable)
    folder = options.venvs / peer
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    wanted = [*PEERS[peer], *_SHARED]
    # torch first: with another package's range, pip may take a build of several gigabytes.
    for packages in (wanted[:1], wanted):
        command = [python, "-m", "pip", "install", "--quiet", *packages]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            print(f"{peer} cannot be installed: {done.stderr.strip().splitlines()[-1]}")
            return None
    return python


def measured(python: Path, peer: str, job: dict[str, Any]) -> dict[str, Any]:
    """Run an adapter; its answer, and the peak memory of its processes. [MiB]"""
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": f"{_ROOT / 'src'}{os.pathsep}{_ROOT}",
    }
    # A session of its own: what a library has started ends with it.
    process = subprocess.Popen(
        [python.absolute(), "-m", f"benchmarks.peers.{peer}", json.dumps(job)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=_ROOT,
        start_new_session=True,
    )
    peak = [0.0]
    watcher = threading.Thread(target=_watch_memory, args=(process, peak), daemon=True)
    watcher.start()
    try:
        out, errors = process.communicate(timeout=job["seconds"] + _LONGEST_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, errors = process.communicate()
    watcher.join()
    lines = [line for line in out.splitlines() if line.startswith("{")]
    if process.returncode or not lines:
        told = errors.strip().splitlines() or ["no answer"]
        return {"failed": told[-1]}
    return json.loads(lines[-1]) | {"peak_memory_mib": round(peak[0])}


def _watch_memory(process: subprocess.Popen, peak: list[float]) -> None:
    """Look twice a second at what a process and its descendants hold. [MiB]"""
    while process.poll() is None:
        peak[0] = max(peak[0], sum(map(_own_mib, _family(process.pid))))
        time.sleep(0.5)


def _family(root: int) -> list[int]:
    """A process and its descendants."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        children.setdefault(parent, []).append(int(path.parent.name))
    found, waiting = [], [root]
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


def _own_mib(pid: int) -> float:
    """Memory of a process, with its share of what it has in common with others. [MiB]"""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def main(options: Options) -> None:
    """Measure what is missing, then print the tables."""
    pythons = {name: python_of(options, name) for name in ("frank", *options.peers)}
    if pythons["frank"] is None:
        raise RuntimeError("Frank itself is not there")
    rows = [row for row in read_rows(options.results) if "failed" not in row]
    known = {(row["peer"], json.dumps(row["job"])) for row in rows}
    options.results.parent.mkdir(parents=True, exist_ok=True)
    for seed in range(options.seeds):
        for job in jobs(options, seed):
            for peer, python in pythons.items():
                if python is None or (peer, json.dumps(job)) in known:
                    continue
                row = {"peer": peer, "job": job} | measured(python, peer, job)
                rows.append(row)
                with options.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                told = {
                    name: value for name, value in row.items() if name not in ("job", "evaluations")
                }
                print(job["task"], job["env_id"], job.get("widths"), told, flush=True)
    print(tables(rows))
    if options.plot is not None:
        plot(rows, options.plot)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
