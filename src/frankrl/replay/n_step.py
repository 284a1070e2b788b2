"""From single steps to quadruples over n steps, for all environments at once."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from frankrl.core.types import ACTION_DTYPE, QuadrupleBatch, VectorStep


class NStepWindow(NamedTuple):
    """The last n - 1 steps of every environment: some of their quadruples are not complete yet."""

    observation: Shaped[np.ndarray, "step env *obs"]
    action: Shaped[np.ndarray, "step env"]
    reward: Float[np.ndarray, "step env"]
    next_observation: Shaped[np.ndarray, "step env *obs"]
    terminated: Bool[np.ndarray, "step env"]
    truncated: Bool[np.ndarray, "step env"]
    filled: Bool[np.ndarray, "step env"]
    """False before the run's first step."""


def init_window(
    n_step: int, num_envs: int, observation_shape: tuple[int, ...], dtype: np.dtype
) -> NStepWindow:
    """The window at the beginning of a run."""
    shape = (n_step - 1, num_envs)
    return NStepWindow(
        observation=np.zeros((*shape, *observation_shape), dtype),
        action=np.zeros(shape, ACTION_DTYPE),
        reward=np.zeros(shape, np.float32),
        next_observation=np.zeros((*shape, *observation_shape), dtype),
        terminated=np.zeros(shape, np.bool_),
        truncated=np.zeros(shape, np.bool_),
        filled=np.zeros(shape, np.bool_),
    )


def n_step_quadruples(
    window: NStepWindow, steps: VectorStep, n_step: int, gamma: float
) -> tuple[NStepWindow, QuadrupleBatch, Int[np.ndarray, " row"], int]:
    """The quadruples that a round completes, and the window for the next round.

    The quadruple of a step is complete n steps later, or at the end of its episode if
    that comes first; it never reaches across that end. Its reward is
    r₀ + γ r₁ + … over the steps it spans.

    Args:
        window: what the rounds before left incomplete.
        steps: the round, fields of shape (vector step, env, …).
        n_step: n.
        gamma: γ.

    Returns:
        The next window; rows of fixed size; the env step that each begins with, counted
        from the first of the round; and how many of them are real. Rows are in the order
        of their first step, environments side by side.
    """
    if n_step == 1:
        size = steps.reward.size
        return window, _single_steps(steps), np.arange(size), size

    observation = np.concatenate([window.observation, steps.observation])
    action = np.concatenate([window.action, steps.action.astype(ACTION_DTYPE)])
    reward = np.concatenate([window.reward, steps.reward])
    next_observation = np.concatenate([window.next_observation, steps.next_observation])
    terminated = np.concatenate([window.terminated, steps.terminated])
    truncated = np.concatenate([window.truncated, steps.truncated])
    filled = np.concatenate([window.filled, np.ones_like(steps.terminated)])

    length, held = reward.shape[0], n_step - 1
    first = np.arange(length)[:, None]
    ends = terminated | truncated
    returns, last, ended = reward.copy(), np.repeat(first, reward.shape[1], axis=1), ends.copy()
    for distance in range(1, n_step):
        grows = ~ended[: length - distance]
        discounted = np.float32(gamma**distance) * reward[distance:]
        returns[: length - distance] += np.where(grows, discounted, np.float32(0))
        last[: length - distance] += grows
        ended[: length - distance] |= ends[distance:]
    completed_now = (last >= held) & (ended | (last - first == held))

    step_index, env_index = np.nonzero(filled & completed_now)
    count, most = len(step_index), steps.reward.size + held * reward.shape[1]
    padding = most - count
    step_index = np.pad(step_index, (0, padding))
    env_index = np.pad(env_index, (0, padding))
    last_index = last[step_index, env_index]
    rows = QuadrupleBatch(
        observation=observation[step_index, env_index],
        action=action[step_index, env_index],
        reward=returns[step_index, env_index],
        next_observation=next_observation[last_index, env_index],
        terminated=terminated[last_index, env_index],
        num_steps=(last_index - step_index + 1).astype(np.uint8),
    )
    kept = slice(length - held, length)
    new_window = NStepWindow(
        observation=observation[kept],
        action=action[kept],
        reward=reward[kept],
        next_observation=next_observation[kept],
        terminated=terminated[kept],
        truncated=truncated[kept],
        filled=filled[kept],
    )
    begun = (step_index - held) * reward.shape[1] + env_index
    return new_window, rows, begun, count


def _single_steps(steps: VectorStep) -> QuadrupleBatch:
    def flat(field: np.ndarray) -> np.ndarray:
        return field.reshape(-1, *field.shape[2:])

    return QuadrupleBatch(
        observation=flat(steps.observation),
        action=flat(steps.action).astype(ACTION_DTYPE),
        reward=flat(steps.reward),
        next_observation=flat(steps.next_observation),
        terminated=flat(steps.terminated),
        num_steps=np.ones(steps.reward.size, np.uint8),
    )
