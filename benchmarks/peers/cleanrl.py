"""CleanRL's DQN in JAX, which is a script to copy and not a library to install.

Written anew with the structure of its `dqn_jax.py` and `dqn_atari_jax.py`, so that it does the same
work at the same moments: one environment in a `SyncVectorEnv`, Stable-Baselines3's replay buffer, a
Flax network called for one observation, and one compiled update every `train_frequency` env steps,
given the batch as NumPy arrays. Left out are the scripts' logs and ε's schedule. Newer is the
`SyncVectorEnv`, told to reset at an episode's last step as the one that CleanRL uses does.

Source: https://github.com/vwxyzjn/cleanrl, Huang et al. (2022)
"""

# pyright: reportMissingImports=false

import random

import flax
import flax.linen as nn
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.training.train_state import TrainState
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3.common.buffers import ReplayBuffer

from benchmarks.peers.protocol import (
    EPSILON,
    LEARNING_RATE,
    LEARNING_STARTS_ENV_STEPS,
    Job,
    Speed,
    answer,
    made,
)

_GAMMA = 0.99


class QNetwork(nn.Module):
    """Dense layers, after MinAtar's convolution if the observation is a picture."""

    num_actions: int
    widths: tuple[int, ...]

    @nn.compact
    def __call__(self, observation: jax.Array) -> jax.Array:
        """The Q-value of each action."""
        features = observation.astype(jnp.float32)
        if features.ndim == 4:
            features = nn.relu(nn.Conv(16, kernel_size=(3, 3), padding="VALID")(features))
        features = features.reshape((features.shape[0], -1))
        for width in self.widths:
            features = nn.relu(nn.Dense(width)(features))
        return nn.Dense(self.num_actions)(features)


class LearnerState(TrainState):
    """Weights, those of the target network, and Adam's state."""

    target_params: flax.core.FrozenDict  # pyright: ignore[reportPrivateImportUsage]


class Learner:
    """The compiled functions of the script."""

    def __init__(self, network: QNetwork) -> None:
        """For a network."""
        self.q_values = jax.jit(network.apply)
        self.update = jax.jit(self._updated)

    def _updated(self, state, observations, actions, next_observations, rewards, dones):
        """The state after one update."""
        next_q_values = self.q_values(state.target_params, next_observations).max(axis=-1)
        targets = rewards + (1 - dones) * _GAMMA * next_q_values

        def loss(params):
            q_values = self.q_values(params, observations)
            taken = q_values[jnp.arange(len(q_values)), actions.squeeze()]
            return ((taken - targets) ** 2).mean()

        return state.apply_gradients(grads=jax.grad(loss)(state.params))


def begun(network: QNetwork, learner: Learner, observations: np.ndarray, seed: int) -> LearnerState:
    """The state before the first update."""
    params = network.init(jax.random.PRNGKey(seed), observations)
    return LearnerState.create(
        apply_fn=learner.q_values,
        params=params,
        target_params=params,
        tx=optax.adam(learning_rate=LEARNING_RATE),
    )


def main() -> None:
    """Do the job."""
    job = Job.given()
    if job.task != "speed" or job.num_envs != 1:
        raise SystemExit("the adapter of CleanRL measures speed, with one environment")
    random.seed(job.seed)
    np.random.seed(job.seed)
    envs = SyncVectorEnv(
        [lambda: gymnasium.wrappers.RecordEpisodeStatistics(made(job.env_id))],
        autoreset_mode=AutoresetMode.SAME_STEP,
    )
    observations, _ = envs.reset(seed=job.seed)
    actions = envs.single_action_space
    assert isinstance(actions, gymnasium.spaces.Discrete)
    network = QNetwork(int(actions.n), job.widths)
    learner = Learner(network)
    state = begun(network, learner, observations, job.seed)
    replay = ReplayBuffer(
        job.capacity,
        envs.single_observation_space,
        actions,
        "cpu",
        handle_timeout_termination=False,
    )
    train_every, measured, env_steps = round(1 / job.replay_ratio), Speed(job.seconds), 0
    while not measured.done(env_steps):
        observations = step(envs, learner, state, replay, observations)
        env_steps += 1
        if env_steps > LEARNING_STARTS_ENV_STEPS:
            if env_steps % train_every == 0:
                state = learner.update(state, *batch(replay, job.batch_size))
            if env_steps % job.target_period_env_steps == 0:
                state = state.replace(
                    target_params=optax.incremental_update(state.params, state.target_params, 1.0)
                )
    answer(measured)


def step(
    envs: SyncVectorEnv,
    learner: Learner,
    state: LearnerState,
    replay: ReplayBuffer,
    observations: np.ndarray,
) -> np.ndarray:
    """Act, and store what came of it; the observations after it."""
    if random.random() < EPSILON:
        actions = np.array([envs.single_action_space.sample()])
    else:
        actions = jax.device_get(learner.q_values(state.params, observations).argmax(axis=-1))
    following, rewards, terminated, truncated, infos = envs.step(actions)
    last = following.copy()
    for index in np.flatnonzero(truncated):
        last[index] = infos["final_obs"][index]
    replay.add(observations, last, actions, rewards, terminated, [infos])
    return following


def batch(replay: ReplayBuffer, batch_size: int) -> tuple[np.ndarray, ...]:
    """A batch as the compiled update gets it."""
    data = replay.sample(batch_size)
    return (
        data.observations.numpy(),
        data.actions.numpy(),
        data.next_observations.numpy(),
        data.rewards.flatten().numpy(),
        data.dones.flatten().numpy(),
    )


if __name__ == "__main__":
    main()
