"""ε-greedy action selection: explore with probability ε, else take the greedy action."""

import numpy as np
from jaxtyping import Bool, Float, Int

from frankrl.config import ExplorationSettings, Settings
from frankrl.core.random import Use, uniforms


def linear_epsilon(
    settings: ExplorationSettings, env_steps: Int[np.ndarray, "..."] | int
) -> Float[np.ndarray, "..."]:
    """ε after a number of env steps: linear from start to end, then constant.

    With noisy layers ε is 0, because their noise explores.

    Source: Mnih et al. (2015), Methods. https://doi.org/10.1038/nature14236
    """
    if settings.noisy:
        return np.zeros(np.shape(env_steps))
    if settings.epsilon_decay_env_steps == 0:
        return np.full(np.shape(env_steps), settings.epsilon_end)
    done = np.minimum(np.asarray(env_steps) / settings.epsilon_decay_env_steps, 1.0)
    span = settings.epsilon_end - settings.epsilon_start
    return np.asarray(settings.epsilon_start + done * span)


def epsilon_ladder(settings: ExplorationSettings, num_envs: int) -> Float[np.ndarray, " env"]:
    """ε of each environment of actors that run freely: ε^(1 + α · i / (N - 1)), all its run long.

    Source: Horgan et al. (2018), section 4.1. https://arxiv.org/abs/1803.00933
    """
    place = np.arange(num_envs) / max(1, num_envs - 1)
    return settings.ladder_epsilon ** (1 + settings.ladder_exponent * place)


def mean_epsilon(settings: Settings, env_steps: int) -> float | None:
    """ε after a number of env steps, averaged over the environments; None without acting."""
    if settings.is_offline:
        return None
    if settings.environment.asynchronous_actors is None:
        return float(linear_epsilon(settings.exploration, env_steps))
    return float(epsilon_ladder(settings.exploration, settings.environment.num_envs).mean())


def epsilon_greedy(
    q_values: Float[np.ndarray, "env action"],
    epsilon: Float[np.ndarray, " env"],
    coins: Float[np.ndarray, " env"],
    choices: Float[np.ndarray, " env"],
) -> Int[np.ndarray, " env"]:
    """An ε-greedy action for every environment.

    Args:
        q_values: Q(s, ·) of each environment's state; -∞ for actions that are not allowed.
        epsilon: probability of a random action.
        coins: uniform in [0, 1); below ε the environment explores.
        choices: uniform in [0, 1); they pick the random action.
    """
    greedy = np.argmax(q_values, axis=1)
    exploring = explores(epsilon, coins)
    if not exploring.any():
        return greedy
    return np.where(exploring, _random_actions(q_values, choices), greedy)


def _random_actions(
    q_values: Float[np.ndarray, "env action"], choices: Float[np.ndarray, " env"]
) -> Int[np.ndarray, " env"]:
    """Uniform over the allowed actions of each state."""
    allowed = q_values != -np.inf
    if allowed.all():
        return (choices * q_values.shape[1]).astype(np.intp)
    # Number of the action to take among the allowed ones of each state.
    number = (choices * allowed.sum(axis=1)).astype(np.intp)
    return np.argmax(np.cumsum(allowed, axis=1) > number[:, None], axis=1)


def explores(
    epsilon: Float[np.ndarray, " env"], coins: Float[np.ndarray, " env"]
) -> Bool[np.ndarray, " env"]:
    """Whether each environment explores; never at ε = 0, always at ε = 1."""
    return coins < epsilon


def exploration_draws(
    seed: int, env_steps: int, num_envs: int
) -> tuple[Float[np.ndarray, " env"], Float[np.ndarray, " env"]]:
    """Coins and choices for the next step of all environments, after `env_steps`."""
    table = uniforms(seed, Use.EXPLORATION, env_steps, num_envs, width=2)
    return table[:, 0], table[:, 1]
