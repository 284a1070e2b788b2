"""SIGINT and SIGTERM at random moments: a durable checkpoint and the right exit status."""

import random
import shutil
import signal
import time
from pathlib import Path

from frankrl.core.errors import FrankError
from frankrl.runs import load_newest
from torture.crew import at_once
from torture.outcome import Outcome
from torture.runs import Case, contents, continued, finished, frank, interrupted, train

_CASES = [
    Case("LunarLander-v3", 8, True, 0, total_env_steps=2_000),
    Case("CartPole-v1", 1, False, 1, total_env_steps=2_000),
]
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_WITHIN_SECONDS = 5.0
_EVERYTHING: dict[str, int] = dict.fromkeys(
    ("q_network", "target_network", "average_network", "optimiser", "replay", "collection"), 10**8
)


def study(work: Path, signals: int) -> Outcome:
    """Send signals at moments random over the whole life of the process.

    Args:
        work: a folder for the runs.
        signals: how many, to as many runs.
    """
    outcome = Outcome(
        "signals", f"SIGINT or SIGTERM: saved, exit 130 or 143, within {_WITHIN_SECONDS:g} s"
    )
    whole, lasted = {}, {}
    for case in _CASES:
        begun = time.monotonic()
        train(case, work / case.name())
        lasted[case] = time.monotonic() - begun
        whole[case] = contents(work / case.name())

    def once(number: int) -> None:
        case, sent = _CASES[number % 2], _SIGNALS[number // 2 % 2]
        out = work / f"stopped-{number}"
        what = f"{sent.name} to {case.name()}"
        wait = random.Random(number).uniform(0.2, 0.8 * lasted[case])
        process = frank("train", *case.flags(), "--out", out)
        at = interrupted(process, sent, wait)
        status, errors = finished(process)
        took = 0.0 if at is None else time.monotonic() - at
        with outcome.lock:
            longest = outcome.notes.get("longest, ms", 0)
            outcome.notes["longest, ms"] = max(longest, round(1_000 * took))
        over = status == 0 and took < _WITHIN_SECONDS
        # Python gives signals back their own meaning when it leaves.
        if over or (status == -sent and (out / "report.json").exists()):
            outcome.count("had finished already")
        elif status == -sent and not out.exists():
            # Python itself was still starting.
            outcome.count("before there was a run")
            outcome.note(True, "")
            return
        elif status != 128 + sent or took > _WITHIN_SECONDS or "Traceback" in errors:
            outcome.note(False, f"{what} after {wait:.2f} s: exit {status}: {errors[-300:]}")
            return
        elif not out.exists():
            outcome.count("before there was a run")
            outcome.note(True, "")
            return
        else:
            try:
                load_newest(out / "checkpoints", _EVERYTHING, optional=_EVERYTHING)
            except FrankError as error:
                outcome.note(False, f"{what} after {wait:.2f} s: {error}")
                return
        status, errors = continued(case, out)
        same = status == 0 and contents(out) == whole[case]
        outcome.note(same, f"{what} after {wait:.2f} s: other bits after a resume: {errors[-300:]}")
        shutil.rmtree(out)

    at_once(once, range(signals))
    if (over := outcome.notes.get("had finished already", 0)) > signals / 2:
        outcome.note(False, f"{over} of {signals} runs went on to their end as if nothing had come")
    return outcome
