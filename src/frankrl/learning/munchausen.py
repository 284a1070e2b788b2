"""Munchausen DQN: the policy's own log-probability is part of the reward."""

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
        settings: τ is its `munchausen_temperature`.
        target_q_values: Q(s′, ·; θ⁻).
        outputs: what the target network says of each action, Z; Q-values or quantiles.

    Source: Vieillard, Pietquin & Geist (2020), eq. 1. https://arxiv.org/abs/2007.14430
    """
    log_policy = _log_policy(settings, target_q_values)
    policy = jnp.exp(log_policy)
    # An action that is never taken may have an infinite logarithm.
    bonus = jnp.where(policy > 0, settings.munchausen_temperature * log_policy, 0.0)
    likely, policy, bonus = (
        part.reshape(*part.shape, *(1,) * (outputs.ndim - 2))
        for part in (policy > 0, policy, bonus)
    )
    return jnp.sum(jnp.where(likely, policy * (outputs - bonus), 0.0), axis=1)


def munchausen_bonus(
    settings: LearningSettings, target_q_values: Float[Array, "batch action"], action: Array
) -> Float[Array, " batch"]:
    """What is added to the reward: α max(τ ln π(a|s), floor).

    With n steps it is added to the first of them.

    Args:
        settings: α is its `munchausen_scale`.
        target_q_values: Q(s, ·; θ⁻).
        action: the actions taken.

    Source: as `soft_bootstrap`; the floor is l₀ in section 3 there.
    """
    log_policy = of_actions(_log_policy(settings, target_q_values), action)
    clipped = jnp.clip(settings.munchausen_temperature * log_policy, settings.munchausen_floor, 0.0)
    return settings.munchausen_scale * clipped


def _log_policy(
    settings: LearningSettings, q_values: Float[Array, "batch action"]
) -> Float[Array, "batch action"]:
    return jax.nn.log_softmax(q_values / settings.munchausen_temperature, axis=-1)
