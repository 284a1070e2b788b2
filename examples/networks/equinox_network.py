"""A network of your own in Equinox: the model itself is the pytree of parameters.

    cd examples/networks
    PYTHONPATH=. frank train CartPole-v1 --network equinox_network:make

or from Python, as at the end of this file. It takes about 30 seconds on 2 cores.
"""

from typing import NamedTuple

import equinox as eqx
import jax

import frankrl


class Model(eqx.Module):
    """Computes one observation. Its arrays are learned; functions are no fields of it."""

    first: eqx.nn.Linear
    second: eqx.nn.Linear
    output: eqx.nn.Linear

    def __init__(self, key, spec):
        keys = jax.random.split(key, 3)
        (leaf,) = spec.leaves
        self.first = eqx.nn.Linear(leaf.size, 64, key=keys[0])
        self.second = eqx.nn.Linear(64, 64, key=keys[1])
        self.output = eqx.nn.Linear(64, spec.num_actions, key=keys[2])

    def __call__(self, observation):
        features = jax.nn.relu(self.first(observation))
        return self.output(jax.nn.relu(self.second(features)))


class Network(NamedTuple):
    """The two functions."""

    init: object
    apply: object


def q_values(model, observations):
    """Q-values of a batch of observations, of shape (batch, action)."""
    return jax.vmap(model)(observations)


def make(spec):
    """What `--network equinox_network:make` names."""
    return Network(init=Model, apply=q_values)


if __name__ == "__main__":
    result = frankrl.train("CartPole-v1", network="equinox_network:make")
    print(result.run, result.evaluation["mean_return"])
