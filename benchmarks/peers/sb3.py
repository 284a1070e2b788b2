"""Stable-Baselines3, and SBX, which has the same interface over JAX.

To solve: the settings of araffin/dqn-LunarLander-v2 (280.2 ± 13.0), the best published.
"""

# pyright: reportMissingImports=false

import gymnasium
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv

from benchmarks.peers.protocol import (
    CAPACITY,
    EPSILON,
    LEARNING_RATE,
    LEARNING_STARTS_ENV_STEPS,
    STEPS_PER_ROUND,
    TARGET_PERIOD_UPDATES,
    Job,
    answer,
    is_done,
    meter,
)

SPEED_SETTINGS = {
    "learning_rate": LEARNING_RATE,
    "buffer_size": CAPACITY,
    "learning_starts": LEARNING_STARTS_ENV_STEPS,
    "gamma": 0.99,
    "exploration_initial_eps": EPSILON,
    "exploration_final_eps": EPSILON,
    "train_freq": STEPS_PER_ROUND,
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


class _Meter(BaseCallback):
    def __init__(self, job: Job) -> None:
        super().__init__()
        self.meter = meter(job)

    def _on_step(self) -> bool:
        return not is_done(self.meter, self.num_timesteps, self._act)

    def _act(self, observation) -> int:
        return int(self.model.predict(observation, deterministic=True)[0])


def main(kind) -> None:
    """Do the job with a DQN class."""
    job = Job.given()
    measured = _Meter(job)
    if job.task == "speed":
        envs = DummyVecEnv([lambda: gymnasium.make(job.env_id)])
        settings = SPEED_SETTINGS | {
            "batch_size": job.batch_size,
            "gradient_steps": job.updates_per_round,
            # Counted in env steps.
            "target_update_interval": round(TARGET_PERIOD_UPDATES / job.replay_ratio),
        }
        widths, budget = job.widths, 10_000_000
    else:
        envs = DummyVecEnv([lambda: gymnasium.make(job.env_id)] * 8)
        settings, widths, budget = SOLVE_SETTINGS, (256, 256), 500_000
    model = kind(
        "MlpPolicy", envs, seed=job.seed, policy_kwargs={"net_arch": list(widths)}, **settings
    )
    model.learn(budget, callback=measured)
    answer(measured.meter)


if __name__ == "__main__":
    from stable_baselines3 import DQN

    main(DQN)
