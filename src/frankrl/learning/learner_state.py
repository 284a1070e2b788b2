"""What a learner holds: both networks, their mean, and the optimiser's state."""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float, PyTree, UInt32

from frankrl.config import LearningSettings
from frankrl.core.types import Params
from frankrl.learning.optimiser import has_own_optimiser, init_optimiser
from frankrl.networks import QNetwork


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LearnerState:
    """Everything that learning changes. Arrays are JAX's, or NumPy's on the way to a file.

    Parameters are stored in one vector, by the network's `layout`.
    """

    params: Float[Any, " weight"]
    """Parameters of the Q-network, θ."""
    target_params: Float[Any, " weight"] | None
    """Parameters of the target network, θ⁻: a copy of an earlier θ, or its moving average; None
    with PQN and behaviour cloning, which have none."""
    average_params: Float[Any, " weight"] | None
    """Running mean of θ; None if `polyak_window_updates` is off."""
    opt_state: PyTree
    num_updates: UInt32[Any, ""]

    @property
    def eval_params(self) -> Float[Any, " weight"]:
        """Parameters for greedy acting: the averaged ones if there are any, else the newest."""
        return self.params if self.average_params is None else self.average_params


def init_learner(settings: LearningSettings, network: QNetwork, params: Params) -> LearnerState:
    """The initial state of a learner; the target network, if any, is a copy of the Q-network.

    Args:
        settings: target, loss and optimiser.
        network: the definition of both networks.
        params: initial parameters, NumPy or JAX arrays; they are copied.
    """
    params = jax.tree.map(jnp.asarray, params)
    if has_own_optimiser(settings):
        # Another one, or a changed one, may stand under a name that was compiled before.
        return jax.jit(functools.partial(_begin, settings, network))(params)
    return _compiled_begin(settings, network, params)


def _begin(settings: LearningSettings, network: QNetwork, params: Params) -> LearnerState:
    vector = network.layout.flatten(params)
    return LearnerState(
        params=vector,
        target_params=jnp.copy(vector) if settings.algorithm == "dqn" else None,
        average_params=None if settings.polyak_window_updates is None else jnp.copy(vector),
        opt_state=init_optimiser(settings, network.layout, vector),
        num_updates=jnp.zeros((), jnp.uint32),
    )


_compiled_begin = jax.jit(_begin, static_argnums=(0, 1))
