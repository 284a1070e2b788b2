"""Batches of two parts: a run's own transitions, and behind them those of a data set."""

from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array

_Rows = TypeVar("_Rows")


def joined(own: _Rows, others: _Rows) -> _Rows:
    """Two parts as one, batch by batch: first the own rows, then the others.

    Of samples, the env steps of the others count the steps of their own buffer, and probabilities
    and weights are those within each part.

    Args:
        own: any record of arrays of shape (update, batch, …), such as a sample; None stays None.
        others: the same of the data set.
    """
    return jax.tree.map(lambda *parts: jnp.concatenate(parts, axis=1), own, others)


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
