"""Keeps the running statistics by which a run normalises observations and rewards."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float

from frankrl.config import EnvironmentSettings, Settings
from frankrl.core.normalisation import LeafScale, Moments, Scales
from frankrl.core.types import Observation
from frankrl.environments import EnvironmentSpec
from frankrl.experience.policy import Policy, PolicyOutput


class Statistics(NamedTuple):
    """What a run has seen so far, shared by all its environments."""

    observation: tuple[Moments | None, ...]
    """Of each leaf that is made of real numbers; empty if observations are not normalised."""
    discounted_return: Moments | None
    """Of Σ γᵏ r over the episode so far; None if rewards are not normalised."""

    def scales(self, settings: EnvironmentSettings) -> Scales:
        """How observations and rewards are normalised by these statistics."""
        epsilon, returns = settings.normalize_epsilon, self.discounted_return

        def factor(moments: Moments) -> np.ndarray:
            return np.asarray(1 / np.sqrt(moments.variance + epsilon), np.float32)

        return Scales(
            observation=tuple(
                found and LeafScale(np.asarray(found.mean, np.float32), factor(found))
                for found in self.observation
            ),
            observation_clip=np.float32(settings.normalize_observations_clip),
            reward=None if returns is None else factor(returns),
            reward_clip=np.float32(settings.normalize_rewards_clip),
        )


def empty_statistics(settings: EnvironmentSettings, spec: EnvironmentSpec) -> Statistics | None:
    """The statistics of a run before its first observation; None if it normalises nothing."""
    if not (settings.normalize_observations or settings.normalize_rewards):
        return None
    leaves: tuple[Moments | None, ...] = ()
    if settings.normalize_observations:
        leaves = tuple(
            Moments.empty(leaf.shape) if is_normalised(leaf.dtype) else None for leaf in spec.leaves
        )
    return Statistics(leaves, Moments.empty(()) if settings.normalize_rewards else None)


def is_normalised(dtype: Any) -> bool:
    """Whether parts of observations of this dtype are normalised: real numbers, neither pictures
    of bytes nor numbered values."""
    return np.dtype(dtype).kind == "f"


class Normaliser:
    """Updates the statistics with every step of the training, in the order of env steps."""

    def __init__(self, settings: Settings, spec: EnvironmentSpec) -> None:
        """Has seen nothing yet.

        Args:
            settings: the run's settings.
            spec: the environment.
        """
        self._settings, self._gamma = settings.environment, settings.learning.gamma
        self._clips = spec.preprocessing.clip_rewards
        self.statistics = empty_statistics(settings.environment, spec)
        self.returns: Float[np.ndarray, " env"] = np.zeros(settings.environment.num_envs)
        """Σ γᵏ r over the running episode of each environment."""

    def see(self, observation: Observation) -> None:
        """Take the observations of all environments at a moment, in which they act next."""
        before = self.statistics
        if before is not None and before.observation:
            # In JAX's order, as the description has them.
            leaves = jax.tree.leaves(observation)
            pairs = zip(before.observation, leaves, strict=True)
            moments = tuple(found and found.with_batch(leaf) for found, leaf in pairs)
            self.statistics = before._replace(observation=moments)

    def step(self, reward: Float[np.ndarray, " env"], is_last: Bool[np.ndarray, " env"]) -> None:
        """Take a step's rewards.

        Args:
            reward: of each environment.
            is_last: whether its episode ended with it.
        """
        before = self.statistics
        if before is None or before.discounted_return is None:
            return
        reward = np.clip(reward, -1, 1) if self._clips else reward
        returns = self.returns * self._gamma + reward
        moments = before.discounted_return.with_batch(returns)
        self.statistics = before._replace(discounted_return=moments)
        self.returns = np.where(is_last, 0.0, returns)

    def begin(self, env_indices: Sequence[int]) -> None:
        """Begin new episodes in environments whose last one did not end."""
        if env_indices:
            self.returns = self.returns.copy()
            self.returns[list(env_indices)] = 0.0

    def scales(self) -> Scales | None:
        """How observations and rewards are normalised now; None if nothing is."""
        return None if self.statistics is None else self.statistics.scales(self._settings)


class NormalisedQValues:
    """Q-values of observations as the environment gives them."""

    def __init__(self, policy: Policy, scales: Scales | None) -> None:
        """Make the function.

        Args:
            policy: computes the Q-values of normalised observations.
            scales: how observations are normalised; None: they are not.
        """
        self.policy, self.scales = policy, scales

    def __call__(
        self,
        observation: Observation,
        mask: Bool[np.ndarray, "batch action"] | None = None,
        *,
        memory: Float[np.ndarray, "batch unit"] | None = None,
    ) -> PolicyOutput:
        """Q-values of a batch of observations, under action masks, and the memory after them.

        Args:
            observation: as the environment gives it.
            mask: which actions are allowed; None: all.
            memory: what the network remembers from before; None: the observations begin episodes.
        """
        if memory is None:
            memory = self.policy.network.initial_memory(len(jax.tree.leaves(observation)[0]))
        if self.scales is not None:
            observation = self.scales.of_observation(observation)
        return self.policy.q_values(observation, mask, memory=memory)


def statistics_tensors(statistics: Statistics | None) -> dict[str, np.ndarray]:
    """The statistics as named arrays, for the file of the agent's weights."""
    return {
        f"normalisation {name} {field}": np.asarray(value)
        for name, moments in _named(statistics)
        for field, value in moments._asdict().items()
    }


def statistics_from(
    tensors: Mapping[str, np.ndarray],
    like: Statistics | None,
    read: Callable[[Mapping[str, np.ndarray], str, Any, tuple[int, ...]], np.ndarray],
) -> Statistics | None:
    """The reverse of `statistics_tensors`.

    Args:
        tensors: the arrays of the file, by name.
        like: empty statistics of the run.
        read: returns an array by its name, dtype and shape, or raises.
    """
    if like is None:
        return None

    def moments_of(name: str, like: Moments) -> Moments:
        fields = {
            field: read(tensors, f"normalisation {name} {field}", np.float64, np.shape(value))
            for field, value in like._asdict().items()
        }
        return Moments(**fields)

    found = {name: moments_of(name, moments) for name, moments in _named(like)}
    leaves = tuple(moments and found[str(n)] for n, moments in enumerate(like.observation))
    return Statistics(leaves, like.discounted_return and found["return"])


def fault_in(statistics: Statistics | None) -> str:
    """The number of statistics that no run has, in words; empty if there is none."""
    for name, moments in _named(statistics):
        for field, value in moments._asdict().items():
            if not np.isfinite(value).all() or (field != "mean" and (value < 0).any()):
                return f"normalisation {name} {field} is {value.tolist()}"
    return ""


def _named(statistics: Statistics | None) -> list[tuple[str, Moments]]:
    if statistics is None:
        return []
    named = [(str(number), moments) for number, moments in enumerate(statistics.observation)]
    named.append(("return", statistics.discounted_return))
    return [(name, moments) for name, moments in named if moments is not None]
