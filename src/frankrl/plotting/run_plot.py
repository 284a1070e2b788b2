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
from frankrl.training.session import TrainingResult

_Run = Agent | TrainingResult | str | os.PathLike[str]


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
        runs: a run or several, each by its folder, its result or its agent.
        out: the file, .png; None: `plot.png` in the first run's folder.

    Raises:
        FrankError: there is no such run, it has no metrics yet, matplotlib is missing, or the file
            cannot be written.
    """
    several = runs if isinstance(runs, Sequence) and not isinstance(runs, str) else [runs]
    if not several:
        raise SettingError("nothing to plot: name at least one run folder")
    folders = [RunFolder.open(path_of(run)) for run in several]
    path = folders[0].path / "plot.png" if out is None else given_path(out, option("out"))
    write_plot(folders, path)
    return Plot(path)
