"""NumPy's matrix products in one thread while Frank computes.

The products of an acting step are small. Two threads save nothing on them, and when the other
core is busy with learning they wait for each other: 8 observations of MinAtar took 0.2 ms with one
thread and 4 ms with two. One thread also gives the same bits on any number of cores.
"""

import contextlib
import functools
from collections.abc import Iterator

import numpy  # noqa: F401 - its library must be loaded before it can be found
import threadpoolctl


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within this context, NumPy multiplies matrices in one thread, in the whole process."""
    with _libraries().limit(limits=1):
        yield


@functools.cache
def _libraries() -> threadpoolctl.ThreadpoolController:
    return threadpoolctl.ThreadpoolController().select(user_api="blas")
