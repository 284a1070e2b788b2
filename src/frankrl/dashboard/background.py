"""A dashboard beside a training: in a process of its own, and gone with it."""

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

_PATIENCE_SECONDS = 5.0


@contextlib.contextmanager
def dashboard_in_background(run: Path, log: Callable[[str], None]) -> Iterator[None]:
    """Show a run while it is trained; the training's own process does nothing for it.

    Args:
        run: its folder.
        log: told the page's address once it is there.
    """
    # Its standard input is a pipe that ends with this process, however that ends; Ctrl-C is
    # for the training alone.
    process = subprocess.Popen(
        [sys.executable, "-m", "frankrl.dashboard", str(run)],
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
