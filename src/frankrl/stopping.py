"""Ctrl-C as a request: finish the round, save, then stop."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def stop_signals(told: Callable[[], None] = lambda: None) -> Iterator[Callable[[], bool]]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into a request; a second one ends at once.

    Outside the main thread, where Python delivers no signals, nothing is changed.

    Args:
        told: called at the first signal.

    Yields:
        Whether a stop has been requested.
    """
    requests: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def note(number: int, frame: object) -> None:
        if requests:
            raise KeyboardInterrupt
        requests.append(number)
        told()

    before = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield lambda: bool(requests)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
