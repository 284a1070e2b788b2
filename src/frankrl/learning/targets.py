"""Targets: what Q(s, a) should have been."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from frankrl.learning.rescaling import rescaled, unscaled


def bootstrap_values(
    target_q_values: Float[Array, "batch action"],
    online_q_values: Float[Array, "batch action"] | None = None,
    outputs: Float[Array, "batch action *atom"] | None = None,
) -> Float[Array, "batch *atom"]:
    """The value of the next state, by the target network.

    Without further arguments it is the largest target Q-value. Given the Q-network's Q-values
    of the same states, the Q-network picks the action and the target network evaluates it (Double
    DQN). Given the outputs of a distributional head, it is the output of the picked action.

    Source: Mnih et al. (2015), eq. 2, https://doi.org/10.1038/nature14236;
    van Hasselt et al. (2016), eq. 4, https://arxiv.org/abs/1509.06461
    """
    values = target_q_values if outputs is None else outputs
    if online_q_values is None and values.ndim == target_q_values.ndim:
        return jnp.max(target_q_values, axis=-1)
    picks = target_q_values if online_q_values is None else online_q_values
    return of_actions(values, jnp.argmax(picks, axis=-1))


def of_actions(
    outputs: Float[Array, "batch action *atom"], action: Array
) -> Float[Array, "batch *atom"]:
    """The outputs of one action per row, such as Q(s, a).

    Computed as a masked sum, because the gradient of a gather is a slow scatter.
    """
    chosen = action[:, None] == jnp.arange(outputs.shape[1], dtype=action.dtype)
    chosen = chosen.reshape(*chosen.shape, *(1,) * (outputs.ndim - 2))
    return jnp.sum(jnp.where(chosen, outputs, 0.0), axis=1)


def td_target(
    reward: Float[Array, " batch"],
    discount: Float[Array, " batch"],
    next_values: Float[Array, "batch *atom"],
    *,
    rescaling: bool = False,
) -> Float[Array, "batch *atom"]:
    """y = r + discount · V(s′); with value rescaling h(r + discount · h⁻¹(V(s′))).

    The discount is γⁿ, and 0 if s′ is terminal. A truncated episode is bootstrapped: a time limit
    is no end of the world. No gradient flows through the target.

    Source: Mnih et al. (2015), eq. 2, https://doi.org/10.1038/nature14236;
    n > 1: Sutton (1988), https://doi.org/10.1007/BF00115009;
    rescaling: Pohlen et al. (2018), https://arxiv.org/abs/1805.11593
    """
    if rescaling:
        next_values = unscaled(next_values)
    reward, discount = (
        part.reshape(-1, *(1,) * (next_values.ndim - 1)) for part in (reward, discount)
    )
    # Avoids 0 · ∞, which is NaN.
    future = jnp.where(discount == 0, 0.0, discount * next_values)
    target = reward + future
    return jax.lax.stop_gradient(rescaled(target) if rescaling else target)
