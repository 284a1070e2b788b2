"""A dashboard that runs in the background while a run trains, and ends with it."""

import contextlib
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from frankrl.core.processes import module_command, search_path

_PATIENCE_SECONDS = 5.0


@contextlib.contextmanager
def dashboard_in_background(run: Path, log: Callable[[str], None]) -> Iterator[None]:
    """Serve a run in a separate process while it trains.

    Args:
        run: the run folder.
        log: called with a line that has the page's address.
    """
    # The server stops when its standard input ends, so it stops with this process, however that
    # ends. Its own process group keeps Ctrl-C for the training.
    process = subprocess.Popen(
        [*module_command("frankrl.dashboard"), str(run), json.dumps(search_path())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        process_group=0,
    )

    def log_address() -> None:
        assert process.stdout is not None
        if address := process.stdout.readline().strip():
            log(f"  watch it at {address} while it trains")
        else:
            log("  the dashboard could not be started; `frank dashboard RUN` says why")

    reader = threading.Thread(target=log_address, daemon=True)
    reader.start()
    try:
        yield
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join(_PATIENCE_SECONDS)
        assert process.stdout is not None
        process.stdout.close()
