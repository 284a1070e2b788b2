"""Small runs to be interrupted, and whether two of them came to the same bits."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from hanging import HANGS_AFTER_SECONDS

from frankrl.replay import chunks
from frankrl.runs import MetricsReader, RunFolder, list_checkpoints

_CHUNK_BYTES = 1_500
"""So that a chunk holds 32 env steps: each checkpoint of these runs completes at least one."""
_SMALL_CHUNKS = {
    "PYTHONPATH": os.pathsep.join(
        filter(None, [str(Path(__file__).parent / "small_chunks"), os.environ.get("PYTHONPATH")])
    ),
    "FRANK_CHUNK_BYTES": str(_CHUNK_BYTES),
}


@dataclass(frozen=True)
class Case:
    """A run that takes a second or two."""

    env_id: str
    num_envs: int
    overlap: bool
    seed: int
    total_env_steps: int = 1_200
    more: tuple[str, ...] = ()
    """Further options of the command line."""

    def flags(self) -> list[str]:
        """The command line's options for it."""
        told: dict[str, Any] = {
            "--preset": "default",
            "--seed": self.seed,
            "--num-envs": self.num_envs,
            "--hidden-widths": 16,
            "--n-step": 3,
            "--polyak-window-updates": 100,
            "--learning-starts-env-steps": 100,
            "--replay-capacity": 200,
            "--total-env-steps": self.total_env_steps,
            "--checkpoint-every-env-steps": 40,
            "--log-every-env-steps": 100,
            "--evaluate-every-env-steps": 500,
            "--evaluation-episodes": 1,
            "--final-evaluation-episodes": 2,
        }
        words = [str(part) for pair in told.items() for part in pair]
        order = "--overlap" if self.overlap else "--no-overlap"
        return [self.env_id, *words, order, *self.more]

    def name(self) -> str:
        """A name for its folder."""
        order = "overlap" if self.overlap else "in-turn"
        env = self.env_id.replace("/", "-")
        return f"{env}-{self.num_envs}-{order}-s{self.seed}"


def frank(*words: str | Path, **environment: str) -> subprocess.Popen[str]:
    """Start the command in a process of its own."""
    return started("-m", "frankrl", *map(str, words), **environment)


def started(*words: str, **environment: str) -> subprocess.Popen[str]:
    """Start Python with these words in a process of its own."""
    return subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | _SMALL_CHUNKS | environment,
    )


def small_chunks() -> Any:
    """A context in which this process reads and writes what those others have written."""
    return mock.patch.object(chunks, "CHUNK_BYTES", _CHUNK_BYTES)


def finished(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit status and standard error of a process that is left to its end."""
    try:
        _, errors = process.communicate(timeout=HANGS_AFTER_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return -1, f"it hangs: it had not ended after {HANGS_AFTER_SECONDS:g} s"
    return process.returncode, errors


def train(
    case: Case, out: Path, environment: dict[str, str] | None = None, *, resume: bool = False
) -> tuple[int, str]:
    """Run the case to its end, from the beginning or from where it stands."""
    budget = ("--resume", out) if resume else (*case.flags(), "--out", out)
    return finished(frank("train", *budget, **(environment or {})))


def continued(case: Case, out: Path) -> tuple[int, str]:
    """Finish a run that was interrupted; one that had no checkpoint yet begins anew."""
    if list_checkpoints(out / "checkpoints"):
        status, errors = train(case, out, resume=True)
        # Of its own, Frank leaves nothing that would have to be set aside.
        return (status, errors) if "set aside" not in errors else (-2, errors)
    again = (*case.flags(), "--out", out, "--overwrite")
    return finished(frank("train", *again))


def interrupted(process: subprocess.Popen[str], number: int, after: float) -> None:
    """Send a signal after so many seconds, unless the process has ended before."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(after)
        return
    process.send_signal(number)


def killed_copy(run: Path, to: Path, env_steps: int | None = None) -> Path:
    """A finished run as a kill between two of its checkpoints leaves it.

    The metrics are further than the newest checkpoint, and there is no report.

    Args:
        run: the run folder; it stays as it is.
        to: folder of the copy.
        env_steps: of the newest checkpoint that the copy keeps; by default the second to last.
    """
    shutil.copytree(run, to)
    checkpoints = list_checkpoints(to / "checkpoints")
    kept = int(checkpoints[-2].name) if env_steps is None else env_steps
    for checkpoint in checkpoints:
        if int(checkpoint.name) > kept:
            shutil.rmtree(checkpoint)
    (to / "report.json").unlink()
    return to


def contents(run: Path) -> dict[str, Any]:
    """Everything of a run that must not depend on when or how often it was interrupted."""
    folder = RunFolder.open(run)
    newest = list_checkpoints(folder.checkpoints)[-1]
    files = [*newest.glob("*.safetensors"), *newest.glob("*.zst")]
    found: dict[str, Any] = {file.name: file.read_bytes() for file in files}
    for file in folder.best.glob("*/*.safetensors"):
        found[str(file.relative_to(folder.path))] = file.read_bytes()
    reader = MetricsReader(folder.metrics)
    for table in (
        *("episodes", "training", "evaluations", "own_metrics"),
        *("environment_restarts", "not_reproducible"),
    ):
        columns = reader.columns(table)
        found[table] = {name: list(values) for name, values in columns.items()}
    reader.close()
    report = json.loads((folder.path / "report.json").read_bytes())
    found["evaluation"], found["best"] = report["evaluation"], report["best"]
    return found
