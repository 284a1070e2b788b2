"""The batch of a whole run's observations, of which only some rows are filled."""

from typing import Any

import jax
import numpy as np


class WholeBatch:
    """Puts the rows of some environments into their places in the batch of all.

    The other rows are zeros: a row of Q-values depends on the shape of the batch and on its place
    in it, and not on the other rows.
    """

    def __init__(self, own: slice, size: int) -> None:
        """Nothing is allocated before the first rows.

        Args:
            own: the rows of these environments.
            size: number of environments of the run.
        """
        self._own, self._size = own, size
        self._is_all = own == slice(0, size)
        self._whole: Any = None

    def of(self, rows: Any) -> Any:
        """The whole batch with these rows; valid until the next call.

        Args:
            rows: a pytree of arrays whose first axis are these environments, of the same structure
                and shapes in every call.
        """
        if self._is_all:
            return rows
        if self._whole is None:
            self._whole = jax.tree.map(
                lambda leaf: np.zeros((self._size, *leaf.shape[1:]), leaf.dtype), rows
            )
        for whole, leaf in zip(jax.tree.leaves(self._whole), jax.tree.leaves(rows), strict=True):
            whole[self._own] = leaf
        return self._whole
