"""A data set as a source of experience: all that it holds is there from the start."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from gymnasium import spaces
from jaxtyping import Bool, Float

from frankrl.config import Settings
from frankrl.core.ends import ends_world
from frankrl.core.errors import SettingError
from frankrl.core.normalisation import Scales
from frankrl.core.types import ACTION_DTYPE, Observation
from frankrl.datasets import DataEpisode, DataSet
from frankrl.environments import DIGEST_BYTES, EnvironmentLog, EnvironmentSpec, together
from frankrl.environments.encoding import checked_leaf
from frankrl.experience.normaliser import Normaliser, Statistics
from frankrl.experience.policy import Policy
from frankrl.experience.source import Collected
from frankrl.replay import WholeEpisodes

_MAX_SHOWN = 200


class DataSource:
    """The data set of a run that does not act: there is nothing to collect."""

    def __init__(
        self, settings: Settings, spec: EnvironmentSpec, digest: str, data: WholeEpisodes | None
    ) -> None:
        """Take the statistics of the data.

        Args:
            settings: the run's settings.
            spec: the environment.
            digest: the data set's SHA-256, as hexadecimal digits.
            data: its content; None: its statistics will be restored.
        """
        self._digest = bytes.fromhex(digest)[:DIGEST_BYTES]
        self._normaliser = Normaliser(settings, spec)
        sequences = settings.sequences
        self._memory = sequences and np.zeros((1, sequences.memory_units), np.float32)
        if data is not None and self._normaliser.statistics is not None:
            self._normaliser.see(data.observation)
            for reward, is_last in zip(data.reward, data.is_last, strict=True):
                self._normaliser.step(reward[None], is_last[None])

    def collect(self, policy: Policy, env_steps: int) -> Collected:
        """Collect nothing; arguments as of `Source.collect`."""
        return Collected(None, [], {}, [], [])

    def look_ahead(self, policy: Policy, env_steps: int) -> None:
        """Do nothing, because no actions are taken."""

    def snapshot(self) -> list[EnvironmentLog]:
        """The digest of the data, in the form of an environment's log."""
        nothing = np.zeros(0, ACTION_DTYPE)
        return [EnvironmentLog(0, nothing, bytes(DIGEST_BYTES), self._digest)]

    def digests(self) -> list[bytes]:
        """The digest of the data."""
        return [self._digest]

    def scales(self) -> Scales | None:
        return self._normaliser.scales()

    def restore(self, snapshot: list[EnvironmentLog]) -> list[int]:
        """Do nothing, because the data are in the checkpoint."""
        return []

    def statistics(self) -> tuple[Statistics | None, Float[np.ndarray, " env"]]:
        return self._normaliser.statistics, self._normaliser.returns

    def restore_statistics(
        self,
        statistics: Statistics | None,
        returns: Float[np.ndarray, " env"],
        begun: Sequence[int] = (),
    ) -> None:
        self._normaliser.statistics, self._normaliser.returns = statistics, returns

    def memory(self) -> Float[np.ndarray, "env unit"] | None:
        """An empty memory, because nobody acts."""
        return self._memory

    def restore_memory(
        self, memory: Float[np.ndarray, "env unit"] | None, begun: Sequence[int] = ()
    ) -> None:
        """Do nothing, because nobody acts."""

    def allow_restarts(self, most: int) -> None:
        """Do nothing, because no environment is stepped."""

    def close(self) -> None:
        """Do nothing, because nothing is open."""


class EncodedEpisode(NamedTuple):
    """One episode as the replay buffer holds it. Its T steps lead through T + 1 states."""

    observation: Observation
    """Leaves of shape (T + 1, …)."""
    mask: Bool[np.ndarray, "state action"] | None
    action: np.ndarray
    """Action indices from 0."""
    reward: Float[np.ndarray, " step"]
    """As the learner gets them: clipped, if the run clips rewards."""
    terminated: bool


def check_fits(dataset: DataSet, spec: EnvironmentSpec) -> None:
    """Refuse a data set of other observations or actions than the environment's.

    Raises:
        SettingError: it does not fit.
    """
    actions = spaces.Discrete(spec.num_actions, start=spec.first_action)
    for what, ours, theirs in (
        ("action", actions, dataset.action_space),
        ("observation", spec.observation_space, dataset.observation_space),
    ):
        if ours != theirs:
            raise SettingError(
                f"the data set {dataset.name} has the {what} space {_short(theirs)}, and "
                f"{spec.env_id} has {_short(ours)}{_advice(spec, what)}"
            )
    if spec.masks_from in ("info", "method") and next(dataset.episodes()).masks is None:
        raise SettingError(
            f"{spec.env_id} says which actions are allowed ({spec.mask_place}), and the data set "
            f"{dataset.name} does not: set action_mask to off, or collect it with the masks"
        )


def _short(space: spaces.Space) -> str:
    text = " ".join(str(space).split())
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]} …"


def _advice(spec: EnvironmentSpec, what: str) -> str:
    preprocessing = spec.preprocessing
    advice = ": name the environment in which it was collected"
    if what == "observation":
        advice += ", with the same env_kwargs"
        if spec.wrappers or preprocessing.resize or preprocessing.grayscale:
            advice += (
                ". A data set holds what the wrappers, resize and grayscale of its collection left "
                "of an observation: give the same ones, or none"
            )
        if preprocessing.frame_stack > 1:
            advice += ". It holds each observation once, without frame_stack"
    return advice


def encoded(episode: DataEpisode, spec: EnvironmentSpec) -> EncodedEpisode:
    """An episode of a data set that fits the environment, as the replay buffer holds it.

    Raises:
        SettingError: an observation is none of the environment's.
    """

    def mistake(what: str) -> SettingError:
        return SettingError(f"the data set holds {what}, which {spec.env_id} never shows")

    count = episode.num_steps + 1
    info = {} if episode.masks is None else {spec.mask_key: episode.masks}
    parts, mask = spec.parts(episode.observations, info, mistake)
    if spec.masks_from == "method":
        mask = episode.masks
    leaves = [
        np.asarray(checked_leaf(leaf, part, mistake, (count,)))
        for leaf, part in zip(spec.leaves, parts, strict=True)
    ]
    if not spec.is_masked:
        mask = None
    elif mask is None:
        raise mistake("states without an action mask")
    reward = np.asarray(episode.rewards, np.float32)
    return EncodedEpisode(
        observation=together(spec.structure, leaves),
        mask=None if mask is None else np.asarray(mask).reshape(count, -1) == 1,
        action=(np.asarray(episode.actions) - spec.first_action).astype(ACTION_DTYPE),
        reward=np.clip(reward, -1, 1) if spec.preprocessing.clip_rewards else reward,
        terminated=episode.terminated,
    )


def whole_episodes(dataset: DataSet, spec: EnvironmentSpec, settings: Settings) -> WholeEpisodes:
    """All episodes of a data set, in its order.

    Args:
        dataset: it fits the environment (`check_fits`).
        spec: the environment.
        settings: `bootstrap_on` decides which ends of an episode count as termination.

    Raises:
        SettingError: an observation is none of the environment's.
    """
    episodes = [encoded(episode, spec) for episode in dataset.episodes()]
    is_last = _joined(_at_end(len(each.action), True) for each in episodes)
    terminated = _joined(_at_end(len(each.action), each.terminated) for each in episodes)
    masks = [each.mask for each in episodes if each.mask is not None]
    return WholeEpisodes(
        observation=_joined(jax.tree.map(lambda leaf: leaf[:-1], e.observation) for e in episodes),
        mask=_joined(mask[:-1] for mask in masks) if masks else None,
        action=_joined(each.action for each in episodes),
        reward=_joined(each.reward for each in episodes),
        is_last=is_last,
        terminated=ends_world(settings.learning.bootstrap_on, terminated, is_last),
        last_observation=_joined(
            jax.tree.map(lambda leaf: leaf[-1:], each.observation) for each in episodes
        ),
        last_mask=_joined(mask[-1:] for mask in masks) if masks else None,
    )


def _joined(parts: Iterable[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def _at_end(count: int, value: bool) -> Bool[np.ndarray, " step"]:
    """False for all steps but the last."""
    return np.arange(count) == (count - 1 if value else count)
