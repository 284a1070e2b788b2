"""Behaviour cloning: the network's outputs are logits of the actions that the data holds."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from frankrl.core.types import Params, Transition
from frankrl.learning.cross_entropy import cross_entropy
from frankrl.networks import QFunction, masked


class CloningTerms(NamedTuple):
    """What an update of behaviour cloning computes from its batch, up to the gradient."""

    logits: Float[Array, "batch action"]
    """Outputs for s; -∞ for actions that are not allowed. Their softmax is the policy."""
    losses: Float[Array, " batch"]
    """-log π(a | s) of each transition."""
    loss: Float[Array, ""]
    """Mean of the losses."""
    gradients: Params
    """Gradient of the loss by θ, not clipped."""


def cloning_terms(network: QFunction, params: Params, batch: Transition) -> CloningTerms:
    """From a batch to the gradient of its loss. Rewards and next states play no part.

    Args:
        network: the definition of the network; its head has one output per action.
        params: θ.
        batch: fields of shape (batch, …).

    Source: Pomerleau (1991). https://doi.org/10.1162/neco.1991.3.1.88
    """

    def loss_of(params: Params) -> tuple[Float[Array, ""], tuple[Array, Array]]:
        logits, losses = cloning_losses(network, params, batch)
        return jnp.mean(losses), (logits, losses)

    (loss, (logits, losses)), gradients = jax.value_and_grad(loss_of, has_aux=True)(params)
    return CloningTerms(logits, losses, loss, gradients)


def cloning_losses(
    network: QFunction, params: Params, batch: Transition
) -> tuple[Float[Array, "batch action"], Float[Array, " batch"]]:
    """The logits of s, and the loss of each transition; arguments as for `cloning_terms`."""
    logits = masked(network.apply(params, batch.observation), batch.mask)
    return logits, cross_entropy(logits, batch.action)
