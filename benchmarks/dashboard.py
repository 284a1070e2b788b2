"""What a dashboard costs the training that it shows, with many pages open.

`python -m benchmarks dashboard` trains LunarLander-v3 and, while it trains, looks at it with
20 clients for a minute, then for a minute not at all, in turn. A client does what an open page
does: it keeps the stream of events, and asks for the run's curves whenever its row has changed,
no sooner than the page does. Evaluations are left out, for they take their time out of either
minute by chance.

A delay is from the moment at which the training made a row to the moment at which the curves
with that row are there, for every row and client.
"""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from frankrl.runs import MetricsReader

_NEVER = 2**30
_SETTLE_SECONDS = 10
_SHORTEST_SECONDS = 0.4
"""Between two questions of a page: as in its `learning.js`."""


@dataclass(frozen=True)
class Options:
    """What to measure."""

    env_id: str = "LunarLander-v3"
    """Environment; its preset is used."""
    clients: int = 20
    """Pages that are open at once."""
    minute_seconds: float = 60.0
    """How long they are open, and then not. [s]"""
    turns: int = 3
    """How often. [turns]"""


class Client(threading.Thread):
    """Does what an open page does."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.seen: list[tuple[float, int]] = []
        """When curves came, in seconds since 1970, and the env steps of their newest row."""
        self._port = port
        self._stopped = threading.Event()

    def run(self) -> None:
        """Listen until stopped."""
        stream = http.client.HTTPConnection("127.0.0.1", self._port)
        curves = http.client.HTTPConnection("127.0.0.1", self._port)
        stream.request("GET", "/events")
        events = stream.getresponse()
        last = 0.0
        while not self._stopped.is_set():
            line = events.readline()
            if not line.startswith(b"data: "):
                continue
            for row in json.loads(line.removeprefix(b"data: "))["rows"]:
                self._stopped.wait(max(0.0, last + _SHORTEST_SECONDS - time.monotonic()))
                last = time.monotonic()
                curves.request("GET", f"/curves?runs={row['id']}")
                curves.getresponse().read()
                self.seen.append((time.time(), row["env_steps"]))
        stream.close()
        curves.close()

    def stop(self) -> None:
        """Go away at the next event."""
        self._stopped.set()


@contextlib.contextmanager
def training(options: Options, out: Path) -> Iterator[float]:
    """A training that goes on until it is no longer needed.

    Yields:
        When its clock began. [s since 1970]
    """
    words = [
        *("train", options.env_id, "--out", str(out), f"--total-env-steps={_NEVER}"),
        f"--evaluate-every-env-steps={_NEVER}",
    ]
    command = [sys.executable, "-m", "frankrl", *words]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield time.time()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


@contextlib.contextmanager
def dashboard(root: Path) -> Iterator[tuple[int, int]]:
    """A dashboard's port and the number of its process."""
    command = [sys.executable, "-m", "frankrl", "dashboard", str(root), "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        match = re.search(r":(\d+)/", process.stdout.readline())
        assert match, "the dashboard did not start"
        yield int(match[1]), process.pid
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def env_steps_per_second(run: Path, begun: float, ended: float) -> float:
    """A training's speed between two moments of its own clock."""
    reader = MetricsReader(run / "metrics.sqlite")
    timing = reader.columns("timing", f"seconds BETWEEN {begun} AND {ended}")
    reader.close()
    steps, seconds = timing["env_steps"], timing["seconds"]
    return float((steps[-1] - steps[0]) / (seconds[-1] - seconds[0]))


def delays_of(run: Path, began: float, seen: list[tuple[float, int]]) -> list[float]:
    """For each row between a client's first and last look, how long it took to be there. [s]"""
    if not seen:
        return []
    reader = MetricsReader(run / "metrics.sqlite")
    timing = reader.columns("timing", f"env_steps > {seen[0][1]} AND env_steps <= {seen[-1][1]}")
    reader.close()
    times, newest = (np.array(column) for column in zip(*seen, strict=True))
    came = times[np.searchsorted(newest, timing["env_steps"])]
    return (came - began - timing["seconds"]).tolist()


def clock(run: Path) -> float:
    """The newest moment of a training's own clock. [s]"""
    reader = MetricsReader(run / "metrics.sqlite")
    newest = reader.columns("timing", "env_steps = (SELECT max(env_steps) FROM timing)")
    reader.close()
    return float(newest["seconds"][0]) if len(newest["seconds"]) else 0.0


def resident_bytes(process: int) -> int:
    """Memory that a process has. [bytes]"""
    pages = int(Path(f"/proc/{process}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def processor_seconds(process: int) -> float:
    """Time that a process has computed for. [s]"""
    fields = Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(options: Options) -> None:
    """Measure, and print one JSON object for each turn and one for all."""
    alone, watched, delays, memory = [], [], [], []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        run = Path(folder) / "run"
        began = stack.enter_context(training(options, run))
        while not (run / "metrics.sqlite").exists() or clock(run) < _SETTLE_SECONDS:
            time.sleep(0.5)
        port, server = stack.enter_context(dashboard(Path(folder)))
        # The clients stand for other people's machines, which take nothing from this one.
        if sys.platform == "linux":
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        for turn in range(options.turns):
            begun = clock(run)
            time.sleep(options.minute_seconds)
            alone.append(env_steps_per_second(run, begun, clock(run)))
            before, computed = resident_bytes(server), processor_seconds(server)
            clients = [Client(port) for _ in range(options.clients)]
            for client in clients:
                client.start()
            begun = clock(run)
            time.sleep(options.minute_seconds)
            watched.append(env_steps_per_second(run, begun, clock(run)))
            memory.append(resident_bytes(server) - before)
            computed = processor_seconds(server) - computed
            for client in clients:
                client.stop()
            for client in clients:
                client.join()
            delays += [d for client in clients for d in delays_of(run, began, client.seen)]
            told = {
                "turn": turn,
                "alone_env_steps_per_second": round(alone[-1]),
                "watched_env_steps_per_second": round(watched[-1]),
                "memory_growth_mb": round(memory[-1] / 1e6, 1),
                "server_processor_share": round(computed / options.minute_seconds, 3),
            }
            print(json.dumps(told), flush=True)
    change = np.mean(watched) / np.mean(alone) - 1
    summary = {
        "clients": options.clients,
        "change_of_speed": round(float(change), 4),
        "most_memory_growth_mb": round(max(memory) / 1e6, 1),
        "delay_seconds_median": round(float(np.median(delays)), 3),
        "delay_seconds_99_percent": round(float(np.percentile(delays, 99)), 3),
        "delay_seconds_most": round(float(np.max(delays)), 3),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
