"""Where a run stands, beside its arrays: what a checkpoint says of itself."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from frankrl.config import Settings
from frankrl.core.errors import RunFolderError
from frankrl.training.events import Best, NotReproducible, Solved
from frankrl.training.rounds import updates_due


class CheckpointMetadata(NamedTuple):
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
    not_reproducible: tuple[NotReproducible, ...]
    versions: dict[str, Any]
    """Of the process that has written it."""
    machine: dict[str, Any]

    def info(self) -> dict[str, Any]:
        """As plain data."""
        told = self._asdict()
        for name in ("solved", "best"):
            told[name] = told[name] and told[name]._asdict()
        told["not_reproducible"] = [mark._asdict() for mark in self.not_reproducible]
        return told

    @classmethod
    def from_info(cls, info: Mapping[str, Any], settings: Settings) -> "CheckpointMetadata":
        """The reverse of `info`, with everything checked.

        Raises:
            RunFolderError: it is not such data, or cannot be of a run with these settings.
        """
        found = cls(
            env_id=_typed(info, "env_id", str),
            env_steps=count_in(info, "env_steps"),
            updates=count_in(info, "updates"),
            episodes=count_in(info, "episodes"),
            evaluation_due=_typed(info, "evaluation_due", bool),
            seconds=_real(info, "seconds"),
            solved=_optional(
                info,
                "solved",
                lambda told: Solved(
                    count_in(told, "env_steps"), _real(told, "seconds"), _real(told, "mean_return")
                ),
            ),
            best=_optional(
                info,
                "best",
                lambda told: Best(
                    count_in(told, "env_steps"),
                    _real(told, "mean_return"),
                    count_in(told, "episodes"),
                ),
            ),
            not_reproducible=tuple(
                NotReproducible(count_in(mark, "env_steps"), _typed(mark, "reason", str))
                for mark in _typed(info, "not_reproducible", list)
                if _typed({"not_reproducible": mark}, "not_reproducible", dict)
            ),
            versions=_typed(info, "versions", dict),
            machine=_typed(info, "machine", dict),
        )
        due = updates_due(settings, found.env_steps)
        if found.env_steps % settings.round_env_steps or found.updates != due:
            raise RunFolderError(
                f"the checkpoint does not fit the run's settings: with them no round ends at "
                f"env step {found.env_steps:,} with {found.updates:,} updates"
            )
        return found


_T = TypeVar("_T")
_MOST = 2**53
"""What every reader of JSON agrees on."""


def _typed(info: Mapping[str, Any], name: str, kind: type) -> Any:
    value = info.get(name)
    if type(value) is not kind:
        raise RunFolderError(
            f"the checkpoint says of {name} {str(value)[:40]!r}, where a {kind.__name__} belongs"
        )
    return value


def _optional(
    info: Mapping[str, Any], name: str, build: Callable[[dict[str, Any]], _T]
) -> _T | None:
    return None if info.get(name) is None else build(_typed(info, name, dict))


def count_in(info: Mapping[str, Any], name: str) -> int:
    """A count that a checkpoint tells of.

    Raises:
        RunFolderError: it tells of none.
    """
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
