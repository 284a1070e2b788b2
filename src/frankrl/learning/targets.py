"""What Q(s, a) should have been."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, UInt8


def bootstrap_values(
    target_q_values: Float[Array, "batch action"],
    online_q_values: Float[Array, "batch action"] | None = None,
) -> Float[Array, " batch"]:
    """The value of the next state, from the target network's Q-values there.

    Alone it is their maximum. Given the Q-network's values of the same states, that
    network picks the action and the target network values it (Double DQN).

    Source: Mnih et al. (2015), eq. 2, https://doi.org/10.1038/nature14236;
    van Hasselt et al. (2016), eq. 4, https://arxiv.org/abs/1509.06461
    """
    if online_q_values is None:
        return jnp.max(target_q_values, axis=-1)
    return q_of_actions(target_q_values, jnp.argmax(online_q_values, axis=-1))


def q_of_actions(q_values: Float[Array, "batch action"], action: Array) -> Float[Array, " batch"]:
    """Q(s, a) of one action per row.

    A masked sum rather than a gather: its gradient is a product instead of a scatter.
    """
    chosen = action[:, None] == jnp.arange(q_values.shape[-1], dtype=action.dtype)
    return jnp.sum(jnp.where(chosen, q_values, 0.0), axis=-1)


def td_target(
    reward: Float[Array, " batch"],
    terminated: Bool[Array, " batch"],
    num_steps: UInt8[Array, " batch"],
    next_values: Float[Array, " batch"],
    gamma: float,
) -> Float[Array, " batch"]:
    """y = r + γⁿ · V(s′), and y = r after termination, where there is no future.

    A truncated episode keeps its future: time ran out, the world did not. No gradient
    flows through the target.

    Source: Mnih et al. (2015), eq. 2, https://doi.org/10.1038/nature14236;
    n > 1: Sutton (1988), https://doi.org/10.1007/BF00115009
    """
    discount = jnp.power(jnp.float32(gamma), num_steps.astype(jnp.float32))
    future = jnp.where(terminated, 0.0, discount * next_values)
    return jax.lax.stop_gradient(reward + future)
