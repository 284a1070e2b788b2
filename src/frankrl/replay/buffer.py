"""The experience replay buffer: init, add, sample, set_priorities."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree, UInt32

from frankrl.core.types import Steps, Transition
from frankrl.replay.read import Span, read_transitions, spans
from frankrl.replay.sampler import Sample, Sampler
from frankrl.replay.state import ReplayState, field_shapes

_STEPS_PER_ENDING = 64
"""For each so many steps there is room for an episode's end at first; `make_room` makes more."""


@dataclass(frozen=True)
class ReplayBuffer:
    """Stores steps once; builds transitions when they are sampled. Holds no arrays; hashable.

    A transition spans `n_step` steps of one environment, or those to its episode's end; it can
    be drawn once the last of `n_step` steps would have been taken.
    """

    capacity: int
    """Transitions that can be drawn at once; the oldest goes when a new one comes."""
    num_envs: int
    """Environments whose steps come in turns."""
    n_step: int
    gamma: float
    """Discount γ per env step."""
    sampler: Sampler

    @property
    def num_rows(self) -> int:
        """Rows for steps: those of all transitions, what follows them, and where environments
        stand now."""
        return self.capacity + self.n_step * self.num_envs

    def init(
        self,
        observation: PyTree[jax.ShapeDtypeStruct],
        num_masked_actions: int | None,
        ending_rows: int,
    ) -> ReplayState:
        """An empty buffer.

        Args:
            observation: shapes and types of the leaves of one observation.
            num_masked_actions: how many actions there are, where some may not be allowed.
            ending_rows: rows for the last observations of episodes.
        """
        rows = self.num_rows
        room = rows + ending_rows
        mask = None
        if num_masked_actions is not None:
            mask = jnp.zeros((room, num_masked_actions), jnp.bool_)
        return ReplayState(
            observation=jax.tree.map(
                lambda leaf: jnp.zeros((room, *leaf.shape), leaf.dtype), observation
            ),
            mask=mask,
            **{name: jnp.zeros(*field) for name, field in field_shapes(rows).items()},
            num_steps=jnp.zeros((), jnp.uint32),
            num_endings=jnp.zeros((), jnp.uint32),
            priorities=self.sampler.init(self.capacity),
        )

    def drawable(self, num_steps: int) -> tuple[int, int]:
        """The transitions that can be drawn once so many env steps have been added.

        Returns:
            The env step that the oldest begins with, and the one after that of the newest.
        """
        end = max(0, num_steps - (self.n_step - 1) * self.num_envs)
        return max(0, end - self.capacity), end

    def add(self, state: ReplayState, steps: Steps) -> ReplayState:
        """The buffer with a round's steps written over its oldest ones.

        Args:
            state: donate it to the compiled call, or the whole buffer is copied.
            steps: at most `capacity`; their number is fixed.
        """
        rows = self.num_rows
        count = steps.action.shape[0]
        place = jnp.arange(count + self.num_envs, dtype=jnp.uint32)
        seen_at = (state.num_steps + place) % rows
        taken_at = seen_at[:count]
        order = jnp.cumsum(steps.is_last.astype(jnp.uint32))
        ending = jnp.where(steps.is_last, state.num_endings + order, 0).astype(jnp.uint32)
        is_real = place[:count] < order[-1]
        ended_at = rows + (state.num_endings + place[:count]) % state.num_ending_rows
        ended_at = jnp.where(is_real, ended_at, rows + state.num_ending_rows)

        def write(stored: Array, seen: Array, last: Array) -> Array:
            return stored.at[seen_at].set(seen).at[ended_at].set(last, mode="drop")

        observation, mask = jax.tree.map(
            write,
            (state.observation, state.mask),
            (steps.observation, steps.mask),
            (steps.last_observation, steps.last_mask),
        )
        new_state = ReplayState(
            observation=observation,
            mask=mask,
            action=state.action.at[taken_at].set(steps.action.astype(state.action.dtype)),
            reward=state.reward.at[taken_at].set(steps.reward),
            terminated=state.terminated.at[taken_at].set(steps.terminated),
            ending=state.ending.at[taken_at].set(ending),
            num_steps=state.num_steps + jnp.uint32(count),
            num_endings=state.num_endings + order[-1],
            priorities=state.priorities,
        )
        # Without the barrier XLA may write into a copy of the whole buffer to read from it again.
        new_state = jax.lax.optimization_barrier(new_state)
        first, end = self._ends_drawable(state.num_steps), self._ends_drawable(new_state.num_steps)
        return self.sampler.add(new_state, self.capacity, first, end, count)

    def _ends_drawable(self, num_steps: UInt32[Array, ""]) -> UInt32[Array, ""]:
        held = jnp.uint32((self.n_step - 1) * self.num_envs)
        return jnp.where(num_steps > held, num_steps - held, 0).astype(jnp.uint32)

    def sample(self, state: ReplayState, draws: Any) -> tuple[Sample, Transition]:
        """The transitions that a round's updates learn from, built from the stored steps.

        Args:
            state: the buffer, with the round's steps in it.
            draws: what the sampler's `draws` made on the host.

        Returns:
            Which were drawn, and the transitions, fields of shape (update, batch, …).
        """
        sample = self.sampler.sample(state, self.capacity, draws)
        return sample, self.read(state, sample.env_steps)

    def read(self, state: ReplayState, env_steps: UInt32[Array, "*batch"]) -> Transition:
        """The transitions that begin with the given env steps."""
        return read_transitions(state, env_steps, self.num_envs, self.n_step, self.gamma)

    def spans(self, state: ReplayState, env_steps: UInt32[Array, "*batch"]) -> Span:
        """Which steps those transitions are made of."""
        return spans(state, env_steps, self.num_envs, self.n_step)

    def set_priorities(
        self, state: ReplayState, sample: Sample, priorities: Float[Array, "update batch"] | None
    ) -> ReplayState:
        """The buffer after updates have found how wrong the Q-network was about what they drew.

        Args:
            state: the buffer.
            sample: what was drawn.
            priorities: what the head says of each (`Head.priorities`); none where the sampler
                gives no weights.
        """
        return self.sampler.set_priorities(state, self.capacity, sample, priorities)


def first_ending_rows(capacity: int, round_env_steps: int) -> int:
    """Rows for last observations that a buffer begins with."""
    return 2 * round_env_steps + capacity // _STEPS_PER_ENDING
