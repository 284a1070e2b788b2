"""Batches of two parts: a run's own transitions, and behind them those of a data set."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from frankrl.core.types import Transition
from frankrl.replay.sampler import Sample

Sampled = tuple[Sample, Transition]


def joined(own: Sampled, others: Sampled) -> Sampled:
    """Two samples as one, batch by batch: first the own rows, then the others.

    Env steps of the others count the steps of their own buffer. Probabilities and weights are those
    within each part.
    """
    sample, batch = jax.tree.map(lambda *parts: jnp.concatenate(parts, axis=1), own, others)
    return sample, batch


def parted(rows: Any, num_own: int) -> tuple[Any, Any]:
    """The reverse of `joined`, for any records with a batch on the second axis.

    Args:
        rows: arrays of shape (update, batch, …); None stays None.
        num_own: own rows of a batch.
    """

    def own(leaf: Array) -> Array:
        return leaf[:, :num_own]

    def others(leaf: Array) -> Array:
        return leaf[:, num_own:]

    return jax.tree.map(own, rows), jax.tree.map(others, rows)
