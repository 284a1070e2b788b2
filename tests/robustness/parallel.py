"""Several tries at the same time: each waits for processes of its own most of the time."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")


def at_once(work: Callable[[_T], None], items: Iterable[_T]) -> None:
    """Do the work for every item, as many at a time as there are processors."""
    with ThreadPoolExecutor(max(1, len(os.sched_getaffinity(0)))) as pool:
        list(pool.map(work, items))
