"""Running means and variances of observations and returns, and scaling by them.

Source: Stable-Baselines3's `VecNormalize`, and Gymnasium's `NormalizeObservation` and
`NormalizeReward`; what differs between them is in the decisions of the documentation.
"""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from frankrl.core.types import Array, Observation

NORMALISATION = "normalisation"
"""Begins the names of the arrays in a file of weights that say how observations are normalised."""
_FIRST_COUNT = 1e-4
"""What the initial mean 0 and variance 1 weigh, in observations."""


class Moments(NamedTuple):
    """Mean and variance of all values so far."""

    number: Float[np.ndarray, ""]
    """How many values there were, and what the initial mean and variance weigh."""
    mean: Float[np.ndarray, "*leaf"]
    variance: Float[np.ndarray, "*leaf"]

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> "Moments":
        """Those before the first value."""
        return cls(np.array(_FIRST_COUNT), np.zeros(shape), np.ones(shape))

    def with_batch(self, values: Float[np.ndarray, "batch *leaf"]) -> "Moments":
        """Those with more values.

        Source: Chan et al. (1979), as in Gymnasium's `RunningMeanStd`.
        """
        values = values.astype(np.float64)
        count, total = len(values), self.number + len(values)
        delta = values.mean(axis=0) - self.mean
        squares = (
            self.variance * self.number
            + values.var(axis=0) * count
            + np.square(delta) * self.number * count / total
        )
        mean = self.mean + delta * count / total
        return Moments(*map(np.asarray, (total, mean, squares / total)))


class LeafScale(NamedTuple):
    """How a part of an observation is scaled: (x - mean) · factor."""

    mean: Float[Array, "*leaf"]
    factor: Float[Array, "*leaf"]


class Scales(NamedTuple):
    """How observations and rewards are normalised at one moment of a run; arrays in float32."""

    observation: tuple[LeafScale | None, ...]
    """Of each leaf, in JAX's order; None: unchanged. Empty: no observation is."""
    observation_clip: Float[Array, ""]
    """Largest size of a number of a normalised observation."""
    reward: Float[Array, ""] | None
    """Factor of a reward; None: rewards stay as they are."""
    reward_clip: Float[Array, ""]
    """Largest size of a normalised reward."""

    def of_observation(self, observation: Observation) -> Observation:
        """The observation normalised; any axes may stand in front."""
        if not self.observation:
            return observation
        leaves, structure = jax.tree.flatten(observation)
        clip = self.observation_clip
        scaled = [
            leaf if scale is None else ((leaf - scale.mean) * scale.factor).clip(-clip, clip)
            for leaf, scale in zip(leaves, self.observation, strict=True)
        ]
        return jax.tree.unflatten(structure, scaled)

    def of_reward(self, reward: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
        """The rewards normalised."""
        if self.reward is None:
            return reward
        return (reward * self.reward).clip(-self.reward_clip, self.reward_clip)
