"""`kill -9` at random moments, then a resume: the same bits as without."""

import itertools
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any, NamedTuple

from frankrl.runs import list_checkpoints
from robustness.disk import compiled, counted, failing
from robustness.outcome import Outcome
from robustness.parallel import at_once
from robustness.runs import Case, contents, continued, finished, frank, interrupted, train

CASES = [
    Case(env_id, num_envs, overlap, seed)
    for seed in (0, 1, 2)
    for env_id in ("LunarLander-v3", "CartPole-v1")
    for num_envs in (1, 8)
    for overlap in (True, False)
]
_SMALL = ("--batch-size", "8", "--evaluation-max-episode-steps", "30", "--torso", "minatar")
_SCREEN = ("--resize", "16", "--life-loss-terminates", "--sticky-actions", "0.25")
ATARI = Case("ALE/Breakout-v5", 2, True, 0, 500, (*_SMALL, *_SCREEN))
MINATAR = Case("MinAtar/Seaquest-v1", 3, False, 1, 510, (*_SMALL, "--frame-stack", "2"))
"""Runs that see: screens of which four are stacked, and grids of which two are."""
_SEQUENCES = ("--batch-size", "8", "--sequence-steps", "8", "--burn-in-steps", "2")
_MEMORY = ("--memory", "gru", "--memory-units", "8", *_SEQUENCES)
RECURRENT = Case("CartPole-v1", 2, True, 0, 600, _MEMORY)
"""A run of a network with a memory, whose environments are stepped on the host."""
ON_DEVICE = Case("frankrl/CartPole-functional-v0", 2, True, 0)
"""A run that is one compiled program."""
REMEMBERING = Case("frankrl/RepeatAfterMe-functional-v0", 2, False, 0, 600, _MEMORY)
"""The same, of a network with a memory."""
_MANY = 20
_DIED = -signal.SIGKILL


class _Whole(NamedTuple):
    """A run that nobody disturbed."""

    contents: dict[str, Any]
    seconds: float
    calls: int
    """Writes, flushes, renames and links among its checkpoints."""


def study(
    work: Path,
    kills: int,
    *,
    many: int = _MANY,
    cases: list[Case] = CASES,
    of: str = "",
) -> Outcome:
    """Kill runs, each once, and one of them many times.

    Args:
        work: a folder for the runs.
        kills: how many runs to kill once: half of them at a random write of a checkpoint,
            the others at a random moment of the process's life.
        many: how often to kill the one.
        cases: runs to choose from, in turn.
        of: what they are, if that is to be told.
    """
    name, told = (f"kills of {of}", f" ({of})") if of else ("kills", "")
    claim = f"`kill -9`, then a resume{told}: byte for byte the uninterrupted run"
    outcome = Outcome(name, claim)
    library = compiled(work)
    chosen = [case for _, case in zip(range(kills), itertools.cycle(cases), strict=False)]
    whole: dict[Case, _Whole] = {}

    def uninterrupted(case: Case) -> None:
        out, log = work / "whole" / case.name(), work / f"calls-{case.name()}"
        begun = time.monotonic()
        train(case, out, failing(library, out / "checkpoints", 0, 0, log))
        whole[case] = _Whole(contents(out), time.monotonic() - begun, counted(log)[0])

    def once(number: int) -> None:
        case, out, draw = chosen[number], work / f"killed-{number}", random.Random(number)
        if number % 2 == 0:
            at = draw.randrange(1, whole[case].calls + 1)
            shim = failing(library, out / "checkpoints", at, _DIED, work / "none")
            status, _ = train(case, out, shim)
            outcome.count("inside a save", int(status == _DIED))
        else:
            process = frank("train", *case.flags(), "--out", out)
            interrupted(process, signal.SIGKILL, draw.uniform(0.1, whole[case].seconds))
            status, _ = finished(process)
            outcome.count("elsewhere", int(status == _DIED))
        if status != _DIED:
            outcome.count("had ended already")
        _compare(outcome, case, out, whole[case].contents, f"kill {number}")

    at_once(uninterrupted, list(dict.fromkeys(chosen)))
    at_once(once, range(kills))
    if many:
        case, out, draw = chosen[0], work / "killed-often", random.Random(many)
        for _ in range(many):
            # Three saves or so further each time: about twenty calls of the shim are one save.
            shim = failing(library, out / "checkpoints", draw.randrange(40, 90), _DIED, work / "no")
            resume = bool(list_checkpoints(out / "checkpoints"))
            status, _ = train(case, out, shim, resume=resume)
            outcome.count("times one run was killed", int(status == _DIED))
        _compare(outcome, case, out, whole[case].contents, "the run killed many times")
    return outcome


def _compare(outcome: Outcome, case: Case, out: Path, whole: dict, what: str) -> None:
    if not list_checkpoints(out / "checkpoints"):
        outcome.count("had no checkpoint yet: begun anew")
    status, errors = continued(case, out)
    if status != 0:
        outcome.note(False, f"{what} ({case.name()}): exit {status}: {errors[-300:]}")
        return
    found = contents(out)
    different = [name for name in whole if whole[name] != found.get(name)]
    outcome.note(not different, f"{what} ({case.name()}): {', '.join(different)} differ")
    shutil.rmtree(out)
