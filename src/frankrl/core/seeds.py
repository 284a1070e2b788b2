"""The seeds of several runs that differ in nothing else."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from frankrl.core.errors import SettingError
from frankrl.core.random import check_seed
from frankrl.core.text import given
from frankrl.core.wording import option

MAX_SEEDS = 10_000
_COUNT = re.compile(r"\d{1,20}", re.ASCII)
_RANGE = re.compile(r"(\d{1,20})-(\d{1,20})", re.ASCII)
_MAX_RANGES = 4
"""Ranges of seeds that are named; more are only counted."""


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


def seeds_in(text: str) -> tuple[int, ...]:
    """The seeds that a text names: `64` means 0 to 63, and `100-163` means 100 to 163.

    Raises:
        SettingError: it names none, or too many.
    """
    if _COUNT.fullmatch(text):
        return seeds_from(0, int(text))
    if (ends := _RANGE.fullmatch(text)) is not None:
        first, last = int(ends[1]), int(ends[2])
        if first > last:
            raise SettingError(
                f"{option('seeds')} names the first seed and the last one, and {first} is larger "
                f"than {last}, got {given(text)}"
            )
        return seeds_from(first, last - first + 1)
    raise SettingError(
        f"{option('seeds')} must be a number of seeds, such as 64 for the seeds 0 to 63, or the "
        f"first and the last one, such as 100-163, got {given(text)}"
    )


_WHY_NOT = {
    "init_from": "its runs begin with weights of their own",
    "init_best": "its runs begin with weights of their own",
    "overwrite": "it trains in a new folder: remove the other one, or name another with {out}",
    "dashboard": "start it beside them: frank dashboard",
    "seed": "it names all seeds",
    "actors": "its runs step their environments themselves",
}
"""Why an argument cannot be given with several seeds, where that is known better than that a
function or a place cannot be shared."""


def not_with_seeds(cause: str, name: str) -> SettingError:
    """The error for an argument that several runs cannot share.

    Args:
        cause: the argument that makes several runs.
        name: the one that cannot be given with it.
    """
    why = _WHY_NOT.get(name, "it is for one run").format(out=option("out"))
    return SettingError(f"{option(name)} cannot be given with {option(cause)}: {why}")


def checked_seeds(seeds: Any) -> tuple[int, ...]:
    """The seeds of a sequence.

    Raises:
        SettingError: it is none, or holds what is no seed, or a seed twice.
    """
    if isinstance(seeds, np.ndarray) and seeds.ndim == 1:
        seeds = seeds.tolist()
    if isinstance(seeds, str) or not isinstance(seeds, Sequence):
        raise SettingError(
            f"seeds must be a sequence of whole numbers, such as range(64), got {given(seeds)}"
        )
    if not 1 <= len(seeds) <= MAX_SEEDS:
        raise SettingError(f"seeds must be 1 to {MAX_SEEDS:,} numbers, got {len(seeds):,}")
    for seed in seeds:
        check_seed(seed)
    found = tuple(map(int, seeds))
    if len(set(found)) < len(found):
        twice = next(seed for seed in found if found.count(seed) > 1)
        raise SettingError(f"seeds must differ: {twice} is given twice, and gives the same run")
    return found


def seeds_in_words(seeds: Sequence[int]) -> str:
    """Seeds as text, such as `0–63`."""
    ranges: list[list[int]] = []
    for seed in seeds:
        if ranges and seed == ranges[-1][-1] + 1:
            ranges[-1][1:] = [seed]
        else:
            ranges.append([seed])
    if len(ranges) > _MAX_RANGES:
        return f"{len(seeds):,} seeds"
    return ", ".join("–".join(map(str, ends)) for ends in ranges)


def seeds_in_file_name(seeds: Sequence[int]) -> str:
    """Seeds as part of a file's name, such as `0-63`."""
    return seeds_in_words(seeds).replace("–", "-").replace(", ", "+").replace(" ", "-")
