"""A dashboard in a process of its own, which ends with this one."""

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path

from frankrl.core.errors import FrankError, RunFolderError
from frankrl.core.paths import given_path
from frankrl.core.processes import module_command, search_path
from frankrl.core.system import apart
from frankrl.dashboard.serving import check_packages

_PATIENCE_SECONDS = 5.0


class Dashboard:
    """A page that is served until it is closed, or until this process ends."""

    def __init__(self, root: Path) -> None:
        """Start serving the runs below a folder, or one run."""
        # The server stops when its standard input ends, so it stops with this process, however that
        # ends. Ctrl-C is for the training alone.
        self._process = subprocess.Popen(
            [*module_command("frankrl.dashboard"), str(root), json.dumps(search_path())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            **apart(),
        )
        self.url = ""
        """The page's address; empty until `wait_for_url` has returned."""

    def wait_for_url(self) -> str:
        """Wait until the page is served; returns its address, empty if that failed."""
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        return self.url

    def close(self) -> None:
        """Stop serving."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> "Dashboard":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def __repr__(self) -> str:
        return f"Dashboard at {self.url}"

    def _repr_html_(self) -> str:
        """A link in a notebook."""
        url = escape(self.url)
        return f'<a href="{url}" target="_blank" rel="noopener">Dashboard at {url}</a>'


def open_dashboard(folder: str | os.PathLike[str] = "runs") -> Dashboard:
    """Serve a live page of runs in the background, until it is closed or this process ends.

    Args:
        folder: a folder of runs and sweeps, or one of them.

    Returns:
        The dashboard: its address is `url`, and `close()` stops it.

    Raises:
        FrankError: there is no such folder, packages are missing, or the page cannot be served.
    """
    check_packages()
    root = given_path(folder, "the folder of runs")
    if not root.is_dir():
        raise RunFolderError(f"there is no folder {root}: name one that contains runs")
    dashboard = Dashboard(root)
    if not dashboard.wait_for_url():
        dashboard.close()
        raise FrankError("the dashboard could not be started; `frank dashboard` says why")
    return dashboard


@contextlib.contextmanager
def dashboard_in_background(run: Path, log: Callable[[str], None]) -> Iterator[None]:
    """Serve a run in a separate process while it trains.

    Args:
        run: the run folder.
        log: called with a line that has the page's address.
    """
    with Dashboard(run) as dashboard:

        def log_address() -> None:
            if address := dashboard.wait_for_url():
                log(f"  watch it at {address} while it trains")
            else:
                log("  the dashboard could not be started; `frank dashboard RUN` says why")

        reader = threading.Thread(target=log_address, daemon=True)
        reader.start()
        try:
            yield
        finally:
            dashboard.close()
            reader.join(_PATIENCE_SECONDS)
