"""Random numbers in compiled code, without random-number state.

As on the host (`frankrl.core.random`), every draw is a pure function of the run's seed, the name
of its use and a counter. The function is Threefry-2x32, which JAX uses too, written out: for the
few numbers of one step `jax.random` on the CPU takes eight times as long.

Source: Salmon et al. (2011). https://doi.org/10.1145/2063384.2063405
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt32

from frankrl.core.random import Use
from frankrl.core.types import Array

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
Words = tuple[UInt32[Array, "..."], UInt32[Array, "..."]]


def seed_words(seed: int) -> UInt32[np.ndarray, "2"]:
    """A run's seed as the array that compiled code takes."""
    return np.array([seed >> 32, seed & 0xFFFFFFFF], np.uint32)


def threefry(key: Words, counter: Words) -> Words:
    """Threefry-2x32 with 20 rounds."""
    first, second = key
    keys = (first, second, first ^ second ^ jnp.uint32(_PARITY))
    one, other = counter[0] + keys[0], counter[1] + keys[1]
    for group in range(5):
        for rotation in _ROTATIONS[group % 2]:
            one = one + other
            other = one ^ ((other << rotation) | (other >> (32 - rotation)))
        one = one + keys[(group + 1) % 3]
        other = other + keys[(group + 2) % 3] + jnp.uint32(group + 1)
    return one, other


def random_bits(
    seed: UInt32[Array, "2"],
    use: Use,
    start: UInt32[Array, ""] | int,
    count: int,
    width: int,
) -> UInt32[Array, "count width"]:
    """Rows `start … start + count` of an endless table of random 32-bit numbers.

    Args:
        seed: result of `seed_words`.
        use: what the numbers are for; each use has a table of its own.
        start: number of the first row, from 0.
        count: how many rows.
        width: numbers per row.
    """
    rows = jnp.asarray(start, jnp.uint32) + jnp.arange(count, dtype=jnp.uint32)
    half = -(-width // 2)
    place = jnp.arange(half, dtype=jnp.uint32)
    one, other = threefry(_key(seed, use), (rows[:, None], place[None]))
    return jnp.concatenate([one, other], axis=1)[:, :width]


def _key(seed: UInt32[Array, "2"], use: Use) -> Words:
    """The key of a use: for seeds below 2³², that of `jax.random.fold_in(key(seed), use)`."""
    return threefry((seed[0], seed[1]), (jnp.uint32(0), jnp.uint32(int(use))))


def as_uniforms(bits: UInt32[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Uniform numbers in [0, 1): multiples of 2⁻²⁴."""
    return (bits >> 8).astype(jnp.float32) * jnp.float32(2**-24)


def as_normals(bits: UInt32[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Standard normal numbers."""
    # 23 bits and a half more, so that neither -1 nor 1 is among them.
    centred = (bits >> 9).astype(jnp.float32) + jnp.float32(0.5)
    return jnp.float32(np.sqrt(2)) * jax.lax.erf_inv(centred * jnp.float32(2**-22) - 1)


def as_below(
    bits: UInt32[Array, "*shape"], count: UInt32[Array, "..."] | int
) -> UInt32[Array, "*shape"]:
    """Whole numbers from 0 to below `count`: ⌊bits · count / 2³²⌋."""
    count = jnp.asarray(count, jnp.uint32)
    low = (bits & 0xFFFF) * (count & 0xFFFF)
    middle = (bits >> 16) * (count & 0xFFFF) + (low >> 16)
    other = (bits & 0xFFFF) * (count >> 16) + (middle & 0xFFFF)
    return (bits >> 16) * (count >> 16) + (middle >> 16) + (other >> 16)


def episode_seeds(
    seed: UInt32[Array, "2"], use: Use, episode: UInt32[Array, " env"], most: int
) -> UInt32[Array, " env"]:
    """The seed below `most` with which each environment begins an episode, by its number."""
    indices = jnp.arange(episode.shape[0], dtype=jnp.uint32)
    bits, _ = threefry(_key(seed, use), (episode.astype(jnp.uint32), indices))
    return as_below(bits, most)
