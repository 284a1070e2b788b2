"""Rows drawn in proportion to how wrong the Q-network was about them.

Source: Schaul et al. (2016), the proportional variant. https://arxiv.org/abs/1511.05952
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, UInt32

from frankrl.core.random import Use, uniforms
from frankrl.core.types import QuadrupleBatch
from frankrl.replay.priorities import Priorities, init_priorities
from frankrl.replay.sampling import Drawn, Due, Sampling
from frankrl.replay.sum_tree import find, set_leaves, total
from frankrl.replay.uniform import ReplayState, add, next_slots

_LARGEST_BELOW_1 = np.nextafter(np.float32(1), np.float32(0))


class Draws(NamedTuple):
    """What the rows of a round's updates are found from."""

    uniforms: Float[Any, "update batch"]
    """One number in [0, 1) for each row, which says where in its segment it lies. As float32 they
    are multiples of 2⁻²⁴ near 1: a row that takes a smaller part of a segment may have none."""
    beta: Float[Any, ""]
    """β of all of the round's updates."""


@dataclass(frozen=True)
class PrioritisedSampling(Sampling):
    """P(i) = pᵢ^α / Σ p^α, with pᵢ = surprise + ε when row i was last learned from.

    The surprise is |TD error|, or what the head learns from instead. All rows of a round are
    drawn before its updates, and all priorities set after them, so a priority is at most one
    round behind. A row that several of the round's updates learned from gets the largest of
    its new priorities; a row that none has yet, the largest so far, which is 1 before any.
    """

    batch_size: int
    exponent: float
    """α."""
    epsilon: float
    """ε."""
    beta: float
    """β at the beginning."""
    beta_env_steps: int
    """Env steps until it is 1."""

    def priorities(self, capacity: int) -> Priorities:
        """Those of an empty buffer."""
        return init_priorities(capacity)

    def choice(self, seed: int, due: Due) -> Draws:
        """Where in its segment each row lies."""
        draws = uniforms(
            seed, Use.REPLAY, due.first_update, due.most_updates, width=self.batch_size
        )
        # Rounding must not make a 1 of what is below.
        below_1 = np.minimum(draws.astype(np.float32), _LARGEST_BELOW_1)
        return Draws(below_1, np.float32(self.beta_at(due.env_steps)))

    def beta_at(self, env_steps: int) -> float:
        """β at an absolute number of env steps: linearly to 1, where the weights undo all bias."""
        done = min(env_steps / self.beta_env_steps, 1.0)
        return self.beta + done * (1.0 - self.beta)

    def add(
        self,
        state: ReplayState,
        rows: QuadrupleBatch,
        begun: UInt32[Array, " row"],
        count: Integer[Array, ""],
    ) -> ReplayState:
        """The rows, each with the largest priority so far."""
        priorities = _of(state)
        slots, is_real = next_slots(state, rows.reward.shape[0], count)
        values = jnp.broadcast_to(priorities.largest, slots.shape)
        tree = set_leaves(priorities.tree, slots, values, is_real)
        return _with(add(state, rows, begun, count), Priorities(tree, priorities.largest))

    def drawn(self, state: ReplayState, choice: Draws) -> Drawn:
        """One row from each of `batch_size` equal segments of the line of all priorities.

        The weights are wᵢ = (N · P(i))^(-β), divided by the largest of the batch. N and the
        sum of all priorities drop out of that quotient.

        Source: Schaul et al. (2016), Algorithm 1 and appendix B.2.1.
        """
        tree = _of(state).tree
        whole = total(tree)
        segment = whole / self.batch_size
        begin = jnp.arange(self.batch_size, dtype=jnp.float32) * segment
        found, values = find(
            tree, jnp.broadcast_to(begin, choice.uniforms.shape), choice.uniforms * segment
        )
        # Only a damaged tree could lead beyond the rows; reading there must stay impossible.
        indices = jnp.minimum(found, state.begun.shape[0] - 1).astype(jnp.uint32)
        least = jnp.min(values, axis=-1, keepdims=True)
        return Drawn(indices, jnp.power(least / values, choice.beta), values / whole)

    def learned(
        self,
        state: ReplayState,
        drawn: Drawn,
        surprises: Float[Array, "update batch"] | None,
        num_updates: Integer[Array, ""],
    ) -> ReplayState:
        """The buffer with the priorities that the updates gave to their rows."""
        assert surprises is not None
        priorities = _of(state)
        values = jnp.power(surprises + jnp.float32(self.epsilon), jnp.float32(self.exponent))
        is_real = jnp.broadcast_to(
            jnp.arange(values.shape[0])[:, None] < num_updates.astype(jnp.int32), values.shape
        )
        tree = set_leaves(
            priorities.tree, jnp.ravel(drawn.indices), jnp.ravel(values), jnp.ravel(is_real)
        )
        largest = jnp.maximum(priorities.largest, jnp.max(jnp.where(is_real, values, 0.0)))
        return _with(state, Priorities(tree, largest))


def _of(state: ReplayState) -> Priorities:
    assert state.priorities is not None
    return state.priorities


def _with(state: ReplayState, priorities: Priorities) -> ReplayState:
    return ReplayState(state.quadruples, state.begun, state.num_added, priorities)
