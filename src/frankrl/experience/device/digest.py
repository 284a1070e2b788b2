"""A checksum of all that an environment has shown and done, kept in compiled code."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, UInt32

from frankrl.core.types import Array, Observation
from frankrl.environments import DIGEST_BYTES

_ODD = 0x9E3779B1
"""An odd constant with mixed bits: 2³² divided by the golden ratio."""


def bits_of(numbers: Array) -> UInt32[Array, "..."]:
    """The bits of numbers of 32 bits or fewer."""
    if numbers.dtype == jnp.float32:
        return jax.lax.bitcast_convert_type(numbers, jnp.uint32)
    return numbers.astype(jnp.uint32)


def words_of(
    observation: Observation, mask: Bool[Array, "env action"] | None
) -> UInt32[Array, "env word"]:
    """The bits of what each environment shows."""
    parts = jax.tree.leaves((observation, mask))
    leaves = [bits_of(leaf).reshape(leaf.shape[0], -1) for leaf in parts]
    return jnp.concatenate(leaves, axis=1)


def folded(
    digest: UInt32[Array, "env lane"], words: UInt32[Array, "env word"]
) -> UInt32[Array, "env lane"]:
    """The checksum with more words. Each lane mixes every word with its place, and adds them up."""
    place = np.arange(1, words.shape[1] + 1, dtype=np.uint64)[:, None]
    lane = np.arange(1, 3, dtype=np.uint64)
    keys = (place * _ODD + lane * 0x85EBCA77).astype(np.uint32)
    sums = jnp.sum(_mixed(words[:, :, None] ^ keys), axis=1, dtype=jnp.uint32)
    return _mixed((digest + jnp.uint32(_ODD)) ^ sums)


def _mixed(words: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    """Each bit of a word changes every bit of the result with a chance of about a half.

    Source: the finaliser of MurmurHash3, Appleby (2011).
    """
    words = (words ^ (words >> 16)) * jnp.uint32(0x85EBCA6B)
    words = (words ^ (words >> 13)) * jnp.uint32(0xC2B2AE35)
    return words ^ (words >> 16)


def as_bytes(digest: UInt32[Array, "env lane"]) -> list[bytes]:
    """The checksum of each environment, as long as the host's hashes."""
    lanes = np.asarray(digest).astype("<u4")
    return [row.tobytes().ljust(DIGEST_BYTES, b"\0") for row in lanes]
