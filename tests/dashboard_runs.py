"""Run folders with chosen metrics, and a dashboard that shows them."""

import contextlib
import http.client
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hanging import HANGS_AFTER_SECONDS

from frankrl.config.presets import load_preset
from frankrl.runs import MetricsWriter, RunDescription, RunFolder, save_checkpoint
from frankrl.runs.group import RunGroup
from frankrl.runs.lock import LOCK

ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/")
GONE = str(2**31 - 1)
"""The id of a process that does not exist."""


def make_run(path: Path, *, env_id="CartPole-v1", seed=0, preset="default", **settings):
    """A run folder without metrics."""
    chosen = load_preset(preset).with_changes(**settings).resolved()
    return RunFolder.create(path, RunDescription(env_id, preset, seed, chosen))


def make_group(path: Path, seeds, *, preset="default", **settings):
    """The folder of a group without runs."""
    chosen = load_preset(preset).with_changes(**settings).resolved()
    return RunGroup.create(path, RunDescription("CartPole-v1", preset, 0, chosen), tuple(seeds))


def write_metrics(run, **tables):
    """Add rows, given as columns by name; other columns are 0 or NULL."""
    writer = MetricsWriter(run.metrics)
    for table, columns in tables.items():
        names = _columns(run.metrics, table)
        filled = {name: (0 if needed else None) for name, needed in names.items()}
        rows = zip(*columns.values(), strict=True)
        writer.write(
            (table, tuple((filled | dict(zip(columns, row, strict=True))).values())) for row in rows
        )
    writer.close()
    return run


def with_checkpoints(path, env_steps=(10, 20, 30)):
    """The path of a finished run with checkpoints."""
    run = write_metrics(make_run(path), training={"env_steps": [100]})
    for step in env_steps:
        arrays = {"weights": np.arange(step * 100, dtype=np.float32)}
        save_checkpoint(run.checkpoints, step, {"online": arrays}, {"env_steps": step})
    (path / LOCK).write_text(GONE)
    run.write_report({"env_steps": 100, "stopped": False, "solved": None, "evaluation": None})
    return run.path


def _columns(metrics, table):
    """The columns of a table in order, and whether each is NOT NULL."""
    with contextlib.closing(sqlite3.connect(metrics)) as connection:
        columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
    return {name: bool(needed) for _, name, _, needed, _, _ in columns}


@contextlib.contextmanager
def served(root, *words):
    """The port of a `frank dashboard` in a separate process, ended by Ctrl-C."""
    with serving(root, *words) as (port, _):
        yield port


@contextlib.contextmanager
def serving(root, *words):
    """The same, with the id of the process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "frankrl", "dashboard", str(root), "--port", "0", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        match = ADDRESS.match(line)
        assert match, line + process.stderr.read()
        yield int(match[1]), process.pid
    finally:
        process.send_signal(signal.SIGINT)
        _, printed = process.communicate()
    assert process.returncode == 0
    assert re.fullmatch("The runs below .*, until Ctrl-C:\n", printed)


def workers_of(process):
    """The ids of a server's worker processes."""
    if not os.path.isdir("/proc/self"):
        pytest.skip("Linux says in /proc which processes there are")
    workers = []
    for number in Path(f"/proc/{process}/task/{process}/children").read_text().split():
        with contextlib.suppress(OSError):
            if b"frankrl.dashboard.work" in Path(f"/proc/{number}/cmdline").read_bytes():
                workers.append(number)
    return workers


def wait_until(condition):
    """Wait for something that has to come."""
    ends_at = time.monotonic() + HANGS_AFTER_SECONDS
    while not (value := condition()):
        assert time.monotonic() < ends_at, "it hangs: what was waited for never came"
        time.sleep(0.02)
    return value


def get(port, path, **headers):
    """Status, headers and body of one request, whose path is sent as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANGS_AFTER_SECONDS)
    try:
        connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
        for name, value in ({"Host": f"127.0.0.1:{port}"} | headers).items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def rows(port):
    """The rows of the table of runs, as a page is told them first."""
    return event(port)["rows"]


def event(port):
    """What a page is told first."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANGS_AFTER_SECONDS)
    connection.request("GET", "/events")
    answer = connection.getresponse()
    line = answer.readline()
    answer.close()
    connection.close()
    return json.loads(line.removeprefix(b"data: "))
