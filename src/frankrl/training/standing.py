"""Where a run stands, beside its arrays: what a checkpoint says of itself."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from frankrl.config import Settings
from frankrl.errors import RunFolderError
from frankrl.training.events import Best, Inexact, Solved
from frankrl.training.round import updates_due


class Standing(NamedTuple):
    """Counters and findings of a run between two rounds."""

    env_id: str
    env_steps: int
    updates: int
    episodes: int
    evaluation_due: bool
    """Whether the evaluation that belongs to this env step is still to be played."""
    seconds: float
    solved: Solved | None
    best: Best | None
    inexact: tuple[Inexact, ...]
    versions: dict[str, Any]
    """Of the process that has written it."""
    machine: dict[str, Any]

    def info(self) -> dict[str, Any]:
        """As plain data."""
        told = self._asdict()
        for name in ("solved", "best"):
            told[name] = told[name] and told[name]._asdict()
        told["inexact"] = [mark._asdict() for mark in self.inexact]
        return told

    @classmethod
    def from_info(cls, info: Mapping[str, Any], settings: Settings) -> "Standing":
        """The reverse of `info`, with everything checked.

        Raises:
            RunFolderError: it is not such data, or cannot be of a run with these settings.
        """
        found = cls(
            env_id=_typed(info, "env_id", str),
            env_steps=_count(info, "env_steps"),
            updates=_count(info, "updates"),
            episodes=_count(info, "episodes"),
            evaluation_due=_typed(info, "evaluation_due", bool),
            seconds=_real(info, "seconds"),
            solved=None,
            best=None,
            inexact=tuple(
                Inexact(_count(mark, "env_steps"), _typed(mark, "reason", str))
                for mark in map(_table, _typed(info, "inexact", list))
            ),
            versions=_typed(info, "versions", dict),
            machine=_typed(info, "machine", dict),
        )
        if info.get("solved") is not None:
            solved = _typed(info, "solved", dict)
            found = found._replace(
                solved=Solved(
                    _count(solved, "env_steps"),
                    _real(solved, "seconds"),
                    _real(solved, "mean_return"),
                )
            )
        if info.get("best") is not None:
            best = _typed(info, "best", dict)
            found = found._replace(
                best=Best(
                    _count(best, "env_steps"),
                    _real(best, "mean_return"),
                    _count(best, "episodes"),
                )
            )
        due = updates_due(settings, found.env_steps)
        if found.env_steps % settings.round_env_steps or found.updates != due:
            raise RunFolderError(
                f"the checkpoint does not fit the run's settings: with them no round ends at "
                f"env step {found.env_steps:,} with {found.updates:,} updates"
            )
        return found


_MOST = 2**53
"""What every reader of JSON agrees on."""


def _typed(info: Mapping[str, Any], name: str, kind: type) -> Any:
    value = info.get(name)
    if type(value) is not kind:
        raise RunFolderError(
            f"the checkpoint says of {name} {str(value)[:40]!r}, where a {kind.__name__} belongs"
        )
    return value


def _table(value: Any) -> Mapping[str, Any]:
    return _typed({"mark": value}, "mark", dict)


def _count(info: Mapping[str, Any], name: str) -> int:
    value = _typed(info, name, int)
    if not 0 <= value <= _MOST:
        raise RunFolderError(f"the checkpoint says of {name} {str(value)[:40]}, which cannot be")
    return value


def _real(info: Mapping[str, Any], name: str) -> float:
    value = info.get(name)
    if type(value) is int and abs(value) <= _MOST:
        return float(value)
    if type(value) is not float or not math.isfinite(value):
        raise RunFolderError(f"the checkpoint says of {name} {str(value)[:40]!r}, no number")
    return value
