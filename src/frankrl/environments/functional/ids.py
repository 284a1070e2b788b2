"""The ids of functional environments. This module is imported with Frank, so it leaves JAX out."""

import gymnasium

_PREFIX, _SUFFIX = "frankrl/", "-functional-v0"
_LIMITS = {"CartPole": (500, 475.0)}
"""Of Gymnasium's environment of that name: its time limit [steps] and its threshold."""


def register() -> None:
    """Register Frank's own functional environments in Gymnasium."""
    for name, (steps, threshold) in _LIMITS.items():
        env_id = f"{_PREFIX}{name}{_SUFFIX}"
        if env_id not in gymnasium.registry:
            gymnasium.register(
                id=env_id,
                entry_point="frankrl.environments.functional.env:frank_env",
                kwargs={"name": name},
                max_episode_steps=steps,
                reward_threshold=threshold,
            )


def own_name(env_id: str) -> str:
    """The name of one of Frank's own environments in its id; empty for any other id."""
    name = env_id.removeprefix(_PREFIX).removesuffix(_SUFFIX)
    return name if env_id == f"{_PREFIX}{name}{_SUFFIX}" and name in _LIMITS else ""
