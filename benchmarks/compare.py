"""Frank beside other DQN libraries: the same work, in one run.

`python -m benchmarks compare --peers sb3 sbx tianshou torchrl rllib --seeds 3` installs each
library from its published package into a virtual environment of its own, then measures
in turns, one process at a time:

- env steps per second at settings that all share, and with it start-up (from the start
  of the process to the first env step; for Frank to the end of its first round) and the
  peak memory of the process and its children;
- seconds until LunarLander-v3 is solved, each library with its own best published
  recipe, given up after `--limit` seconds.

Results are kept in a JSON-lines file; what is in it is not measured again. `--plot FILE`
draws greedy return against seconds.
"""

import json
import os
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

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
_ENVS = ("LunarLander-v3", "CartPole-v1")
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
            for env_id in _ENVS
            for width, batch, ratio in _SETTINGS
        ]
    if "solve" in options.tasks:
        found.append({"task": "solve", "env_id": _ENVS[0], "seed": seed, "seconds": options.limit})
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
    process = subprocess.Popen(
        [python.absolute(), "-m", f"benchmarks.peers.{peer}", json.dumps(job)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=_ROOT,
    )
    peak = [0.0]
    watcher = threading.Thread(target=_watch_memory, args=(process, peak), daemon=True)
    watcher.start()
    try:
        out, errors = process.communicate(timeout=job["seconds"] + _LONGEST_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
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
    rows = _read(options.results)
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
                told = {name: value for name, value in row.items() if name not in ("job", "looks")}
                print(job["task"], job["env_id"], job.get("widths"), told, flush=True)
    print(tables(rows))
    if options.plot is not None:
        plot(rows, options.plot)


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _peers_in(rows: Iterable[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["peer"] for row in rows))


def tables(rows: list[dict[str, Any]]) -> str:
    """The results as Markdown."""
    rows = [row for row in rows if "failed" not in row]
    speed = [row for row in rows if row["job"]["task"] == "speed"]
    solve = [row for row in rows if row["job"]["task"] == "solve"]
    found = []
    if speed:
        found += [speed_table(speed), footprint_table(speed)]
    if solve:
        found.append(solve_table(solve))
    return "\n\n".join(found)


def _spread(values: list[float], form: str) -> str:
    least, middle, most = np.min(values), np.median(values), np.max(values)
    return f"{middle:{form}} ({least:{form}}–{most:{form}})"


def speed_table(rows: list[dict[str, Any]]) -> str:
    """Env steps per second, and how many times Frank's is another's."""
    peers = _peers_in(rows)
    lines = [
        f"| environment · widths · batch · ratio | {' | '.join(peers)} |",
        f"|---|{'---|' * len(peers)}",
    ]
    keys = list(dict.fromkeys(_key(row["job"]) for row in rows))
    for key in keys:
        speeds = {
            peer: [
                row["env_steps_per_second"]
                for row in rows
                if row["peer"] == peer and _key(row["job"]) == key
            ]
            for peer in peers
        }
        frank = np.median(speeds["frank"])
        cells = []
        for peer, values in speeds.items():
            text = _spread(values, ",.0f") if values else "–"
            if values and peer != "frank":
                text += f", {frank / np.median(values):.1f}×"
            cells.append(text)
        lines.append(f"| {key} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _key(job: dict[str, Any]) -> str:
    widths = "×".join(map(str, job["widths"]))
    return f"{job['env_id']} · {widths} · {job['batch_size']} · {job['replay_ratio']}"


def footprint_table(rows: list[dict[str, Any]]) -> str:
    """Start-up and memory."""
    lines = ["| library | start-up, s | peak memory, MiB |", "|---|---|---|"]
    for peer in _peers_in(rows):
        own = [row for row in rows if row["peer"] == peer]
        startup = _spread([row["startup_seconds"] for row in own], ".1f")
        memory = _spread([row["peak_memory_mib"] for row in own], ",.0f")
        lines.append(f"| {peer} | {startup} | {memory} |")
    return "\n".join(lines)


def solve_table(rows: list[dict[str, Any]]) -> str:
    """When each run was solved; one that was not took longer than its limit."""
    lines = [
        "| library | seconds until solved, each seed | median | Frank is faster by |",
        "|---|---|---|---|",
    ]
    limits = {peer: [] for peer in _peers_in(rows)}
    for row in rows:
        limits[row["peer"]].append(row["solved_seconds"] or np.inf)
    frank = np.median(limits["frank"])
    for peer, values in limits.items():
        limit = max(row["job"]["seconds"] for row in rows if row["peer"] == peer)
        told = [f"{value:.1f}" if np.isfinite(value) else f"> {limit:.0f}" for value in values]
        median = np.median(values)
        if np.isfinite(median):
            middle, ratio = f"{median:.1f}", f"{median / frank:.1f}×"
        else:
            middle, ratio = f"> {limit:.0f}", f"more than {limit / frank:.0f}×"
        lines.append(
            f"| {peer} | {', '.join(told)} | {middle} | {'' if peer == 'frank' else ratio} |"
        )
    return "\n".join(lines)


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw the mean return of each greedy look against seconds since the process began."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    solve = [row for row in rows if row["job"]["task"] == "solve" and "failed" not in row]
    colours = {peer: f"C{number}" for number, peer in enumerate(_peers_in(solve))}
    for row in solve:
        seconds, _, returns = zip(*row["looks"], strict=True) if row["looks"] else ((), (), ())
        axes.plot(seconds, returns, color=colours[row["peer"]], alpha=0.8, linewidth=1)
    for peer, colour in colours.items():
        axes.plot([], [], color=colour, label=peer)
    axes.axhline(200, color="grey", linestyle=":", linewidth=1)
    axes.set(
        xscale="log",
        ylim=(-500, 320),
        xlabel="seconds since the process began",
        ylabel="mean return of 5 greedy episodes",
        title=f"{_ENVS[0]}: each library with its own best published settings",
    )
    axes.legend()
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
