"""Stable-Baselines3, and SBX, which has the same interface over JAX.

To solve: the settings of araffin/dqn-LunarLander-v2 (280.2 ± 13.0), the best published.
"""

# pyright: reportMissingImports=false

from typing import Any

import gymnasium
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import DummyVecEnv

from benchmarks.peers.protocol import (
    EPSILON,
    LEARNING_RATE,
    LEARNING_STARTS_ENV_STEPS,
    Job,
    answer,
    is_done,
    made,
    meter,
)

SPEED_SETTINGS = {
    "learning_rate": LEARNING_RATE,
    "learning_starts": LEARNING_STARTS_ENV_STEPS,
    "gamma": 0.99,
    "exploration_initial_eps": EPSILON,
    "exploration_final_eps": EPSILON,
}
SOLVE_SETTINGS = {
    "learning_rate": 7e-4,
    "buffer_size": 100_000,
    "learning_starts": 1_000,
    "batch_size": 128,
    "gamma": 0.99,
    "target_update_interval": 250,
    "exploration_fraction": 0.08,
    "exploration_final_eps": 0.05,
    "train_freq": 1,
    "gradient_steps": 4,
}


class MinAtarFeatures(BaseFeaturesExtractor):
    """The convolution of Young & Tian (2019): the library's own take no pictures of 10 × 10."""

    def __init__(self, observation_space: gymnasium.spaces.Box) -> None:
        height, width, planes = observation_space.shape
        super().__init__(observation_space, 16 * (height - 2) * (width - 2))
        convolution = torch.nn.Conv2d(planes, 16, kernel_size=3)
        self.layers = torch.nn.Sequential(convolution, torch.nn.ReLU(), torch.nn.Flatten())

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """The features; observations have their planes last, and PyTorch has them first."""
        return self.layers(observations.permute(0, 3, 1, 2))


class _Meter(BaseCallback):
    def __init__(self, job: Job) -> None:
        super().__init__()
        self.meter = meter(job)

    def _on_step(self) -> bool:
        return not is_done(self.meter, self.num_timesteps, self._act)

    def _act(self, observation) -> int:
        return int(self.model.predict(observation, deterministic=True)[0])


def policy_for(
    observation_space: gymnasium.Space, widths: tuple[int, ...]
) -> tuple[str, dict[str, Any]]:
    """The policy's name, and the arguments of its network: dense layers, after a convolution if
    the observation is a picture."""
    network: dict[str, Any] = {"net_arch": list(widths)}
    if len(observation_space.shape or ()) < 3:
        return "MlpPolicy", network
    return "CnnPolicy", network | {"features_extractor_class": MinAtarFeatures}


def main(kind) -> None:
    """Do the job with a DQN class."""
    job = Job.given()
    measured = _Meter(job)
    if job.task == "speed":
        envs = DummyVecEnv([lambda: made(job.env_id)] * job.num_envs)
        settings = SPEED_SETTINGS | {
            "buffer_size": job.capacity,
            "train_freq": job.vector_steps_per_round,
            "batch_size": job.batch_size,
            "gradient_steps": job.updates_per_round,
            # Counted in env steps.
            "target_update_interval": job.target_period_env_steps,
        }
        widths, budget = job.widths, 10_000_000
    else:
        envs = DummyVecEnv([lambda: gymnasium.make(job.env_id)] * 8)
        settings, widths, budget = SOLVE_SETTINGS, (256, 256), 500_000
        if job.task == "startup":
            # It learns from the first round on.
            settings = settings | {"learning_starts": 0}
    policy, network = policy_for(envs.observation_space, widths)
    model = kind(policy, envs, seed=job.seed, policy_kwargs=network, **settings)
    model.learn(budget, callback=measured)
    answer(measured.meter)


if __name__ == "__main__":
    from stable_baselines3 import DQN

    main(DQN)
