"""NumPy's matrix products in one thread while Frank computes.

The products of an acting step are small. Two threads save nothing on them, and when the other
core is busy with learning they wait for each other: 8 observations of MinAtar took 0.2 ms with one
thread and 4 ms with two. One thread also gives the same bits on any number of cores.
"""

import contextlib
import functools
import threading
from collections.abc import Iterator
from typing import Any

import numpy  # noqa: F401 - its library must be loaded before it can be found
import threadpoolctl

_lock = threading.Lock()
_inside = 0
"""How often the context is entered, by all threads together: the limit is the process's."""
_limit: Any = None


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within this context, NumPy multiplies matrices in one thread, in the whole process.

    The first that enters limits it, and the last that leaves ends that. OpenBLAS takes the limit
    from the main thread only, so threads of Frank's own do not enter.
    """
    global _inside, _limit
    with _lock:
        if _inside == 0:
            _limit = _libraries().limit(limits=1)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _limit.restore_original_limits()


@functools.cache
def _libraries() -> threadpoolctl.ThreadpoolController:
    return threadpoolctl.ThreadpoolController().select(user_api="blas")
