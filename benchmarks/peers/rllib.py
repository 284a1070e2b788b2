"""RLlib, in one process: its new API stack with a local env runner and a local learner.

To solve: it publishes nothing for LunarLander, so the settings are those that its tuned
example for CartPole has (`rllib/examples/algorithms/dqn/cartpole_dqn.py`). They are not
tuned for this.
"""

# pyright: reportMissingImports=false

import logging

import numpy as np
import ray
import torch
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig

from benchmarks.peers.protocol import (
    EPSILON,
    LEARNING_RATE,
    LEARNING_STARTS_ENV_STEPS,
    Job,
    answer,
    is_done,
    meter,
)


def config_for(job: Job) -> DQNConfig:
    """The settings that all share, or the library's own."""
    config = (
        DQNConfig()
        .environment(job.env_id)
        .framework("torch")
        .env_runners(num_env_runners=0, num_envs_per_env_runner=1)
        .learners(num_learners=0, num_gpus_per_learner=0)
        .debugging(seed=job.seed, log_level="ERROR")
    )
    return shared(config, job) if job.task == "speed" else tuned(config)


def shared(config: DQNConfig, job: Job) -> DQNConfig:
    """Add the settings that all share."""
    return (
        config.env_runners(rollout_fragment_length=job.vector_steps_per_round)
        .training(
            lr=LEARNING_RATE,
            gamma=0.99,
            train_batch_size_per_learner=job.batch_size,
            # Replayed steps per env step.
            training_intensity=job.replay_ratio * job.batch_size,
            num_steps_sampled_before_learning_starts=LEARNING_STARTS_ENV_STEPS,
            # Counted in env steps.
            target_network_update_freq=job.target_period_env_steps,
            replay_buffer_config={"type": "EpisodeReplayBuffer", "capacity": job.capacity},
            epsilon=EPSILON,
            double_q=False,
            dueling=False,
            n_step=1,
        )
        .rl_module(
            model_config=DefaultModelConfig(
                fcnet_hiddens=list(job.widths), fcnet_activation="relu", head_fcnet_hiddens=[]
            )
        )
    )


def tuned(config: DQNConfig) -> DQNConfig:
    """Add the library's own settings."""
    return config.training(
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
        epsilon=[(0, 1.0), (25_000, 0.02)],
    ).rl_module(
        model_config=DefaultModelConfig(
            fcnet_hiddens=[256],
            fcnet_activation="tanh",
            fcnet_bias_initializer="zeros_",
            head_fcnet_hiddens=[256],
            head_fcnet_bias_initializer="zeros_",
        )
    )


def main() -> None:
    """Do the job."""
    job = Job.given()
    measured = meter(job)
    ray.init(
        num_cpus=1,
        num_gpus=0,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    algorithm = config_for(job).build_algo()
    module = algorithm.get_module()
    assert module is not None

    @torch.no_grad()
    def act(observation: np.ndarray) -> int:
        batch = {"obs": torch.from_numpy(observation[None])}
        return int(module.forward_inference(batch)["actions"][0])

    # One call trains for 1,000 env steps; the first evaluation is for the start-up.
    done = is_done(measured, 0, act)
    while not done:
        sampled = algorithm.train()["env_runners"]["num_env_steps_sampled_lifetime"]
        done = is_done(measured, int(sampled), act)
    algorithm.stop()
    ray.shutdown()
    answer(measured)


if __name__ == "__main__":
    main()
