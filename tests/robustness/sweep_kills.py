"""`kill -9` of a sweep's driver or of its workers, then the same command: the same sweep."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from robustness.outcome import Outcome
from robustness.runs import contents, finished, frank

TRIALS, SEEDS = 12, 2
_SPACE = """
[learning_rate]
low = 1e-4
high = 1e-2
log = true

[target_period_updates]
low = 10
high = 200

[double]
choices = [true, false]
"""
_SETTINGS: dict[str, Any] = {
    "--preset": "default",
    "--num-envs": 2,
    "--hidden-widths": 16,
    "--learning-starts-env-steps": 100,
    "--replay-capacity": 400,
    "--total-env-steps": 1_200,
    "--checkpoint-every-env-steps": 100,
    "--evaluate-every-env-steps": 200,
    "--evaluation-episodes": 1,
    "--final-evaluation-episodes": 3,
    "--worker-processes": 0,
}


def study(
    work: Path,
    sweeps: int,
    kills: int = 1,
    *,
    trials: int = TRIALS,
    pruners: Sequence[str] = ("none", "median"),
) -> Outcome:
    """Kill sweeps at random moments.

    Args:
        work: a folder for the sweeps.
        sweeps: how many sweeps to disturb.
        kills: how often to kill each one; in turn its driver and one of its workers.
        trials: trials of each sweep.
        pruners: what the sweeps prune by, in turn.
    """
    outcome = Outcome(
        "sweep kills",
        "`kill -9` of a sweep's driver or worker, then the same command: the undisturbed trials, "
        "weights and best settings, byte for byte",
    )
    (work / "space.toml").write_text(_SPACE)
    whole = {}
    for pruner in pruners[:sweeps]:
        begun = time.monotonic()
        status, errors = finished(_command(work, work / pruner, pruner, trials))
        assert status == 0, errors
        whole[pruner] = found_in(work / pruner), time.monotonic() - begun
    for number in range(sweeps):
        pruner, out = pruners[number % len(pruners)], work / f"killed-{number}"
        expected, seconds = whole[pruner]
        draw = random.Random(number)
        status, errors = _killed(
            lambda out=out, pruner=pruner: _command(work, out, pruner, trials),
            draw,
            kills,
            seconds,
            outcome,
        )
        if status != 0:
            outcome.note(False, f"sweep {number}: exit {status}: {errors[-300:]}")
            continue
        found = found_in(out)
        different = [name for name in expected | found if expected.get(name) != found.get(name)]
        outcome.note(not different, f"sweep {number} ({pruner}): {', '.join(different)} differ")
        shutil.rmtree(out)
    return outcome


def _command(work: Path, out: Path, pruner: str, trials: int) -> subprocess.Popen[str]:
    settings = [str(part) for pair in _SETTINGS.items() for part in pair]
    options = ("--trials", trials, "--seeds", SEEDS, "--processes", 2, "--pruner", pruner)
    words = map(str, ("--space", work / "space.toml", "--out", out, *options))
    return frank("sweep", "CartPole-v1", *words, *settings)


def _killed(
    begin: Any, draw: random.Random, kills: int, seconds: float, outcome: Outcome
) -> tuple[int, str]:
    """Begin a sweep, kill it so often, each time at a random moment, and let it end."""
    process = begin()
    for number in range(kills):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(draw.uniform(0.02, 0.9) * seconds / kills)
        if process.poll() is not None:
            outcome.count("had ended already")
            break
        if (number + draw.randrange(2)) % 2:
            process.kill()
            process.communicate()
            outcome.count("driver killed")
            process = begin()
        elif workers := _awaited_workers(process):
            with contextlib.suppress(ProcessLookupError):
                os.kill(draw.choice(workers), signal.SIGKILL)
            outcome.count("worker killed")
    status, errors = finished(process)
    if status != 0:
        # As a user would: a process that dies again and again ends the command with advice.
        outcome.count("command repeated")
        status, errors = finished(begin())
    return status, errors


def _awaited_workers(process: subprocess.Popen[str]) -> list[int]:
    """The processes in which a driver has its runs done, once there are any; none if it ends."""
    while process.poll() is None:
        if found := _workers(process.pid):
            return found
        time.sleep(0.05)
    return []


def _workers(pid: int) -> list[int]:
    """The processes in which a driver has its runs done."""
    found = []
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split():
            with contextlib.suppress(OSError):
                if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(int(child))
    return found


def found_in(out: Path) -> dict[str, Any]:
    """Everything of a sweep that must not depend on when or how often it was killed."""
    files = [*sorted((out / "trials").iterdir()), out / "best.toml", out / "trials.csv"]
    found: dict[str, Any] = {file.name: file.read_bytes() for file in [*files, out / "sweep.json"]}
    # A process that is killed as it makes a run folder leaves a hidden one.
    for run in sorted((out / "runs").glob("[!.]*")):
        found[run.name] = contents(run)
    return found
