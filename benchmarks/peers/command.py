"""The command `frank train` in a process of its own, timed as the shell sees it.

Every process gets its cache of compiled code from the caller, so that one decides whether it is
cold or warm. The source that runs may be that of another checkout.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_FACTS = """
import json
from frankrl.runs.machine import machine_facts, versions
print(json.dumps({"machine": machine_facts(), "versions": versions()}))
"""


def facts() -> dict[str, Any]:
    """Machine and versions; asked in a process of its own, so that this one holds no GPU."""
    done = subprocess.run(
        [sys.executable, "-c", _FACTS],
        stdout=subprocess.PIPE,
        check=True,
        env=os.environ | {"PYTHONPATH": _search_path(ROOT)},
    )
    return json.loads(done.stdout) | {"cpus": os.cpu_count()}


def commit(checkout: Path) -> str | None:
    """The commit of a checkout, with a `+` behind it if files differ; None without git."""
    words = ["git", "-C", str(checkout), "describe", "--always", "--dirty=+", "--abbrev=12"]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout.strip() or None


def source_of(checkout: Path) -> Path:
    """The folder of a checkout that `frankrl` is imported from.

    Raises:
        SystemExit: it is no checkout of Frank.
    """
    source = checkout.resolve() / "src"
    if not (source / "frankrl" / "__main__.py").is_file():
        sys.exit(f"{checkout} has no src/frankrl: give the root of a checkout of Frank")
    return source


def _search_path(checkout: Path) -> str:
    """`PYTHONPATH` with the source of a checkout before everything else."""
    given = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(source_of(checkout)), *([given] if given else [])])


def trained(
    words: Sequence[str], cache: Path, checkout: Path = ROOT, limit_seconds: float | None = None
) -> dict[str, Any]:
    """The report of `frank train` with these words, with `wall_seconds` of the whole process.

    Args:
        words: what stands behind `frank train`, without `--json` and `--out`.
        cache: where compiled code is kept.
        checkout: whose `frank` it is.
        limit_seconds: when the process is ended; None: never.

    Returns:
        The report; only `failed`, with the reason, where there is none. With `--seeds` each of its
        `runs` has the `report` of that run.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "frankrl", "train", *words, "--json", "--out", str(out)]
        there = {"PYTHONPATH": _search_path(checkout), "XDG_CACHE_HOME": str(cache)}
        begun = time.perf_counter()
        # A session of its own: the processes that a run has started end with it.
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | there,
            start_new_session=True,
        )
        try:
            out_text, errors = process.communicate(timeout=limit_seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return {"failed": f"took longer than {limit_seconds:g} s"}
        seconds = time.perf_counter() - begun
        lines = [line for line in out_text.splitlines() if line.startswith("{")]
        if process.returncode or not lines:
            told = errors.strip().splitlines() or [f"exit status {process.returncode}"]
            return {"failed": told[-1]}
        report = json.loads(lines[-1])
        for run in report.get("runs", ()):
            run["report"] = json.loads((Path(run["run"]) / "report.json").read_text("utf-8"))
    return report | {"wall_seconds": round(seconds, 3)}


def write_results(path: Path, results: dict[str, Any]) -> None:
    """Write results as JSON, in place of what the file had; an interruption leaves the old ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    new.replace(path)
