"""Tianshou.

To solve: the settings of its own `examples/box2d/lunarlander_dqn.py`, with the loop written out.
"""

# pyright: reportMissingImports=false

from dataclasses import dataclass

import gymnasium
import numpy as np
import torch
from tianshou.algorithm import DQN
from tianshou.algorithm.modelfree.dqn import DiscreteQLearningPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.utils.net.common import Net
from tianshou.utils.torch_utils import policy_within_training_step

from benchmarks.peers.protocol import (
    EPSILON,
    LEARNING_RATE,
    LEARNING_STARTS_ENV_STEPS,
    TARGET_PERIOD_UPDATES,
    Job,
    answer,
    is_done,
    meter,
)


@dataclass(frozen=True)
class Recipe:
    """How to train; as published for LunarLander unless told."""

    num_envs: int = 16
    widths: tuple[int, ...] = (128, 128)
    stream_widths: tuple[int, ...] | None = (128, 128)
    """Of either dueling stream."""
    learning_rate: float = 0.013
    capacity: int = 100_000
    batch_size: int = 128
    n_step: int = 4
    double: bool = True
    target_every: int = 500
    learning_starts: int = 2_048
    steps_per_round: int = 16
    updates_per_round: int = 1
    epsilons: tuple[float, float] = (0.73, 0.01)
    """First and last, with an exponential decay of 5e-6 an env step."""


def recipe_for(job: Job) -> Recipe:
    """The settings that all share, or the library's own."""
    if job.task == "solve":
        return Recipe()
    return Recipe(
        num_envs=1,
        widths=job.widths,
        stream_widths=None,
        learning_rate=LEARNING_RATE,
        capacity=job.capacity,
        batch_size=job.batch_size,
        n_step=1,
        double=False,
        target_every=TARGET_PERIOD_UPDATES,
        learning_starts=LEARNING_STARTS_ENV_STEPS,
        steps_per_round=job.vector_steps_per_round,
        updates_per_round=job.updates_per_round,
        epsilons=(EPSILON, EPSILON),
    )


def algorithm_for(recipe: Recipe, env: gymnasium.Env) -> DQN:
    """The learner."""
    assert isinstance(env.action_space, gymnasium.spaces.Discrete)
    stream = recipe.stream_widths and {"hidden_sizes": recipe.stream_widths}
    net = Net(
        state_shape=env.observation_space.shape,
        action_shape=int(env.action_space.n),
        hidden_sizes=recipe.widths,
        dueling_param=(stream, stream) if stream else None,
    )
    return DQN(
        policy=DiscreteQLearningPolicy(
            model=net, action_space=env.action_space, eps_inference=recipe.epsilons[1]
        ),
        optim=AdamOptimizerFactory(lr=recipe.learning_rate),
        gamma=0.99,
        n_step_return_horizon=recipe.n_step,
        target_update_freq=recipe.target_every,
        is_double=recipe.double,
    )


def main() -> None:
    """Do the job."""
    job = Job.given()
    measured, recipe = meter(job), recipe_for(job)
    np.random.seed(job.seed)
    torch.manual_seed(job.seed)
    algorithm = algorithm_for(recipe, gymnasium.make(job.env_id))
    policy = algorithm.policy
    envs = DummyVectorEnv([lambda: gymnasium.make(job.env_id)] * recipe.num_envs)
    envs.seed(job.seed)
    replay = VectorReplayBuffer(recipe.capacity, recipe.num_envs)
    collector = Collector(policy, envs, replay, exploration_noise=True)
    collector.reset()

    @torch.no_grad()
    def act(observation: np.ndarray) -> int:
        return int(policy.model(observation[None])[0].argmax())

    first, last = recipe.epsilons
    env_steps, done = 0, False
    while not done:
        learned_steps = env_steps - recipe.learning_starts
        # As in Tianshou's own trainer, whose collector has filled some replay before.
        with policy_within_training_step(policy, enabled=learned_steps >= 0):
            policy.set_eps_training(max(first * (1 - 5e-6) ** max(learned_steps, 0), last))
            env_steps += collector.collect(n_step=recipe.steps_per_round).n_collected_steps
            if learned_steps >= 0:
                for _ in range(recipe.updates_per_round):
                    algorithm.update(replay, recipe.batch_size)
        done = is_done(measured, env_steps, act)
    answer(measured)


if __name__ == "__main__":
    main()
