"""λ-returns: targets made of the rewards that followed and of the Q-values on the way."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def lambda_returns(
    reward: Float[Array, "step *env"],
    discount: Float[Array, "step *env"],
    next_values: Float[Array, "step *env"],
    is_last: Bool[Array, "step *env"],
    trace_decay: float,
) -> Float[Array, "step *env"]:
    """G_t = r_t + discount_t · ((1 - λ) V(s_{t+1}) + λ G_{t+1}), from the last step to the first.

    Where no further step of the episode is known, the whole bootstrap is V(s_{t+1}): at the last
    step of each row, and at a truncation, where s_{t+1} is the last observation and not the first
    one of the next episode. After termination the discount is 0. No gradient flows through the
    result.

    Args:
        reward: r of each step, in order of time. [reward]
        discount: γ; 0 if the step led to a terminal state.
        next_values: V(s′) = max_a′ Q(s′, a′) of the state that the step led to; its value is of no
            account where the discount is 0. [reward]
        is_last: whether the step ended its episode, by termination or truncation.
        trace_decay: λ; 0 gives the notes' target, 1 the discounted sum of rewards up to the end.

    Source: Watkins (1989); Peng & Williams (1996), https://doi.org/10.1007/BF00114731; as PQN uses
    it: Gallici et al. (2024), Algorithm 1, https://arxiv.org/abs/2407.04811. Their code takes
    a truncation for a termination.
    """

    def back(
        following: Float[Array, "*env"], step: tuple[Array, Array, Array, Array]
    ) -> tuple[Float[Array, "*env"], Float[Array, "*env"]]:
        reward, discount, value, is_last = step
        mixed = jnp.where(is_last, value, (1 - trace_decay) * value + trace_decay * following)
        # Avoids 0 · ∞, which is NaN.
        found = reward + jnp.where(discount == 0, 0.0, discount * mixed)
        return found, found

    steps = (reward, discount, next_values, is_last)
    _, found = jax.lax.scan(back, next_values[-1], steps, reverse=True)
    return jax.lax.stop_gradient(found)
