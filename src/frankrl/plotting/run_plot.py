"""A plot of runs, written to a file and shown in a notebook."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from frankrl.agent import Agent
from frankrl.core.errors import SettingError
from frankrl.core.paths import given_path
from frankrl.core.wording import option
from frankrl.inline.media import media
from frankrl.opening import path_of
from frankrl.plotting.plot import write_plot
from frankrl.runs import RunFolder
from frankrl.runs.group import RunGroup
from frankrl.seeds.from_python import group_path, names_group
from frankrl.seeds.result import SeedsResult
from frankrl.training.result import TrainingResult

_Run = Agent | TrainingResult | SeedsResult | str | os.PathLike[str]


@dataclass(frozen=True, repr=False)
class Plot:
    """A plot that was written; a notebook shows it."""

    path: Path

    def __repr__(self) -> str:
        return f"Plot: {self.path}"

    def _repr_html_(self) -> str:
        return media(self.path)


def plot(runs: _Run | Sequence[_Run], *, out: str | os.PathLike[str] | None = None) -> Plot:
    """Draw return, episode length, ε, loss and mean Q against env steps.

    Runs with the same settings but other seeds become one curve with its spread.

    Args:
        runs: a run or several, each by its folder, its result or its agent; or the folder or the
            result of a training with several seeds, which stands for all its runs.
        out: the file, .png; None: `plot.png` in the first folder.

    Raises:
        FrankError: there is no such run, it has no metrics yet, matplotlib is missing, or the file
            cannot be written.
    """
    several = runs if isinstance(runs, Sequence) and not isinstance(runs, str) else [runs]
    if not several:
        raise SettingError("nothing to plot: name at least one run folder")
    folders = [folder for run in several for folder in _folders(run)]
    if not folders:
        raise SettingError("nothing to plot: no run of these seeds has begun")
    home = group_path(several[0]) if names_group(several[0]) else folders[0].path
    path = home / "plot.png" if out is None else given_path(out, option("out"))
    write_plot(folders, path)
    return Plot(path)


def _folders(run: _Run) -> list[RunFolder]:
    """The run folders that a value stands for."""
    if isinstance(run, SeedsResult) or names_group(run):
        return [RunFolder.open(path) for path in RunGroup.open(group_path(run)).begun()]
    return [RunFolder.open(path_of(run))]
