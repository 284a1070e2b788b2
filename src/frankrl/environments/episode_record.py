"""What each environment has done in its running episode, and the log from which it is restored."""

import hashlib
import struct
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt16

from frankrl.core.types import ACTION_DTYPE, FinishedEpisode
from frankrl.environments.spec import DIGEST_BYTES

_STEP = struct.Struct("<HdB")
"""Action, reward and flags in the bytes that are hashed."""


class EnvironmentLog(NamedTuple):
    """Snapshot of one environment: its episode and the actions taken in it.

    The state is restored by taking the same actions again. `digest` shows whether the environment
    came to the same state.
    """

    episode: int
    actions: UInt16[np.ndarray, " step"]
    """Actions of the episode so far."""
    earlier: bytes
    """`digest` at the end of the episode before."""
    digest: bytes
    """Hash of `earlier`, of the actions, and of everything that the environment returned in this
    episode: `DIGEST_BYTES` that depend on all its episodes from the first on."""


class Position(NamedTuple):
    """Where one environment stands; unlike a log, it costs next to nothing."""

    episode: int
    actions: list[int]
    """Actions of the episode; the list may grow afterwards."""
    num_actions: int
    """How many of them had been taken."""
    earlier: bytes
    hashed: Any
    """The hash up to here."""

    def log(self) -> EnvironmentLog:
        """The snapshot of the environment at this point."""
        actions = np.asarray(self.actions[: self.num_actions], ACTION_DTYPE)
        return EnvironmentLog(self.episode, actions, self.earlier, self.hashed.digest())


class EpisodeRecord:
    """Record of the running episode of one environment."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.begin(-1, b"", bytes(DIGEST_BYTES))

    def begin(self, episode: int, first: bytes, earlier: bytes) -> None:
        """Begin a new episode, by the fingerprint of its first row; `earlier` as in
        `EnvironmentLog`."""
        self.episode = episode
        self.actions: list[int] = []
        self.episode_return = 0.0
        self.earlier = earlier
        self._hash = hashlib.blake2b(earlier + first, digest_size=DIGEST_BYTES)

    def note(self, action: int, reward: float, flags: int, fingerprint: bytes) -> None:
        """Add a step that led to the row of this fingerprint."""
        self.actions.append(action)
        self.episode_return += reward
        self._hash.update(_STEP.pack(action, reward, flags) + fingerprint)

    def position(self) -> Position:
        """Where the environment stands now."""
        count = len(self.actions)
        return Position(self.episode, self.actions, count, self.earlier, self._hash.copy())

    def digest(self) -> bytes:
        """The hash of all that the environment returned: see `EnvironmentLog`."""
        return self._hash.digest()

    def finished(self, env_steps: int) -> FinishedEpisode:
        """The episode, which ended in the step after these env steps of the run."""
        return FinishedEpisode(
            env_steps=env_steps + self.index + 1,
            env_index=self.index,
            episode=self.episode,
            episode_return=self.episode_return,
            length=len(self.actions),
        )
