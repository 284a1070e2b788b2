"""The state in which a run begins."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from frankrl.core.types import Params
from frankrl.learning import LearnerState, init_learner
from frankrl.replay import ReplayState
from frankrl.training.replay_place import made_in_place, replay_host
from frankrl.training.state import Experiment, TrainState


def init_train_state(experiment: Experiment, initial: Params | None = None) -> TrainState:
    """The initial state of a run.

    Args:
        experiment: the run's experiment.
        initial: parameters of the Q-network, its target network and their average; None: drawn by
            the run's seed.
    """
    return compiled_init(experiment)(experiment, initial)


def compiled_init(experiment: Experiment) -> Callable[[Experiment, Params | None], TrainState]:
    """`init_train_state`, compiled once for experiments that differ in their seeds alone."""
    is_elsewhere = replay_host(experiment) is not None

    # In one compiled call: operations one by one would take ten times as long to start.
    @jax.jit
    def begun(params: Params) -> tuple[LearnerState, ReplayState | None, Float[Array, " weight"]]:
        learner = init_learner(experiment.settings.learning, experiment.network, params)
        replay = None if is_elsewhere else experiment.empty_replay()
        return learner, replay, jnp.copy(learner.params)

    def init(experiment: Experiment, initial: Params | None = None) -> TrainState:
        params = experiment.network.init(experiment.seed) if initial is None else initial
        learner, replay, vector = begun(params)
        if is_elsewhere:
            replay = made_in_place(experiment, jax.jit(experiment.empty_replay))
        return TrainState(
            learner=learner,
            replay=replay,
            behaviour_params=vector,
            params=vector,
            eval_params=vector,
            ticks=0,
            updates=0,
        )

    return init
