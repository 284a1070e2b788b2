"""What a run is made of, and everything that training changes, each as one record."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from frankrl.config import Settings
from frankrl.environments import EnvironmentSpec
from frankrl.learning import LearnerState, init_learner, network_for
from frankrl.networks import QNetwork
from frankrl.replay import ReplayBuffer, ReplayState, first_ending_rows, make_replay


@dataclass(frozen=True)
class Experiment:
    """What does not change while a run goes on; it holds no arrays."""

    settings: Settings
    """Resolved."""
    spec: EnvironmentSpec
    seed: int
    network: QNetwork
    replay: ReplayBuffer

    @classmethod
    def of(cls, settings: Settings, spec: EnvironmentSpec, seed: int) -> "Experiment":
        """The experiment that settings describe."""
        return cls(settings, spec, seed, network_for(settings, spec), make_replay(settings))

    @property
    def first_ending_rows(self) -> int:
        """Rows for the last observations of episodes that the buffer begins with."""
        return first_ending_rows(self.replay.capacity, self.settings.round_env_steps)


class TrainState(NamedTuple):
    """The state between two rounds; together with the source's snapshot it is the whole run."""

    learner: LearnerState
    replay: ReplayState
    behaviour_params: Float[Array, " weight"]
    """What the next round acts by; with `overlap` one round older than `params`."""
    params: Float[Array, " weight"]
    """`learner.params` in a buffer of their own, which no later call reuses."""
    eval_params: Float[Array, " weight"]
    """What acts greedily, likewise."""
    env_steps: int
    updates: int


def init_train_state(experiment: Experiment) -> TrainState:
    """The state of a run that has not begun."""
    settings, network = experiment.settings, experiment.network
    params = network.init(experiment.seed)
    vector = jnp.array(network.layout.flatten(params))
    return TrainState(
        learner=init_learner(settings.learning, network, params),
        replay=init_replay(experiment),
        behaviour_params=vector,
        params=vector,
        eval_params=vector,
        env_steps=0,
        updates=0,
    )


def init_replay(experiment: Experiment, ending_rows: int | None = None) -> ReplayState:
    """The empty buffer of a run.

    Args:
        experiment: the run's.
        ending_rows: rows for the last observations of episodes; none: as many as at first.
    """
    spec = experiment.spec
    rows = np.zeros((1, *spec.row_shape), spec.row_dtype)
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), spec.observation(rows)
    )
    masked_actions = spec.num_actions if spec.is_masked else None
    if ending_rows is None:
        ending_rows = experiment.first_ending_rows
    return experiment.replay.init(shapes, masked_actions, ending_rows)
