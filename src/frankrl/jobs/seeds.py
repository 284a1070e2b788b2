"""The seeds of several runs that differ in nothing else."""

from frankrl.core.errors import SettingError
from frankrl.core.random import check_seed
from frankrl.core.text import given

MAX_SEEDS = 1_000


def seeds_from(first: int, count: int) -> tuple[int, ...]:
    """Some seeds, one after the other.

    Raises:
        SettingError: they are not allowed.
    """
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MAX_SEEDS:
        raise SettingError(
            f"seeds must be at least 1 and at most {MAX_SEEDS:,}, got {given(count)}"
        )
    check_seed(first)
    check_seed(first + count - 1)
    return tuple(range(first, first + count))
