"""Steps of a vector of environments in the form in which they are stored."""

from collections.abc import Sequence

import numpy as np

from frankrl.config import LearningSettings
from frankrl.core.ends import ends_world
from frankrl.core.types import ACTION_DTYPE, Steps, VectorStep
from frankrl.environments import EnvironmentVector


def steps_of(
    envs: EnvironmentVector, vector_steps: Sequence[VectorStep], settings: LearningSettings
) -> Steps:
    """The steps of all environments in the form in which the replay buffer stores them.

    Args:
        envs: the environments, after the last of the steps.
        vector_steps: the steps in order of time.
        settings: `bootstrap_on` decides which ends of an episode count as termination.
    """
    spec = envs.spec
    seen = np.concatenate([*(step.observation for step in vector_steps), envs.observation])
    action, reward, terminated, truncated, life_lost = (
        np.concatenate([getattr(step, name) for step in vector_steps])
        for name in ("action", "reward", "terminated", "truncated", "life_lost")
    )
    if spec.preprocessing.clip_rewards:
        reward = np.clip(reward, -1, 1)
    is_last = terminated | truncated
    if spec.preprocessing.life_loss_terminates:
        terminated = terminated | life_lost
    last = np.zeros((len(is_last), *seen.shape[1:]), seen.dtype)
    if ended := np.flatnonzero(is_last).tolist():
        size = envs.num_envs
        last[: len(ended)] = [
            vector_steps[row // size].next_observation[row % size] for row in ended
        ]
    return Steps(
        observation=spec.observation(seen),
        mask=spec.action_mask(seen),
        action=action.astype(ACTION_DTYPE),
        reward=reward,
        is_last=is_last,
        terminated=ends_world(settings.bootstrap_on, terminated, is_last),
        last_observation=spec.observation(last),
        last_mask=spec.action_mask(last),
    )
