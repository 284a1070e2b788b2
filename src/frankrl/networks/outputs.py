"""The last layer: outputs for each action."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from frankrl.core.types import Params
from frankrl.networks.initializer import Initializer
from frankrl.networks.layers import Dense, Noisy


@dataclass(frozen=True)
class ActionOutputs:
    """A layer with one output, or several, for each action."""

    layer: Dense | Noisy
    num_actions: int
    atoms: int | None
    """Outputs per action; None: a single one, without an axis of its own."""

    def init(self, initializer: Initializer, num_inputs: int) -> Params:
        """Initial parameters."""
        return self.layer.init(initializer, num_inputs)

    def apply(
        self, params: Any, features: Float[Any, "row feature"]
    ) -> Float[Any, "row action *atom"]:
        """Outputs for rows of features."""
        outputs = self.layer.apply(params, features)
        if self.atoms is None:
            return outputs
        return outputs.reshape(outputs.shape[0], self.num_actions, self.atoms)


@dataclass(frozen=True)
class Dueling:
    """Q = V + A - mean of A over actions; V is the first output and A are the others.

    V and A are both linear in the last hidden layer, which they share. A distribution is combined
    atom by atom (Hessel et al. 2018).

    Source: Wang et al. (2016), eq. 9. https://arxiv.org/abs/1511.06581
    """

    outputs: ActionOutputs
    """Has one action more than the environment: the first one stands for V."""

    @property
    def num_actions(self) -> int:
        """Number of the environment's actions."""
        return self.outputs.num_actions - 1

    def init(self, initializer: Initializer, num_inputs: int) -> Params:
        """Initial parameters of V and A together."""
        return self.outputs.init(initializer, num_inputs)

    def apply(
        self, params: Any, features: Float[Any, "row feature"]
    ) -> Float[Any, "row action *atom"]:
        """Q-values, or atoms of them, for rows of features."""
        parts = self.outputs.apply(params, features)
        value, advantage = parts[:, :1], parts[:, 1:]
        return value + (advantage - advantage.mean(axis=1, keepdims=True))


@dataclass(frozen=True)
class Table:
    """A Q-table: a row for each state, a column for each action; initialised to zeros.

    A state is given as a one-hot row, so its product with the table is the state's row. A table
    is therefore a network of one layer without biases, and the learner treats both alike: only
    the entries of the states and actions in the batch have a gradient.

    Source: Watkins & Dayan (1992). https://doi.org/10.1007/BF00992698
    """

    num_actions: int

    def init(self, initializer: Initializer, num_inputs: int) -> Float[Any, "state action"]:
        """A table of zeros; its inputs are the states."""
        return initializer.constant(0.0, num_inputs, self.num_actions)

    def apply(
        self, params: Float[Any, "state action"], features: Float[Any, "row state"]
    ) -> Float[Any, "row action"]:
        """The table's rows of one-hot states."""
        return features @ params
