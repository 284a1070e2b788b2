"""The ids of functional environments. This module is imported with Frank, so it leaves JAX out."""

import gymnasium

MADE_HERE = "frankrl.environments.functional.env:"
"""Begins the entry points of functional environments in Gymnasium."""
_PREFIX, _SUFFIX = "frankrl/", "-functional-v0"
_TWINS = {
    "CartPole": "CartPole-v1",
    "Acrobot": "Acrobot-v1",
    "MountainCar": "MountainCar-v0",
    "NineSquares": "frankrl/NineSquares-v0",
    "CartPole-positions": "frankrl/CartPole-positions-v0",
    "RepeatAfterMe": "frankrl/RepeatAfterMe-v0",
}
"""The ordinary environment whose transitions, time limit and threshold each of them has."""


def register() -> None:
    """Register Frank's own functional environments in Gymnasium."""
    for name, twin_id in _TWINS.items():
        twin = gymnasium.spec(twin_id)
        env_id = f"{_PREFIX}{name}{_SUFFIX}"
        if env_id not in gymnasium.registry:
            gymnasium.register(
                id=env_id,
                entry_point=f"{MADE_HERE}frank_env",
                kwargs={"name": name},
                max_episode_steps=twin.max_episode_steps,
                reward_threshold=twin.reward_threshold,
            )
