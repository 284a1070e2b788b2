"""A data set as a source of experience: all that it holds is there from the start."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from gymnasium import spaces
from jaxtyping import Bool, Float

from frankrl.config import Settings
from frankrl.core.ends import ends_world
from frankrl.core.errors import SettingError
from frankrl.core.normalisation import Scales
from frankrl.core.text import shown
from frankrl.core.types import ACTION_DTYPE, Observation
from frankrl.datasets import DataEpisode, DataSet
from frankrl.datasets.digest import ContentDigest
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
            steps = len(data.action)
            self._normaliser.see(jax.tree.map(lambda leaf: leaf[:steps], data.observation))
            if settings.environment.normalize_rewards:
                for reward, is_last in zip(data.reward, data.is_last, strict=True):
                    self._normaliser.step(reward[None], is_last[None])

    def collect(self, policy: Policy, ticks: int) -> Collected:
        """Collect nothing; arguments as of `Source.collect`."""
        return Collected(None, [], {}, [], [])

    def look_ahead(self, policy: Policy, ticks: int) -> None:
        """Do nothing, because no actions are taken."""

    def snapshot(self) -> list[EnvironmentLog]:
        """The digest of the data, in the form of an environment's log."""
        nothing = np.zeros(0, ACTION_DTYPE)
        return [EnvironmentLog(0, nothing, bytes(DIGEST_BYTES), self._digest)]

    def digests(self) -> list[bytes]:
        """The digest of the data."""
        return [self._digest]

    def scales(self) -> Scales | None:
        """See `Source.scales`."""
        return self._normaliser.scales()

    def restore(self, snapshot: list[EnvironmentLog]) -> list[int]:
        """Do nothing, because the data are in the checkpoint."""
        return []

    def statistics(self) -> tuple[Statistics | None, Float[np.ndarray, " env"]]:
        """See `Restorable.statistics`."""
        return self._normaliser.statistics, self._normaliser.returns

    def restore_statistics(
        self,
        statistics: Statistics | None,
        returns: Float[np.ndarray, " env"],
        begun: Sequence[int] = (),
    ) -> None:
        """See `Restorable.restore_statistics`."""
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
                f"{spec.env_id} has {_short(ours)}{_advice(dataset, spec, what)}"
            )
    if spec.masks_from in ("info", "method") and next(dataset.episodes()).masks is None:
        raise SettingError(
            f"{spec.env_id} says which actions are allowed ({spec.mask_place}), and the data set "
            f"{dataset.name} does not: set action_mask to off, or collect it with the masks"
        )


def _short(space: spaces.Space) -> str:
    text = " ".join(str(space).split())
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]} …"


def _advice(dataset: DataSet, spec: EnvironmentSpec, what: str) -> str:
    preprocessing = spec.preprocessing
    says = "" if dataset.env_id is None else f" ({shown(dataset.env_id)}, it says)"
    advice = (
        ": name another data set, or the environment (or a run in it) in which this one was "
        f"collected{says}"
    )
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


def encoded(episode: DataEpisode, spec: EnvironmentSpec, number: int = 0) -> EncodedEpisode:
    """An episode of a data set that fits the environment, as the replay buffer holds it.

    Args:
        episode: the episode.
        spec: the environment.
        number: which one of its data set it is, from 0.

    Raises:
        SettingError: an observation is none of the environment's, or an action is not allowed.
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
    action = (np.asarray(episode.actions) - spec.first_action).astype(ACTION_DTYPE)
    if mask is not None:
        mask = np.asarray(mask).reshape(count, -1) == 1
        _check_allowed(mask, action, spec, number)
    with np.errstate(over="ignore"):
        reward = np.asarray(episode.rewards, np.float32)
    if not np.isfinite(reward).all():
        raise SettingError(
            f"the data set holds a reward beyond 32-bit numbers in its episode {number:,}, which "
            "no network can learn from: scale the rewards of the data"
        )
    return EncodedEpisode(
        observation=together(spec.structure, leaves),
        mask=mask,
        action=action,
        reward=np.clip(reward, -1, 1) if spec.preprocessing.clip_rewards else reward,
        terminated=episode.terminated,
    )


def _check_allowed(
    mask: Bool[np.ndarray, "state action"],
    action: np.ndarray,
    spec: EnvironmentSpec,
    number: int,
) -> None:
    """Refuse an episode, the `number`-th from 0, that takes an action which its mask forbids.

    Raises:
        SettingError: it does.
    """
    forbidden = np.flatnonzero(~mask[np.arange(len(action)), action])
    if len(forbidden):
        step = int(forbidden[0])
        taken = int(action[step]) + spec.first_action
        raise SettingError(
            f"the data set takes action {taken} in step {step:,} of its episode {number:,}, where "
            "its action mask does not allow it: set action_mask to off, or collect it with the "
            "masks that the agent saw"
        )


def whole_episodes(dataset: DataSet, spec: EnvironmentSpec, settings: Settings) -> WholeEpisodes:
    """All episodes of a data set, in its order.

    Args:
        dataset: it fits the environment (`check_fits`).
        spec: the environment.
        settings: `bootstrap_on` decides which ends of an episode count as termination.

    Raises:
        SettingError: an observation is none of the environment's, an action is not allowed, or the
            files are not those that were opened.
    """
    digest = ContentDigest(dataset.observation_space, dataset.action_space)
    whole: WholeEpisodes | None = None
    number = begun = 0
    for number, episode in enumerate(dataset.episodes(), 1):
        count = episode.num_steps
        if number > dataset.num_episodes or begun + count > dataset.num_steps:
            raise _changed(dataset)
        digest.add(episode)
        one = encoded(episode, spec, number - 1)
        whole = whole or _empty(one, dataset)
        _put(one, whole, begun, number)
        begun += count
    if whole is None or digest.text() != dataset.digest:
        raise _changed(dataset)
    ends = ends_world(settings.learning.bootstrap_on, whole.terminated, whole.is_last)
    return whole._replace(terminated=ends)


def _changed(dataset: DataSet) -> SettingError:
    return SettingError(
        f"the data set {dataset.name} has changed while it was read: begin again once nothing "
        f"writes to {dataset.folder}"
    )


def _empty(like: EncodedEpisode, dataset: DataSet) -> WholeEpisodes:
    """Room for all episodes of a data set, of whose first one the types are taken."""
    steps, states = dataset.num_steps, dataset.num_steps + 1 + dataset.num_episodes

    def of_states(leaf: np.ndarray) -> np.ndarray:
        return np.empty((states, *leaf.shape[1:]), leaf.dtype)

    return WholeEpisodes(
        observation=jax.tree.map(of_states, like.observation),
        mask=None if like.mask is None else of_states(like.mask),
        action=np.empty(steps, like.action.dtype),
        reward=np.empty(steps, np.float32),
        is_last=np.zeros(steps, bool),
        terminated=np.zeros(steps, bool),
    )


def _put(one: EncodedEpisode, whole: WholeEpisodes, begun: int, number: int) -> None:
    """Put an episode, the `number`-th from 1, to its place from the step `begun` on."""
    num_steps, count = len(whole.action), len(one.action)
    end = begun + count

    def put(states: np.ndarray, room: np.ndarray) -> None:
        room[begun:end] = states[:-1]
        # What the environment would show now, which nobody reads, is what the last one arrived at.
        room[num_steps] = room[num_steps + number] = states[-1]

    jax.tree.map(put, one.observation, whole.observation)
    if one.mask is not None and whole.mask is not None:
        put(one.mask, whole.mask)
    whole.action[begun:end] = one.action
    whole.reward[begun:end] = one.reward
    whole.is_last[end - 1] = True
    whole.terminated[end - 1] = one.terminated
