"""Ctrl-C as a request: finish the round, save, stop."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

from frankrl.core.system import STOP_SIGNALS


class StoppedError(KeyboardInterrupt):
    """A signal has stopped the work; the message says what is saved and how to go on."""

    def __init__(self, message: str, exit_status: int) -> None:
        super().__init__(message)
        self.exit_status = exit_status


class StoppedAtOnceError(StoppedError):
    """Raised at a second signal."""

    def __init__(self, exit_status: int) -> None:
        super().__init__("stopped at once", exit_status)


class StopSignals:
    """The signals received; a call returns whether a stop was requested."""

    def __init__(self) -> None:
        self.on_first_signal: Callable[[], None] = lambda: None
        """Called at the first signal."""
        self._first: int | None = None

    def __call__(self) -> bool:
        """Whether a stop was requested."""
        return self._first is not None

    @property
    def exit_status(self) -> int:
        """128 and the number of the first signal, as shells count it: 130, 143 or 129."""
        return 128 + (self._first or signal.SIGINT)

    def note(self, number: int, frame: object) -> None:
        """Handle a signal; the second one ends the process at once."""
        if self._first is not None:
            raise StoppedAtOnceError(128 + self._first)
        self._first = number
        # The terminal may be closed; that must not keep the run from being saved.
        with contextlib.suppress(Exception):
            self.on_first_signal()


@contextlib.contextmanager
def stop_signals() -> Iterator[StopSignals]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into a request; a second one ends at once.

    Outside the main thread, where Python delivers no signals, nothing is changed. Within another
    such block, the request of one is that of both.
    """
    signals = StopSignals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    around = getattr(signal.getsignal(signal.SIGINT), "__self__", None)
    if isinstance(around, StopSignals):
        on_first_signal = around.on_first_signal
        try:
            yield around
        finally:
            around.on_first_signal = on_first_signal
        return
    # `nohup` ignores SIGHUP: the run is to go on when the terminal is closed.
    hang_up = getattr(signal, "SIGHUP", None)
    kept = hang_up is not None and signal.getsignal(hang_up) == signal.SIG_IGN
    heard = [number for number in STOP_SIGNALS if number != hang_up or not kept]
    before = {number: signal.signal(number, signals.note) for number in heard}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
