"""`frank dashboard`: a live page for runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from frankrl.cli.parsing import parse, say
from frankrl.core.errors import RunFolderError

_DEFAULT = "runs"
PORT = 7265


@dataclass(frozen=True)
class DashboardOptions:
    """Everything that `frank dashboard` can be told."""

    runs: tyro.conf.Positional[str] = _DEFAULT
    """A folder with run folders in it, or a run folder."""
    port: int = PORT
    """Where the page is served; 0 takes a free port."""
    host: str = "127.0.0.1"
    """The IP address that the page is served at. At any but this machine's own, the page asks for
    the token that is printed with its address."""
    open: bool = False
    """Open the page in the browser."""


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    description = (
        "Show runs on a live page: their curves, an episode of the newest checkpoint, any update "
        "opened, and what is worth a word of warning. It only reads run folders."
    )
    options = parse(DashboardOptions, arguments, "dashboard", description)

    from frankrl.dashboard.serving import check_packages, listen, serve

    check_packages()
    root = Path(options.runs).expanduser()
    if not root.is_dir() and options.runs != _DEFAULT:
        raise RunFolderError(f"there is no folder {root}: name one that holds runs")
    listening = listen(options.host, options.port)
    say(f"The runs below {root}, until Ctrl-C:")
    serve(root, listening, opened=options.open)
    return 0
