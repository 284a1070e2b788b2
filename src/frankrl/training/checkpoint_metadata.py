"""Metadata of a checkpoint: the state of a run apart from its arrays."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from frankrl.config import Settings
from frankrl.core.errors import RunFolderError
from frankrl.core.figures import counted
from frankrl.core.text import shown
from frankrl.training.events import Best, EnvironmentRestarted, NotReproducible, Solved
from frankrl.training.state import ReplayStart


class CheckpointMetadata(NamedTuple):
    """Counters and results of a run between two rounds."""

    env_id: str
    environment: dict[str, Any]
    """The environment's description as data, so that an agent acts without it."""
    env_steps: int
    """By the run's clock (`Settings.clock`): in files, the name of the ticks of either clock."""
    updates: int
    episodes: int
    replay_start: ReplayStart
    holds_replay: bool
    """Whether the checkpoint holds the replay buffer, if the run has one."""
    evaluation_due: bool
    """Whether the evaluation of this moment still has to be played."""
    in_lane: bool
    """Whether the process that wrote the checkpoint computed the run as one program with the runs
    of other seeds (`RunDescription.batched_with`)."""
    seconds: float
    solved: Solved | None
    best: Best | None
    not_reproducible: tuple[NotReproducible, ...]
    environment_restarts: tuple[EnvironmentRestarted, ...]
    versions: dict[str, Any]
    """Versions of the process that wrote the checkpoint."""
    machine: dict[str, Any]

    def info(self) -> dict[str, Any]:
        """The metadata as JSON data."""
        data = self._asdict()
        for name in ("solved", "best"):
            data[name] = data[name] and data[name]._asdict()
        data["replay_start"] = self.replay_start._asdict()
        for name in ("not_reproducible", "environment_restarts"):
            data[name] = [record._asdict() for record in data[name]]
        return data

    @classmethod
    def from_info(cls, info: Mapping[str, Any], settings: Settings) -> "CheckpointMetadata":
        """The reverse of `info`; checks everything.

        Raises:
            RunFolderError: the data is invalid, or does not fit these settings.
        """
        found = cls(
            env_id=_typed(info, "env_id", str),
            environment=_typed(info, "environment", dict),
            env_steps=count_in(info, "env_steps"),
            updates=count_in(info, "updates"),
            episodes=count_in(info, "episodes"),
            replay_start=replay_start_in(info),
            holds_replay=_typed(info, "holds_replay", bool),
            evaluation_due=_typed(info, "evaluation_due", bool),
            in_lane=_typed(info, "in_lane", bool),
            seconds=_real(info, "seconds"),
            solved=_optional(
                info,
                "solved",
                lambda data: Solved(
                    count_in(data, "env_steps"), _real(data, "seconds"), _real(data, "mean_return")
                ),
            ),
            best=_optional(
                info,
                "best",
                lambda data: Best(
                    count_in(data, "env_steps"),
                    _real(data, "mean_return"),
                    count_in(data, "episodes"),
                ),
            ),
            not_reproducible=tuple(
                NotReproducible(count_in(mark, "env_steps"), shown(_typed(mark, "reason", str)))
                for mark in _records(info, "not_reproducible")
            ),
            environment_restarts=tuple(
                EnvironmentRestarted(
                    count_in(restart, "env_steps"),
                    count_in(restart, "env_index"),
                    shown(_typed(restart, "reason", str)),
                    count_in(restart, "episode"),
                )
                for restart in _records(info, "environment_restarts")
            ),
            versions=_typed(info, "versions", dict),
            machine=_typed(info, "machine", dict),
        )
        start = found.replay_start
        due = start.updates_due(settings, found.env_steps)
        if (
            found.env_steps % settings.round_ticks
            or found.updates != due
            or start.env_steps % settings.round_ticks
            or start.env_steps > found.env_steps
            or start.updates > settings.updates_due(start.env_steps)
        ):
            raise RunFolderError(
                f"the checkpoint does not fit the run's settings: with them no round ends at "
                f"{settings.clock.at(found.env_steps)} with {counted(found.updates, 'update')}"
            )
        return found


_T = TypeVar("_T")
_MAX = 2**53
"""Whole numbers up to this one are the same in every JSON reader."""


def _typed(info: Mapping[str, Any], name: str, kind: type) -> Any:
    value = info.get(name)
    if type(value) is not kind:
        raise RunFolderError(
            f"the checkpoint has the {name} {str(value)[:40]!r}, which is no {kind.__name__}"
        )
    return value


def _records(info: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    return [_typed({name: record}, name, dict) for record in _typed(info, name, list)]


def _optional(
    info: Mapping[str, Any], name: str, build: Callable[[dict[str, Any]], _T]
) -> _T | None:
    return None if info.get(name) is None else build(_typed(info, name, dict))


def count_in(info: Mapping[str, Any], name: str) -> int:
    """A count in the metadata of a checkpoint.

    Raises:
        RunFolderError: it is missing or invalid.
    """
    value = _typed(info, name, int)
    if not 0 <= value <= _MAX:
        raise RunFolderError(
            f"the checkpoint has the {name} {str(value)[:40]}, which is not from 0 to {_MAX}"
        )
    return value


def replay_start_in(info: Mapping[str, Any]) -> ReplayStart:
    """Where the replay buffer began, in the metadata of a checkpoint.

    Raises:
        RunFolderError: it is missing or invalid.
    """
    start = _typed(info, "replay_start", dict)
    return ReplayStart(count_in(start, "env_steps"), count_in(start, "updates"))


def _real(info: Mapping[str, Any], name: str) -> float:
    value = info.get(name)
    if type(value) is int and abs(value) <= _MAX:
        return float(value)
    if type(value) is not float or not math.isfinite(value):
        raise RunFolderError(
            f"the checkpoint has the {name} {str(value)[:40]!r}, which is no number"
        )
    return value
