"""A sweep's driver that ends at any of its steps: the sweep ends as one that was not disturbed.

Nothing is trained: what a run gives is a formula (`tests/sweeps/pretended.py`).
"""

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from sweeps.pretended import definition_of, drive, driver_of

from frankrl.runs.disk import replace_durably
from frankrl.sweeps import trial as trial_module
from frankrl.sweeps.trial import Trial
from robustness.outcome import Outcome

TRIALS = 14
RACING = {"pruner": "racing", "seeds": tuple(range(100, 106))}


class Killed(BaseException):
    """Ends the process at a step."""


def study(work: Path, every: int = 1) -> Outcome:
    """End a racing sweep at a step, before or after a write of a trial or a run, and go on.

    Args:
        work: a folder for the sweeps.
        every: the steps between two that are tried, from the first one to the last.
    """
    outcome = Outcome(
        "sweep steps", "a sweep ends at one of its steps, then goes on: the undisturbed trials"
    )
    undisturbed = _swept(work / "undisturbed", random.Random(0))
    last = 0
    while _ended_at(work / f"{last}", last):
        found = _swept(work / f"{last}", random.Random(-last))
        outcome.note(found == undisturbed, f"ended at step {last}: other trials")
        shutil.rmtree(work / f"{last}")
        last += every
    return outcome


def _ended_at(path: Path, last: int) -> bool:
    """End a sweep at this step; false if it was over before."""
    step = _ending_at(last)

    def write(file: Path, content: bytes) -> None:
        step()
        replace_durably(file, content)
        step()

    driver = driver_of(path, definition_of(**RACING), TRIALS)
    with mock.patch.object(trial_module, "replace_durably", write):
        try:
            drive(driver, draw=random.Random(last), step=step)
        except Killed:
            return True
    return False


def _ending_at(last: int) -> Callable[[], None]:
    count = iter(range(1_000_000))

    def step() -> None:
        if next(count) == last:
            raise Killed

    return step


def _swept(path: Path, draw: random.Random) -> dict[int, Trial]:
    driver = driver_of(path, definition_of(**RACING), TRIALS)
    drive(driver, draw=draw)
    return driver.trials
