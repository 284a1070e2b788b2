"""Munchausen DQN: adds the log-probability of the action taken to the reward."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from frankrl.config import LearningSettings
from frankrl.learning.targets import of_actions


def soft_bootstrap(
    settings: LearningSettings,
    target_q_values: Float[Array, "batch action"],
    outputs: Float[Array, "batch action *atom"],
) -> Float[Array, "batch *atom"]:
    """The value of the next state: Σ_a π(a) (Z(a) - τ ln π(a)), where π = softmax(Q/τ).

    Args:
        settings: `munchausen_temperature` is τ.
        target_q_values: Q(s′, ·; θ⁻).
        outputs: the target network's outputs Z for each action; Q-values or quantiles.

    Source: Vieillard, Pietquin & Geist (2020), eq. 1. https://arxiv.org/abs/2007.14430
    """
    log_policy = _log_policy(settings, target_q_values)
    policy = jnp.exp(log_policy)
    # The log-probability of an action that is not allowed is -∞.
    bonus = jnp.where(policy > 0, settings.munchausen_temperature * log_policy, 0.0)
    likely, policy, bonus = (
        part.reshape(*part.shape, *(1,) * (outputs.ndim - 2))
        for part in (policy > 0, policy, bonus)
    )
    return jnp.sum(jnp.where(likely, policy * (outputs - bonus), 0.0), axis=1)


def munchausen_bonus(
    settings: LearningSettings, target_q_values: Float[Array, "batch action"], action: Array
) -> Float[Array, " batch"]:
    """The bonus that is added to the reward: α max(τ ln π(a|s), floor).

    With n-step returns it is added to the first reward.

    Args:
        settings: `munchausen_scale` is α.
        target_q_values: Q(s, ·; θ⁻).
        action: the actions taken.

    Source: as for `soft_bootstrap`; the floor is l₀ in section 3 of the paper.
    """
    log_policy = of_actions(_log_policy(settings, target_q_values), action)
    clipped = jnp.clip(settings.munchausen_temperature * log_policy, settings.munchausen_floor, 0.0)
    return settings.munchausen_scale * clipped


def _log_policy(
    settings: LearningSettings, q_values: Float[Array, "batch action"]
) -> Float[Array, "batch action"]:
    return jax.nn.log_softmax(q_values / settings.munchausen_temperature, axis=-1)
