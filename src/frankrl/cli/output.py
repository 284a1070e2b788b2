"""Standard output for results alone: what an environment prints goes to standard error."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import IO

from frankrl.core.system import flush_c

_STDOUT, _STDERR = 1, 2
_is_apart = False
_results: IO[str] | None = None
"""Where results go while they are kept apart."""


def print_result(text: str) -> None:
    """Print a result of the command on standard output."""
    if (stream := results_stream()) is not None:
        print(text, file=stream, flush=True)


def results_stream() -> IO[str] | None:
    """Where results are written; None if standard output is closed."""
    return _results if _is_apart else sys.stdout


def discard_results() -> None:
    """Let what is left of the results go nowhere, because writing them has failed."""
    if (stream := results_stream()) is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextlib.contextmanager
def only_results_on_stdout(*, for_good: bool) -> Iterator[None]:
    """Send everything that is printed to standard error, but for results.

    This holds for Python and for C, for the processes that are started meanwhile, and for
    modules that are imported.

    Args:
        for_good: leave it so after the block, until the process ends.
    """
    global _is_apart, _results
    before, kept = sys.stdout, None
    _is_apart, _results = True, before
    if before is not None:
        before.flush()
        # A stream of its own keeps the results on what is standard output now.
        with contextlib.suppress(OSError, ValueError):
            if before.fileno() == _STDOUT:
                kept = os.dup(_STDOUT)
        if kept is not None:
            _results = open(kept, "w", encoding=before.encoding, errors="backslashreplace")  # noqa: SIM115
    with contextlib.suppress(OSError):
        os.dup2(_STDERR, _STDOUT)
    sys.stdout = sys.stderr
    try:
        yield
        if _results is not None:
            _results.flush()
    finally:
        if not for_good:
            _restore(before, kept)


def _restore(before: IO[str] | None, kept: int | None) -> None:
    global _is_apart, _results
    # What C has buffered belongs to standard error, too.
    flush_c()
    if kept is not None:
        os.dup2(kept, _STDOUT)
        if _results is not None:
            with contextlib.suppress(OSError):
                _results.close()
    sys.stdout, _results, _is_apart = before, None, False
