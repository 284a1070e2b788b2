"""`frank plot`: the learning curves of runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import tyro

from frankrl.cli.parsing import parse
from frankrl.core.errors import FrankError


@dataclass(frozen=True)
class PlotOptions:
    """Options of `frank plot`."""

    runs: tyro.conf.Positional[tuple[str, ...]]
    """Run folders, or folders of the runs of several seeds; runs with the same preset become one
    curve with its spread."""
    out: str = ""
    """PNG file to write; empty: `plot.png` in the first folder."""


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    description = "Draw return, episode length, ε, loss and mean Q against env steps, as a PNG."
    options = parse(PlotOptions, arguments, "plot", description)
    if not options.runs:
        raise FrankError("name at least one run folder, for example: frank plot runs/*/*")

    from frankrl.plotting.run_plot import plot

    print(plot(options.runs, out=options.out or None).path)
    return 0
