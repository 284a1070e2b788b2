"""SIGINT and SIGTERM at random moments: a durable checkpoint and the right exit status.

A moment is an event of the process, never a time: an import while it starts, or a write, flush
or rename in its run's folder. The process sends itself the signal there.
"""

import random
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from frankrl.core.errors import FrankError
from frankrl.runs import load_newest
from robustness.disk import compiled, counted, failing
from robustness.outcome import Outcome
from robustness.parallel import at_once
from robustness.runs import Case, contents, continued, finished, started, train

CASES = [
    Case("LunarLander-v3", 8, True, 0),
    Case("CartPole-v1", 1, False, 1),
]
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SCRIPT = Path(__file__).with_name("signal_at_import.py")
_CALLS_AFTER_TRAINING = 30
"""At most so many writes come after the last checkpoint: the report, and closing the metrics."""
_EVERYTHING: dict[str, int] = dict.fromkeys(
    ("q_network", "target_network", "average_network", "optimiser", "replay", "collection"), 10**8
)


class _Whole(NamedTuple):
    """A run that nobody disturbed."""

    contents: dict[str, Any]
    calls: int
    """Writes, flushes and renames up to the last checkpoint."""
    imports: int
    """Imports before there was a run folder."""


def study(work: Path, signals: int, cases: Sequence[Case] = CASES) -> Outcome:
    """Send signals: a third of them while the process starts, the others while it trains.

    Args:
        work: a folder for the runs.
        signals: how many, to as many runs.
        cases: runs to choose from, in turn.
    """
    outcome = Outcome(
        "signals", "SIGINT or SIGTERM: exit 130 or 143, saved, the same bits after a resume"
    )
    library = compiled(work)
    whole = {case: _undisturbed(case, library, work) for case in cases}

    def once(number: int) -> None:
        case, sent = cases[number % len(cases)], _SIGNALS[number // 2 % 2]
        folder, draw = work / f"stopped-{number}", random.Random(number)
        out = folder / "run"
        if number % 3 == 0:
            at = draw.randint(1, whole[case].imports)
            status, errors = _signalled_at_import(case, out, at, sent, work / "none")
            what = f"{sent.name} to {case.name()} at import {at}"
            outcome.count("while starting")
        else:
            at = draw.randint(1, whole[case].calls)
            shim = failing(library, folder, at, -sent, work / f"calls-{number}")
            status, errors = train(case, out, shim)
            what = f"{sent.name} to {case.name()} at call {at}"
            outcome.count("while training")
        wrong = _what_is_wrong(status, errors, sent, out)
        if not wrong and out.exists():
            status, errors = continued(case, out)
            same = status == 0 and contents(out) == whole[case].contents
            wrong = "" if same else f"other bits after a resume: {errors[-300:]}"
        outcome.note(not wrong, f"{what}: {wrong}")
        shutil.rmtree(folder, ignore_errors=True)

    at_once(once, range(signals))
    return outcome


def _what_is_wrong(status: int, errors: str, sent: signal.Signals, out: Path) -> str:
    """What a process that got the signal did not do; empty if all is as promised."""
    if status == -sent and not out.exists():
        # Python itself was still starting: Frank had no say yet.
        return ""
    if status != 128 + sent or "Traceback" in errors:
        return f"exit {status}: {errors[-300:]}"
    if out.exists():
        try:
            load_newest(out / "checkpoints", _EVERYTHING, optional=_EVERYTHING)
        except FrankError as error:
            return str(error)
    return ""


def _undisturbed(case: Case, library: Path, work: Path) -> _Whole:
    folder, log = work / case.name(), work / f"calls-{case.name()}"
    train(case, folder / "run", failing(library, folder, 0, 0, log))
    calls = counted(log)[0] - _CALLS_AFTER_TRAINING
    counting = work / f"imports-{case.name()}"
    status, errors = _signalled_at_import(case, folder / "counted", 0, 0, counting)
    assert status == 0, errors
    return _Whole(contents(folder / "run"), calls, int(counting.read_text("utf-8")))


def _signalled_at_import(case: Case, out: Path, at: int, number: int, log: Path) -> tuple[int, str]:
    """Exit status and standard error of a run that gets the signal at that import; 0: at none."""
    # -P: modules beside the script are not imported in place of others.
    words = ("-P", str(_SCRIPT), str(at), str(int(number)), str(out), str(log))
    return finished(started(*words, "train", *case.flags(), "--out", str(out)))
