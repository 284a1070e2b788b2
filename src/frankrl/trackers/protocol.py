"""What a tracker is: something that is told numbers of a run by their names."""

import abc
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from frankrl.core.errors import FrankError

FILM = "film"
"""The name of a film in a tracker."""


class TrackedRun(NamedTuple):
    """What a tracker is told of a run when it is opened."""

    path: Path
    """The run folder."""
    folder: Path
    """`trackers/<name>` in it, for files of the tracker's own. It is not made yet."""
    name: str
    """The run folder's own name."""
    project: str
    """Under which runs are grouped: the environment's name, made fit for a project's."""
    settings: Mapping[str, Any]
    """Environment, preset, seed and every setting, by their short names."""
    kept: Mapping[str, str]
    """What the tracker kept when it was first opened for this run; empty if it was not."""


class Tracker(abc.ABC):
    """An open tracker of one run. All its methods are called in one thread, which is its own.

    Whatever a method raises becomes a warning, and the run goes on.
    """

    kept: Mapping[str, str] = {}
    """What finds the same run in the tracker again, such as an id. Frank keeps it in the run folder
    before the first number is logged."""

    def logged(self) -> Mapping[str, int] | None:
        """The last env step that the tracker holds of each name; None if it cannot say.

        A run that was killed repeats env steps, and Frank does not log them again. If the tracker
        cannot say what it holds, Frank goes by its own notes.
        """
        return None

    @abc.abstractmethod
    def log(self, env_steps: int, values: Mapping[str, float]) -> None:
        """Log numbers.

        Args:
            env_steps: env steps of the run so far, which grow from call to call or stay.
            values: each number by its name, such as `train/loss`.
        """

    def film(self, env_steps: int, file: Path) -> None:
        """Show a film of the agent; a tracker without films leaves this as it is.

        Args:
            env_steps: env steps after which the agent was filmed.
            file: the film, `.mp4` or `.gif`.
        """
        raise FrankError("it takes no films")

    @abc.abstractmethod
    def close(self) -> None:
        """Send what is left, and close."""
