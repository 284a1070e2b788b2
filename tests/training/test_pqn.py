"""PQN on the device: against a plain loop, resumed, opened, and refused where it cannot be."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import frankrl
from frankrl.config import Settings
from frankrl.core.device_random import random_bits
from frankrl.core.errors import SettingError
from frankrl.core.random import Use
from frankrl.environments import describe_for
from frankrl.environments.functional import functional_of
from frankrl.environments.functional.protocol import episode_key, step_key
from frankrl.experience.device import acting_draws, epsilon_greedy
from frankrl.explaining import reopen
from frankrl.learning import Rollout, init_learner, pqn_updates
from frankrl.runs import RunFolder
from frankrl.training import Experiment, init_train_state
from frankrl.training.device.rounds import device_rounds, source_on_device

ENV = "frankrl/CartPole-functional-v0"
NUM_ENVS, STEPS, ROUNDS = 3, 8, 4
SETTINGS = {
    "algorithm": "pqn",
    "source": "device",
    "num_envs": NUM_ENVS,
    "vector_steps_per_round": STEPS,
    "minibatches": 4,
    "epochs_per_round": 2,
    "hidden_widths": (8,),
    "layer_norm": True,
    "optimiser": "radam",
    "total_env_steps": ROUNDS * NUM_ENVS * STEPS,
    "evaluate_every_env_steps": None,
    "final_evaluation_episodes": None,
    "log_every_env_steps": NUM_ENVS * STEPS,
}


def settings_of(**changes):
    return Settings().with_changes(**SETTINGS, **changes).resolved()


def experiment_of(limit, **changes):
    settings = settings_of(env_kwargs={"max_episode_steps": limit}, **changes)
    return Experiment.of(settings, describe_for(ENV, settings), 3)


def chunks(experiment, *num_rounds):
    """The states after chunks of so many rounds each, and what each learned from last."""
    source = source_on_device(experiment)
    size = experiment.settings.round_env_steps
    stops = np.cumsum(num_rounds) * size
    results = device_rounds(
        experiment,
        source,
        init_train_state(experiment),
        lambda env_steps: int(min(stop for stop in stops if stop > env_steps)),
    )
    for _ in num_rounds:
        result = next(results)
        yield result, source.states


class Looped:
    """The environments of a run in a plain loop, one at a time."""

    def __init__(self, experiment, first_seeds):
        self.functional = functional_of(experiment.spec)
        self.step_one, self.reset_one = jax.jit(self.functional.step), jax.jit(self.functional.reset)
        self.seeds, self.lengths = list(first_seeds), [0] * NUM_ENVS
        self.states, self.seen = [], []
        for seed in self.seeds:
            state, observation, _ = self.reset_one(step_key(episode_key(seed), 0))
            self.states.append(state)
            self.seen.append(np.asarray(observation))
