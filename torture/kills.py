"""`kill -9` at random moments, then a resume: the same bits as without."""

import itertools
import random
import shutil
import time
from pathlib import Path
from typing import Any

from torture.crew import at_once
from torture.outcome import Outcome
from torture.runs import Case, contents, continued, frank, killed, train

CASES = [
    Case(env_id, num_envs, overlap, seed)
    for seed in (0, 1, 2)
    for env_id in ("LunarLander-v3", "CartPole-v1")
    for num_envs in (1, 8)
    for overlap in (True, False)
]
_MANY = 20


def study(work: Path, kills: int, *, many: int = _MANY, cases: list[Case] = CASES) -> Outcome:
    """Kill runs, each once, and one of them many times.

    Args:
        work: a folder for the runs.
        kills: how many runs to kill once; at least half of them inside a save.
        many: how often to kill the one.
        cases: runs to choose from, in turn.
    """
    outcome = Outcome("kills", "`kill -9`, then a resume: byte for byte the uninterrupted run")
    chosen = [case for _, case in zip(range(kills), itertools.cycle(cases), strict=False)]
    whole: dict[Case, tuple[dict[str, Any], float]] = {}

    def uninterrupted(case: Case) -> None:
        begun = time.monotonic()
        train(case, work / "whole" / case.name())
        whole[case] = contents(work / "whole" / case.name()), time.monotonic() - begun

    def once(number: int) -> None:
        case, out, random_moment = chosen[number], work / f"killed-{number}", random.Random(number)
        inside = number % 2 == 0
        if _kill_once(case, out, random_moment, whole[case][1], inside=inside):
            outcome.count("inside a save" if _unfinished(out) else "elsewhere")
        else:
            outcome.count("had ended already")
        _compare(outcome, case, out, whole[case][0], f"kill {number}")

    at_once(uninterrupted, list(dict.fromkeys(chosen)))
    at_once(once, range(kills))
    if many:
        _kill_often(outcome, chosen[0], work / "killed-often", many, whole[chosen[0]][0])
    return outcome


def _kill_often(outcome: Outcome, case: Case, out: Path, many: int, whole: dict[str, Any]) -> None:
    random_moment = random.Random(many)
    process = frank("train", *case.flags(), "--out", out)
    for _ in range(many):
        if killed(process, _after(out, random_moment.randrange(1, 3))):
            outcome.count("times one run was killed")
        process = frank("train", "--resume", out)
    process.communicate()
    _compare(outcome, case, out, whole, "the run killed many times")


def _kill_once(
    case: Case, out: Path, random_moment: random.Random, lasted: float, *, inside: bool
) -> bool:
    process = frank("train", *case.flags(), "--out", out)
    if inside:
        return killed(process, _in_save(out, random_moment.randrange(0, 25)))
    # Random over the whole life of the process, its start-up included.
    end = time.monotonic() + random_moment.uniform(0.1, lasted)

    def now() -> bool:
        time.sleep(0.001)
        return time.monotonic() >= end

    return killed(process, now)


def _in_save(out: Path, earlier: int):
    """True while a checkpoint is being written that so many were written before."""
    folder = out / "checkpoints"

    def now() -> bool:
        try:
            names = [entry.name for entry in folder.iterdir()]
        except OSError:
            return False
        newest = max((int(name) for name in names if name.isdigit()), default=0)
        return newest >= 40 * earlier and any(name.endswith(".new") for name in names)

    return now


def _after(out: Path, more: int):
    """True once so many more checkpoints are there than now."""
    folder = out / "checkpoints"

    def newest() -> int:
        try:
            return max((int(e.name) for e in folder.iterdir() if e.name.isdigit()), default=0)
        except OSError:
            return 0

    begun = newest()
    return lambda: newest() >= begun + 40 * more


def _unfinished(out: Path) -> bool:
    """Whether a save was under way."""
    folders = (out / "checkpoints", out / "best")
    return any(entry.suffix in (".new", ".old", ".gone") for f in folders for entry in f.glob(".*"))


def _compare(outcome: Outcome, case: Case, out: Path, whole: dict[str, Any], what: str) -> None:
    status, errors = continued(case, out)
    if status != 0:
        outcome.note(False, f"{what} ({case.name()}): exit {status}: {errors[-300:]}")
        return
    found = contents(out)
    different = [name for name in whole if whole[name] != found.get(name)]
    outcome.note(not different, f"{what} ({case.name()}): {', '.join(different)} differ")
    shutil.rmtree(out)
