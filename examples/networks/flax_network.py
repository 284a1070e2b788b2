"""A network of your own in Flax NNX: its state is learned, its graph is made anew for each trace.

    cd examples/networks
    PYTHONPATH=. frank train CartPole-v1 --network flax_network:make

or from Python, as at the end of this file. It takes about 40 seconds on 2 cores.
"""

from dataclasses import dataclass

import jax
from flax import nnx

import frankrl


class Model(nnx.Module):
    """Computes a batch of observations."""

    def __init__(self, spec, rngs):
        (leaf,) = spec.leaves
        self.first = nnx.Linear(leaf.size, 64, rngs=rngs)
        self.second = nnx.Linear(64, 64, rngs=rngs)
        self.output = nnx.Linear(64, spec.num_actions, rngs=rngs)

    def __call__(self, observation):
        features = nnx.relu(self.first(observation))
        return self.output(nnx.relu(self.second(features)))


@dataclass(frozen=True)
class Network:
    """The two functions."""

    spec: frankrl.NetworkSpec

    def _model(self, key):
        return Model(self.spec, nnx.Rngs(key))

    def init(self, key, spec):
        """The parameters: what is learned of a new model."""
        return nnx.state(self._model(key), nnx.Param)

    def apply(self, params, observation):
        """Q-values of a batch of observations, of shape (batch, action)."""
        shapes = nnx.eval_shape(lambda: self._model(jax.random.key(0)))
        graph = nnx.graphdef(shapes)
        return nnx.merge(graph, params)(observation)


def make(spec):
    """What `--network flax_network:make` names."""
    return Network(spec)


if __name__ == "__main__":
    result = frankrl.train("CartPole-v1", network="flax_network:make")
    print(result.run, result.evaluation["mean_return"])
