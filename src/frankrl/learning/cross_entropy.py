"""The cross-entropy of actions taken: the loss of cloning, and CQL's conservative term."""

import jax
from jaxtyping import Array, Float

from frankrl.learning.targets import of_actions


def cross_entropy(outputs: Float[Array, "row action"], action: Array) -> Float[Array, " row"]:
    """log Σ_a exp(x_a) - x of the action taken: -log of its probability by the softmax of x.

    With the outputs of a behaviour-cloning network it is that network's loss. With Q-values it is
    the term that CQL adds, weighted by `cql_weight`: it is small where the action taken has by far
    the largest Q-value, so its gradient lowers the Q-values of actions that the data lacks.

    Args:
        outputs: logits, or Q-values; -∞ for actions that are not allowed, which are left out.
        action: the actions taken, each an allowed one.

    Source: Kumar et al. (2020), eq. 4, CQL(H). https://arxiv.org/abs/2006.04779
    """
    return jax.nn.logsumexp(outputs, axis=-1) - of_actions(outputs, action)
