"""A Q-table: a row for each state, a column for each action."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Shaped

from frankrl.networks.heads import ExpectedHead, Head
from frankrl.networks.q_network import QNetwork


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class QTable(QNetwork):
    """Q-values looked up by the number of the state.

    The state comes as a row of zeros with a one in its place, as for a network; the
    product of that row and the table is the state's row of the table. A table is therefore
    a network of one layer without biases, and everything that learns a network learns it:
    of each update's gradient only the cells that were taken are not zero.

    Source: Watkins & Dayan (1992). https://doi.org/10.1007/BF00992698
    """

    table: Float[Any, "state action"]

    @property
    def head(self) -> Head:
        return ExpectedHead()

    def outputs(
        self,
        observation: Shaped[Any, "batch state"],
        fractions: Float[Any, "batch fraction"] | None = None,
    ) -> Float[Any, "batch action"]:
        return observation.astype(np.float32) @ self.table

    def q_values(
        self, outputs: Float[Any, "batch action"], observation: Shaped[Any, "batch state"]
    ) -> Float[Any, "batch action"]:
        return outputs


def make_q_table(num_states: int, num_actions: int) -> QTable:
    """A Q-table of zeros, with NumPy leaves."""
    return QTable(np.zeros((num_states, num_actions), np.float32))
