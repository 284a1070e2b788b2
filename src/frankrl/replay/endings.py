"""Room for the last observations of episodes: more of it where episodes are short."""

import collections
from collections.abc import Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from frankrl.replay.buffer import ReplayBuffer
from frankrl.replay.state import ReplayState


class EndingRoom:
    """Sees to it, on the host, that no last observation is overwritten while it can be read.

    A buffer begins with room for one ending in 64 steps. Where episodes are shorter the room is
    doubled when it is full, so that memory is taken for what is stored alone.
    """

    def __init__(self, buffer: ReplayBuffer, state: ReplayState) -> None:
        self._buffer = buffer
        self._num_steps = int(state.num_steps)
        first, _ = buffer.drawable(self._num_steps)
        env_steps = np.arange(first, self._num_steps)
        ended = np.asarray(state.ending)[env_steps % buffer.num_rows] > 0
        self._ended = collections.deque(env_steps[ended].tolist())
        """Env steps that ended an episode and can still be read, the oldest first."""

    def needed(self, is_last: np.ndarray) -> int:
        """Rows for endings that a round needs; call it once for each.

        Args:
            is_last: which of the round's steps end an episode.
        """
        places = np.flatnonzero(is_last)
        self._ended.extend((self._num_steps + places).tolist())
        self._num_steps += len(is_last)
        first, _ = self._buffer.drawable(self._num_steps)
        while self._ended and self._ended[0] < first:
            self._ended.popleft()
        # Endings of episodes that were cut short may be out of order by one step of all.
        return len(self._ended) + self._buffer.num_envs


def with_ending_rows(state: ReplayState, needed: int) -> ReplayState:
    """The buffer with room for so many endings; itself if it has that."""
    before = state.num_ending_rows
    if needed <= before:
        return state
    after = before
    while after < needed:
        after *= 2
    newest = int(state.num_endings)
    numbers = np.arange(max(0, newest - before), newest)

    def moved(leaf: Array) -> Array:
        room = jnp.zeros((after, *leaf.shape[1:]), leaf.dtype)
        room = room.at[numbers % after].set(leaf[state.num_rows + numbers % before])
        return jnp.concatenate([leaf[: state.num_rows], room])

    observation, mask = jax.tree.map(moved, (state.observation, state.mask))
    return replace(state, observation=observation, mask=mask)


def cut_short(buffer: ReplayBuffer, state: ReplayState, env_indices: Sequence[int]) -> ReplayState:
    """The buffer with the running episodes of some environments ended where they stand.

    They end by truncation: what followed is not known, so the value of the last observation
    stands for it.
    """
    num_steps = int(state.num_steps)
    alive = EndingRoom(buffer, state).needed(np.zeros(0, np.bool_))
    state = with_ending_rows(state, alive + len(env_indices))
    for env_index in env_indices:
        env_step = num_steps - buffer.num_envs + env_index
        row = env_step % buffer.num_rows
        if env_step < 0 or state.ending[row]:
            continue
        arrived = (num_steps + env_index) % buffer.num_rows
        number = int(state.num_endings)
        place = state.num_rows + number % state.num_ending_rows
        observation, mask = jax.tree.map(
            lambda leaf, to=place, at=arrived: leaf.at[to].set(leaf[at]),
            (state.observation, state.mask),
        )
        state = replace(
            state,
            observation=observation,
            mask=mask,
            ending=state.ending.at[row].set(number + 1),
            num_endings=jnp.uint32(number + 1),
        )
    return state
