"""Ctrl-C as a request: finish the round, save, then stop."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
    """Which signals have come; called, it says whether a stop has been requested."""

    def __init__(self) -> None:
        self.told: Callable[[], None] = lambda: None
        """Called at the first signal."""
        self._first: int | None = None

    def __call__(self) -> bool:
        return self._first is not None

    @property
    def exit_status(self) -> int:
        """128 and the number of the first signal, as shells count it: 130, 143 or 129."""
        return 128 + (self._first or signal.SIGINT)

    def note(self, number: int, frame: object) -> None:
        """A signal has come; the second one ends at once."""
        if self._first is not None:
            raise KeyboardInterrupt
        self._first = number
        self.told()


@contextlib.contextmanager
def stop_signals() -> Iterator[StopSignals]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into a request; a second one ends at once.

    Outside the main thread, where Python delivers no signals, nothing is changed.
    """
    signals = StopSignals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before = {number: signal.signal(number, signals.note) for number in _SIGNALS}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
