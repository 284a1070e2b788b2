"""Everything that training changes, as one record."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from frankrl.config import Settings
from frankrl.environments import EnvironmentSpec
from frankrl.learning import LearnerState, init_learner
from frankrl.networks import MaskedQNetwork, QNetwork, make_q_network, make_q_table, pack
from frankrl.replay import NStepWindow, ReplayState, init_replay, init_window, make_sampling


class TrainState(NamedTuple):
    """The state between two rounds; together with the environments' logs it is the whole run."""

    learner: LearnerState
    replay: ReplayState
    window: NStepWindow
    acting: Float[Array, " weight"]
    """Weights that the next round acts with; with `overlap` one round older than the newest."""
    newest: Float[Array, " weight"]
    """Weights of `learner.online` in a buffer of their own, which no later call reuses."""
    playing: Float[Array, " weight"]
    """Weights that play greedily, likewise."""
    env_steps: int
    updates: int


def init_train_state(settings: Settings, spec: EnvironmentSpec, seed: int) -> TrainState:
    """The state of a run that has not begun."""
    network = initial_network(settings, spec, seed)
    weights = jnp.array(pack(network).weights)
    capacity = settings.replay.replay_capacity
    return TrainState(
        learner=init_learner(settings.learning, network),
        replay=init_replay(
            capacity,
            spec.observation_shape,
            spec.observation_dtype,
            make_sampling(settings.replay).priorities(capacity),
        ),
        window=init_window(
            settings.replay.n_step,
            settings.environment.num_envs,
            spec.observation_shape,
            spec.observation_dtype,
        ),
        acting=weights,
        newest=weights,
        playing=weights,
        env_steps=0,
        updates=0,
    )


def initial_network(settings: Settings, spec: EnvironmentSpec, seed: int) -> QNetwork:
    """The randomly initialised Q-network of a run, or its empty Q-table, with NumPy leaves."""
    inner = _of_states(settings, spec, seed)
    return MaskedQNetwork(inner, spec.state_shape) if spec.mask_size else inner


def _of_states(settings: Settings, spec: EnvironmentSpec, seed: int) -> QNetwork:
    if settings.network.q_function == "table":
        return make_q_table(math.prod(spec.state_shape), spec.num_actions)
    return make_q_network(
        settings.network,
        spec.state_shape,
        spec.scaling(to_bounds=settings.network.scale_observation),
        spec.num_actions,
        seed,
        noisy=settings.exploration.noisy,
    )


class HostNetwork:
    """A Q-network in NumPy whose weights are set from packed ones.

    Its arrays are views of one buffer, made once: setting the weights is one copy.
    """

    def __init__(self, like: QNetwork) -> None:
        packed = pack(jax.tree.map(np.asarray, like))
        self._buffer = packed.weights
        self._network = packed.network()

    def set(self, weights: Float[Array | np.ndarray, " weight"]) -> QNetwork:
        """The network with these weights, until the next call; waits for their computation."""
        np.copyto(self._buffer, np.asarray(weights))
        return self._network
