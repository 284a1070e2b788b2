"""A short run of updates, shared by the tests of the learner."""

import functools
from typing import NamedTuple

import jax
from small_networks import network_of, random_batch, settings_of

from frankrl.config import LearningSettings
from frankrl.learning import UpdateMetrics, init_learner, refresh_target, update, updates
from frankrl.networks import QNetwork

RATE = 1e-2
UPDATE = jax.jit(update, static_argnums=(0, 1))
UPDATES = jax.jit(updates, static_argnums=(0, 1))
REFRESH = jax.jit(refresh_target, static_argnums=0)


class Setup(NamedTuple):
    """What stays the same in all updates: the first two arguments of `update`."""

    learning: LearningSettings
    network: QNetwork


def setup(kind="mean", **changes):
    """A small network of tanh, unless the changes name another activation."""
    settings = settings_of(kind, **{"activation": "tanh", **changes})
    return Setup(settings.learning, network_of(settings))


def begun(made):
    """The learner before its first update."""
    return init_learner(*made, made.network.init(0))


def step(made, state, batch, rate=RATE):
    """One update and the refresh that may follow it; what it reports comes by name."""
    state, output = UPDATE(*made, state, batch, rate)
    return REFRESH(made.learning, state), UpdateMetrics(*output.metrics)


@functools.cache
def learn(made, num_updates, rate=RATE):
    """States after 0, 1, … updates, each on a batch of its own, and the metrics of each update."""
    states, metrics = [begun(made)], []
    for number in range(num_updates):
        state, own = step(made, states[-1], random_batch(number), rate)
        states.append(state)
        metrics.append(own)
    return states, metrics
