"""Random numbers without random-number state.

Every draw of a run is a pure function of the run's seed, the name of its use and
a counter. A run can therefore be continued or repeated from any point without saving a
generator; the counters are enough.

Streams are NumPy's Philox, a counter-based generator (Salmon et al., 2011,
https://doi.org/10.1145/2063384.2063405), keyed through `SeedSequence`.
"""

import enum
import functools
import numbers
from typing import Any

import numpy as np
from jaxtyping import Float

from frankrl.core.errors import SettingError

_BLOCK_NUMBERS = 65_536
MAX_SEED = 2**64 - 1


class Use(enum.IntEnum):
    """What a random draw is for. The numbers are part of every saved run: never reuse one."""

    NETWORK = 1
    EXPLORATION = 2
    REPLAY = 3
    TRAINING_RESET = 4
    EVALUATION_RESET = 5
    SOLVED_RESET = 6
    FILM_RESET = 7
    PREDICTION = 8
    ACTING_NOISE = 9
    LEARNING_NOISE = 10
    FRACTIONS = 11
    MINIBATCHES = 12
    DATA_RESET = 13
    DATA_EXPLORATION = 14
    DEMONSTRATIONS = 15


RESET_SEEDS: dict[Use, range] = {
    Use.TRAINING_RESET: range(2**31 - 2**21),
    # Others may learn from data sets, so these share the seeds of training.
    Use.DATA_RESET: range(2**31 - 2**21),
    Use.EVALUATION_RESET: range(2**31 - 2**21, 2**31 - 2**20),
    Use.SOLVED_RESET: range(2**31 - 2**20, 2**31 - 2**19),
    Use.FILM_RESET: range(2**31 - 2**19, 2**31),
}
"""The seeds with which each use resets environments. They lie below 2³¹, because an environment
may put its seed into a 32-bit integer with a sign. Nearly all belong to training."""


def sequence(seed: int, use: Use, *counters: int) -> np.random.SeedSequence:
    """The seed sequence that belongs to one use of one run, at one counter."""
    return np.random.SeedSequence(seed, spawn_key=(int(use), *counters))


def generator(seed: int, use: Use, *counters: int) -> np.random.Generator:
    """A new generator for one use of one run, at one counter."""
    return np.random.Generator(np.random.Philox(sequence(seed, use, *counters)))


@functools.lru_cache(maxsize=8)
def _block(kind: str, seed: int, use: Use, block: int, width: int) -> np.ndarray:
    source = generator(seed, use, block)
    draw = {"uniform": source.random, "normal": source.standard_normal}[kind]
    table = draw((_block_rows(width), width))
    table.setflags(write=False)
    return table


def _block_rows(width: int) -> int:
    """Rows drawn at once: many enough that making a generator costs nothing per row."""
    return max(1, _BLOCK_NUMBERS // width)


def uniforms(
    seed: int, use: Use, start: int, count: int, width: int
) -> Float[np.ndarray, "count width"]:
    """Rows `start … start + count` of an endless table of uniform numbers in [0, 1).

    Args:
        seed: the run's seed.
        use: what the numbers are for; each use has a table of its own.
        start: number of the first row, from 0.
        count: how many rows.
        width: numbers per row; fixed for a use.
    """
    return _rows("uniform", seed, use, start, count, width)


def normals(
    seed: int, use: Use, start: int, count: int, width: int
) -> Float[np.ndarray, "count width"]:
    """Rows of an endless table of standard normal numbers; arguments as of `uniforms`."""
    return _rows("normal", seed, use, start, count, width)


def _rows(kind: str, seed: int, use: Use, start: int, count: int, width: int) -> np.ndarray:
    rows = _block_rows(width)
    first, last = start // rows, (start + max(count, 1) - 1) // rows
    offset = start - first * rows
    if first == last:
        return _block(kind, seed, use, first, width)[offset : offset + count]
    blocks = [_block(kind, seed, use, block, width) for block in range(first, last + 1)]
    return np.concatenate(blocks)[offset : offset + count]


def reset_seed(seed: int, use: Use, env_index: int, episode: int) -> int:
    """The seed an environment is reset with: a function of its index and episode number.

    Training and each kind of evaluation have seeds of their own (`RESET_SEEDS`), so no evaluation
    and no film ever starts from a seed that training has used, whatever the run's seed is.
    """
    seeds = RESET_SEEDS[use]
    word = int(sequence(seed, use, env_index, episode).generate_state(1)[0])
    return seeds[(word >> 1) % len(seeds)]


def check_seed(seed: Any) -> None:
    """Refuse an invalid seed.

    Raises:
        SettingError: it is not a whole number in range.
    """
    whole = isinstance(seed, numbers.Integral) and not isinstance(seed, bool)
    if not whole or not 0 <= int(seed) <= MAX_SEED:
        raise SettingError(f"seed must be a whole number from 0 to 2^64 - 1, got {seed!r}")
