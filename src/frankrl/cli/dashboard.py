"""`frank dashboard`: a live page for runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import tyro

from frankrl.cli.parsing import parse, say
from frankrl.core.errors import RunFolderError
from frankrl.core.paths import given_path

_DEFAULT = "runs"
PORT = 7265


@dataclass(frozen=True)
class DashboardOptions:
    """Options of `frank dashboard`."""

    runs: tyro.conf.Positional[str] = _DEFAULT
    """A run, a sweep, or a folder that contains runs and sweeps."""
    port: int = PORT
    """Port of the page; 0 picks a free one."""
    host: str = "127.0.0.1"
    """IP address of the page. At any address but 127.0.0.1 and ::1 the page needs the token that is
    printed with its address."""
    open: bool = False
    """Open the page in the browser."""
    allow_code: bool = False
    """Also import the modules that runs of other people name, to play their episodes and open
    their updates."""


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    description = (
        "Show runs and sweeps on a live page: curves, an episode of the newest checkpoint, any "
        "update, warnings, and the trials of a sweep. The page only reads their folders."
    )
    options = parse(DashboardOptions, arguments, "dashboard", description)

    from frankrl.core.processes import search_path
    from frankrl.dashboard.serving import check_packages, listen, serve

    check_packages()
    root = given_path(options.runs, "the folder of runs")
    if not root.is_dir() and options.runs != _DEFAULT:
        raise RunFolderError(f"there is no folder {root}: name one that contains runs")
    listening = listen(options.host, options.port)
    say(f"The runs below {root}, until Ctrl-C:")
    serve(
        root,
        listening,
        opened=options.open,
        module_path=search_path(),
        allow_code=options.allow_code,
    )
    return 0
