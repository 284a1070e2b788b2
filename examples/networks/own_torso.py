"""A torso of your own below Frank's heads, and an optimiser of your own.

    cd examples/networks
    PYTHONPATH=. frank train CartPole-v1 --torso own_torso:make --dueling \
        --optimiser own_torso:optimiser

or from Python, as at the end of this file. It takes about 40 seconds on 2 cores.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax

import frankrl


@dataclass(frozen=True)
class Fourier:
    """Sines and cosines of learned mixtures of the observation (Li & Pathak 2021)."""

    num_frequencies: int = 32

    def init(self, key, spec):
        size = sum(leaf.size for leaf in spec.leaves)
        return {"frequencies": jax.random.normal(key, (size, self.num_frequencies))}

    def apply(self, params, observation):
        """The features of a batch of observations, of shape (batch, feature)."""
        leaves = [leaf.reshape(len(leaf), -1) for leaf in jax.tree.leaves(observation)]
        phases = jnp.concatenate(leaves, axis=1) @ params["frequencies"]
        return jnp.concatenate([jnp.sin(phases), jnp.cos(phases)], axis=1)


def make(spec):
    """What `--torso own_torso:make` names."""
    return Fourier()


def optimiser(learning_rate):
    """What `--optimiser own_torso:optimiser` names: AdamW, whose decay spares the frequencies."""

    def decays(params):
        return jax.tree_util.tree_map_with_path(
            lambda path, _: "frequencies" not in jax.tree_util.keystr(path), params
        )

    return optax.adamw(learning_rate, weight_decay=1e-3, mask=decays)


if __name__ == "__main__":
    result = frankrl.train(
        "CartPole-v1", torso="own_torso:make", optimiser="own_torso:optimiser", dueling=True
    )
    print(result.run, result.evaluation["mean_return"])
