"""The reward threshold of an environment, without making it."""

import functools

import gymnasium


@functools.cache
def reward_threshold(env_id: str) -> float | None:
    """Mean return at which an environment counts as solved; None if Gymnasium names none.

    Does not import the module of a third-party environment.
    """
    spec = gymnasium.registry.get(env_id)
    return None if spec is None else spec.reward_threshold
