"""Agents that Stable-Baselines3 saves, with its own Q-values of some states.

Run as a program of its own: PyTorch stays out of the process of the tests, where it takes memory
and does not get on with every other library.
"""

import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

ENV_STEPS = 4_321


class Shows(gymnasium.Env):
    """Random observations of a space, for three actions."""

    action_space = spaces.Discrete(3)

    def __init__(self, space):
        self.observation_space = space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, False, False, {}


SPACES = {
    "FrankBytes-v0": spaces.Box(0, 255, (12,), np.uint8),
    "FrankBounded-v0": spaces.Box(np.float32([-2, 0]), np.float32([4, 1e3]), (2,), np.float32),
    "FrankState-v0": spaces.Discrete(9),
    "FrankNumbers-v0": spaces.MultiDiscrete([3, 5]),
    "FrankColours-v0": spaces.Box(0, 255, (41, 36, 3), np.uint8),
    "FrankStacked-v0": spaces.Box(0, 255, (4, 36, 44), np.uint8),
}
for name, space in SPACES.items():
    gymnasium.register(name, Shows, kwargs={"space": space}, max_episode_steps=9)

AGENTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "default": ("CartPole-v1", "MlpPolicy", {}),
    "tanh": ("Acrobot-v1", "MlpPolicy", {"net_arch": [24, 16], "activation_fn": "Tanh"}),
    "elu": ("CartPole-v1", "MlpPolicy", {"net_arch": [9, 8, 7], "activation_fn": "ELU"}),
    "silu": ("CartPole-v1", "MlpPolicy", {"net_arch": [9], "activation_fn": "SiLU"}),
    "linear": ("CartPole-v1", "MlpPolicy", {"net_arch": []}),
    "one-hot": ("FrankState-v0", "MlpPolicy", {"net_arch": [8]}),
    "several one-hot": ("FrankNumbers-v0", "MlpPolicy", {"net_arch": [8]}),
    "bytes": ("FrankBytes-v0", "MlpPolicy", {"net_arch": [8]}),
    "bounded": ("FrankBounded-v0", "MlpPolicy", {"net_arch": [8]}),
    "pictures": ("FrankColours-v0", "CnnPolicy", {}),
    "stacked pictures": (
        "FrankStacked-v0",
        "CnnPolicy",
        {"net_arch": [6], "features_extractor_kwargs": {"features_dim": 20}},
    ),
}
"""Environment, policy and its options."""


def save(name: str, folder: Path) -> None:
    """Save an agent, and its Q-values of 64 states."""
    import stable_baselines3
    import torch

    env_id, policy, options = AGENTS[name]
    if activation := options.get("activation_fn"):
        options = options | {"activation_fn": getattr(torch.nn, activation)}
    env = gymnasium.make(env_id)
    model = stable_baselines3.DQN(
        policy, env, policy_kwargs=options, buffer_size=10, device="cpu", seed=1
    )
    with torch.no_grad():
        for index, parameter in enumerate(model.q_net.parameters()):
            parameter *= 1.5 if index % 2 else 1.1
    model.num_timesteps = ENV_STEPS
    model.save(folder / f"{name}.zip")
    env.observation_space.seed(2)
    states = np.stack([env.observation_space.sample() for _ in range(64)])
    if states.dtype == np.float32:
        states = np.clip(states, -10, 1e3)
    with torch.no_grad():
        q_values = model.q_net(model.policy.obs_to_tensor(states)[0]).numpy()
    np.savez(folder / f"{name}.npz", states=states, q_values=q_values)


if __name__ == "__main__":
    for agent in AGENTS:
        save(agent, Path(sys.argv[1]))
