"""A network of your own in plain JAX.

    cd examples/networks
    PYTHONPATH=. frank train CartPole-v1 --network plain_jax:make

or from Python, as at the end of this file. It takes about 30 seconds on 2 cores.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

import frankrl


@dataclass(frozen=True)
class Network:
    """Two hidden layers with relu. As a frozen dataclass it compares by value."""

    widths: tuple[int, ...] = (64, 64)

    def init(self, key, spec):
        """The parameters: any pytree of float32 arrays."""
        (leaf,) = spec.leaves
        sizes = (leaf.size, *self.widths, spec.num_actions)
        keys = jax.random.split(key, len(sizes) - 1)
        return [
            {
                "weight": jax.random.normal(key, (before, after)) / before**0.5,
                "bias": jnp.zeros(after),
            }
            for key, before, after in zip(keys, sizes, sizes[1:], strict=False)
        ]

    def apply(self, params, observation):
        """Q-values of a batch of observations, of shape (batch, action)."""
        *hidden, output = params
        for layer in hidden:
            observation = jax.nn.relu(observation @ layer["weight"] + layer["bias"])
        return observation @ output["weight"] + output["bias"]


def make(spec):
    """What `--network plain_jax:make` names."""
    return Network()


if __name__ == "__main__":
    result = frankrl.train("CartPole-v1", network="plain_jax:make")
    print(result.run, result.evaluation["mean_return"])
