"""TorchRL, with the parts of its own DQN script for CartPole.

To solve: it publishes nothing for LunarLander, so the settings are those that
`sota-implementations/dqn/config_cartpole.yaml` has for CartPole. They are not tuned for this.
"""

# pyright: reportMissingImports=false

from dataclasses import dataclass

import numpy as np
import torch
from tensordict.nn import TensorDictSequential
from torchrl.collectors import Collector
from torchrl.data import Composite, LazyTensorStorage, TensorDictReplayBuffer
from torchrl.envs import GymEnv
from torchrl.modules import MLP, EGreedyModule, QValueActor
from torchrl.objectives import DQNLoss, HardUpdate

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
    """How to train; as published for CartPole unless told."""

    widths: tuple[int, ...] = (120, 84)
    learning_rate: float = 2.5e-4
    capacity: int = 10_000
    batch_size: int = 128
    target_every: int = 50
    learning_starts: int = 10_000
    steps_per_round: int = 1_000
    updates_per_round: int = 100
    epsilon_start: float = 1.0
    epsilon_end: float = 0.05
    epsilon_decay_steps: int = 250_000
    prefetch: int | None = 10


def recipe_for(job: Job) -> Recipe:
    """The settings that all share, or the library's own."""
    if job.task == "solve":
        return Recipe()
    return Recipe(
        widths=job.widths,
        learning_rate=LEARNING_RATE,
        capacity=job.capacity,
        batch_size=job.batch_size,
        # It copies one update later than the number given.
        target_every=TARGET_PERIOD_UPDATES - 1,
        learning_starts=LEARNING_STARTS_ENV_STEPS,
        steps_per_round=job.vector_steps_per_round,
        updates_per_round=job.updates_per_round,
        epsilon_start=EPSILON,
        epsilon_end=EPSILON,
        prefetch=None,
    )


def main() -> None:
    """Do the job."""
    job = Job.given()
    measured, recipe = meter(job), recipe_for(job)
    np.random.seed(job.seed)
    torch.manual_seed(job.seed)
    env = GymEnv(job.env_id, device="cpu")
    env.set_seed(job.seed)
    net = MLP(
        in_features=env.observation_spec["observation"].shape[-1],
        out_features=env.action_spec.space.n,
        num_cells=list(recipe.widths),
        activation_class=torch.nn.ReLU,
    )
    actor = QValueActor(net, spec=Composite(action=env.action_spec), in_keys=["observation"])
    explorer = EGreedyModule(
        spec=actor.spec,
        eps_init=recipe.epsilon_start,
        eps_end=recipe.epsilon_end,
        annealing_num_steps=recipe.epsilon_decay_steps,
    )
    collector = Collector(
        env,
        TensorDictSequential(actor, explorer),
        frames_per_batch=recipe.steps_per_round,
        total_frames=-1,
        init_random_frames=recipe.learning_starts,
        device="cpu",
        storing_device="cpu",
        auto_register_policy_transforms=False,
    )
    replay = TensorDictReplayBuffer(
        storage=LazyTensorStorage(recipe.capacity, device="cpu"),
        batch_size=recipe.batch_size,
        prefetch=recipe.prefetch,
    )
    loss_of = DQNLoss(actor, loss_function="l2", delay_value=True)
    loss_of.make_value_estimator(gamma=0.99)
    target = HardUpdate(loss_of, value_network_update_interval=recipe.target_every)
    optimizer = torch.optim.Adam(loss_of.parameters(), lr=recipe.learning_rate)

    @torch.no_grad()
    def act(observation: np.ndarray) -> int:
        return int(net(torch.from_numpy(observation)).argmax())

    env_steps = 0
    for steps in collector:
        replay.extend(steps.reshape(-1))
        env_steps += steps.numel()
        explorer.step(steps.numel())
        if env_steps >= recipe.learning_starts:
            for _ in range(recipe.updates_per_round):
                loss = loss_of(replay.sample())["loss"]
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                target.step()
        if is_done(measured, env_steps, act):
            break
    collector.shutdown()
    answer(measured)


if __name__ == "__main__":
    main()
