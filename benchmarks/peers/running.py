"""Runs the adapters: each library in a virtual environment of its own, one process at a time."""

import datetime
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import read_rows
from benchmarks.peers.command import ROOT
from benchmarks.peers.venvs import python_of, versions_of
from frankrl.core.cpu import cpu_model

_NOT_SHOWN = ("job", "evaluations", "cpu", "cpus", "date", "versions")
_LONGEST_SECONDS = 600.0
"""A process that takes so much longer than its job is ended."""


def rows_of(
    wanted: Sequence[tuple[str, dict[str, Any]]],
    venvs: Path,
    packages: Iterable[str],
    results: Path,
) -> list[dict[str, Any]]:
    """Do the jobs that are not done yet; all rows of the results, with the new ones.

    A row has the machine, the load before the job, the date and the versions. It is written as soon
    as its job is done, so the work may be interrupted at any time.

    Args:
        wanted: adapters and their jobs, in this order.
        venvs: where the libraries' environments are, or are made.
        packages: what the jobs' environments need.
        results: where results are kept, one JSON object a job; those that failed are done again.
    """
    peers = dict.fromkeys(peer for peer, _ in wanted)
    pythons = {peer: python_of(peer, venvs, packages) for peer in peers}
    versions = {
        peer: versions_of(peer, python, packages) for peer, python in pythons.items() if python
    }
    rows = [row for row in read_rows(results) if "failed" not in row]
    known = {(row["peer"], json.dumps(row["job"])) for row in rows}
    results.parent.mkdir(parents=True, exist_ok=True)
    for peer, job in wanted:
        python = pythons[peer]
        if python is None or (peer, json.dumps(job)) in known:
            continue
        before = {
            "cpu": cpu_model(),
            "cpus": os.cpu_count(),
            "load": round(os.getloadavg()[0], 1),
            "date": datetime.date.today().isoformat(),
            "versions": versions[peer],
        }
        row = {"peer": peer, "job": job} | measured(python, peer, job) | before
        rows.append(row)
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        told = {name: value for name, value in row.items() if name not in _NOT_SHOWN}
        what = {name: value for name, value in job.items() if name not in ("seed", "seconds")}
        print(*what.values(), told, flush=True)
    return rows


def measured(python: Path, peer: str, job: dict[str, Any]) -> dict[str, Any]:
    """Run an adapter; its answer, and the peak memory of its processes. [MiB]"""
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
    }
    # A session of its own: what a library has started ends with it.
    process = subprocess.Popen(
        [python.absolute(), "-m", f"benchmarks.peers.{peer}", json.dumps(job)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=ROOT,
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
    except KeyboardInterrupt:
        os.killpg(process.pid, signal.SIGKILL)
        raise
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
