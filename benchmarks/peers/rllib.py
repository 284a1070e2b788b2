"""RLlib: one local environment runner, one local learner.

It publishes no settings for LunarLander; to solve, those of its tuned example for CartPole are
used: learning rate 5e-4, batches of 32 by prioritised replay of 50,000, Double DQN,
dueling, n-step 1 to 5 at random, ε from 1 to 0.02 over 10,000 env steps.
"""

# pyright: reportMissingImports=false

import logging

import numpy as np
import torch
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME

from benchmarks.peers.protocol import (
    LEARNING_STARTS_ENV_STEPS,
    STEPS_PER_ROUND,
    Job,
    answer,
    is_done,
    meter,
)


def config_of(job: Job) -> DQNConfig:
    """The algorithm's settings."""
    base = (
        DQNConfig()
        .environment(job.env_id)
        .env_runners(num_env_runners=0, rollout_fragment_length=STEPS_PER_ROUND)
        .learners(num_learners=0)
        # What it reports of each iteration costs time, so an iteration is not too short.
        .reporting(min_time_s_per_iteration=0, min_sample_timesteps_per_iteration=200)
        .debugging(seed=job.seed, log_level="ERROR")
    )
    if job.task == "speed":
        return base.rl_module(
            model_config=DefaultModelConfig(
                fcnet_hiddens=list(job.widths[:-1]),
                fcnet_activation="relu",
                head_fcnet_hiddens=list(job.widths[-1:]),
                head_fcnet_activation="relu",
            )
        ).training(
            lr=6.3e-4,
            gamma=0.99,
            train_batch_size_per_learner=job.batch_size,
            training_intensity=job.batch_size * job.replay_ratio,
            replay_buffer_config={"type": "EpisodeReplayBuffer", "capacity": 50_000},
            num_steps_sampled_before_learning_starts=LEARNING_STARTS_ENV_STEPS,
            target_network_update_freq=250,
            epsilon=0.1,
            double_q=False,
            dueling=False,
            n_step=1,
        )
    return base.rl_module(
        model_config=DefaultModelConfig(
            fcnet_hiddens=[256], fcnet_activation="tanh", head_fcnet_hiddens=[256]
        )
    ).training(
        lr=5e-4,
        train_batch_size_per_learner=32,
        replay_buffer_config={
            "type": "PrioritizedEpisodeReplayBuffer",
            "capacity": 50_000,
            "alpha": 0.6,
            "beta": 0.4,
        },
        n_step=(2, 5),
        double_q=True,
        dueling=True,
        epsilon=[(0, 1.0), (10_000, 0.02)],
    )


def main() -> None:
    """Do the job."""
    job = Job.given()
    logging.disable(logging.WARNING)
    algorithm = config_of(job).build_algo()
    module = algorithm.get_module(DEFAULT_MODULE_ID)
    measured = meter(job)

    def act(observation: np.ndarray) -> int:
        batch = {Columns.OBS: torch.as_tensor(observation)[None]}
        with torch.no_grad():
            return int(module.forward_inference(batch)[Columns.ACTIONS][0])

    while True:
        result = algorithm.train()
        env_steps = int(result[ENV_RUNNER_RESULTS][NUM_ENV_STEPS_SAMPLED_LIFETIME])
        if is_done(measured, env_steps, act):
            break
    algorithm.stop()
    answer(measured)


if __name__ == "__main__":
    main()
