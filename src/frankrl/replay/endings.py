"""Room for the last observations of episodes; it grows if episodes are short."""

import collections
import functools
from collections.abc import Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PyTree, Shaped, UInt32

from frankrl.replay.buffer import ReplayBuffer
from frankrl.replay.state import ReplayState


class EndingRoom:
    """Tracks, on the host, how many last observations of episodes the buffer must hold.

    None may be overwritten while a transition can still read it. A new buffer has room for one
    episode end in 64 steps. With shorter episodes the room is doubled whenever it is full, so
    memory is only taken for what is stored.
    """

    def __init__(self, buffer: ReplayBuffer, state: ReplayState) -> None:
        self._buffer = buffer
        self._num_steps = int(state.num_steps)
        first, _ = buffer.drawable(self._num_steps)
        env_steps = np.arange(first, self._num_steps)
        ended = np.asarray(state.ending)[env_steps % buffer.num_rows] > 0
        self._ended = collections.deque(env_steps[ended].tolist())
        """Env steps that ended an episode and can still be read, oldest first."""
        self._num_endings = int(state.num_endings)
        self._rows = state.num_ending_rows

    def grown_to(self, is_last: Bool[np.ndarray, " row"]) -> int:
        """Rows for endings to which the buffer must grow before a round is added; 0 if there are
        enough. Call it once per round.

        Args:
            is_last: which of the round's steps end an episode.
        """
        needed, before = self._needed(is_last), self._rows
        self._rows = ending_rows_for(needed, before)
        return self._rows if self._rows > before else 0

    def _needed(self, is_last: Bool[np.ndarray, " row"]) -> int:
        places = np.flatnonzero(is_last)
        self._ended.extend((self._num_steps + places).tolist())
        self._num_steps += len(is_last)
        self._num_endings += len(places)
        first, _ = self._buffer.drawable(self._num_steps)
        while self._ended and self._ended[0] < first:
            self._ended.popleft()
        # Endings of episodes that were cut short may be out of order by one vector step. More
        # rows than endings would be useless.
        return min(len(self._ended) + self._buffer.num_envs, self._num_endings)


def ending_rows_for(needed: int, rows: int) -> int:
    """The rows for endings that hold as many as needed, where there are `rows` already."""
    while rows < needed:
        rows *= 2
    return rows


def with_ending_rows(state: ReplayState, rows: int) -> ReplayState:
    """The buffer with `rows` rows for endings, more than it has now."""
    observation, mask = _grown(
        (state.observation, state.mask), state.num_endings, state.num_rows, rows
    )
    return replace(state, observation=observation, mask=mask)


@functools.partial(jax.jit, static_argnames=("num_rows", "after"))
def _grown(leaves: PyTree, num_endings: UInt32[Array, ""], num_rows: int, after: int) -> PyTree:
    """The leaves with a ring of `after` rows for endings, each moved to its new place."""
    place = jnp.arange(after, dtype=jnp.uint32)
    # Number of endings since the newest one that belongs in each place.
    age = (num_endings + (after - 1 - place)) % after

    def grown(leaf: Shaped[Array, "place ..."]) -> Shaped[Array, "more_places ..."]:
        ring = leaf[num_rows:]
        before = ring.shape[0]
        held = age < jnp.minimum(num_endings, before)
        found = ring[(num_endings - 1 - age) % before]
        held = held.reshape(after, *[1] * (leaf.ndim - 1))
        return jnp.concatenate([leaf[:num_rows], jnp.where(held, found, jnp.zeros_like(found))])

    return jax.tree.map(grown, leaves)


def cut_short(buffer: ReplayBuffer, state: ReplayState, env_indices: Sequence[int]) -> ReplayState:
    """The buffer with the running episodes of some environments truncated; the one given is gone.

    Their next steps are unknown, so the value of the last observation is bootstrapped.
    """
    num_steps, rows = int(state.num_steps), buffer.num_rows
    if num_steps == buffer.first_env_step:
        return state
    indices = np.array(env_indices, np.int64)
    last_rows = (num_steps - buffer.num_envs + indices) % rows
    running = np.asarray(state.ending)[last_rows] == 0
    indices, last_rows = indices[running], last_rows[running]
    if grown := EndingRoom(buffer, state).grown_to(np.ones(len(indices), np.bool_)):
        state = with_ending_rows(state, grown)
    numbers = int(state.num_endings) + np.arange(len(indices))
    arrived, to = (num_steps + indices) % rows, rows + numbers % state.num_ending_rows
    observation, mask = _repeated((state.observation, state.mask), arrived, to)
    return replace(
        state,
        observation=observation,
        mask=mask,
        ending=state.ending.at[last_rows].set((numbers + 1).astype(np.uint32)),
        num_endings=state.num_endings + jnp.uint32(len(indices)),
    )


@functools.partial(jax.jit, donate_argnums=0)
def _repeated(leaves: PyTree, rows: Int[Array, " row"], to: Int[Array, " row"]) -> PyTree:
    """The leaves with some rows written to other rows, too; without a copy of the whole."""
    return jax.tree.map(lambda leaf: leaf.at[to].set(leaf[rows]), leaves)
