"""Transitions drawn in proportion to how wrong the Q-network was about them.

Source: Schaul et al. (2016), the proportional variant. https://arxiv.org/abs/1511.05952
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

from frankrl.core.random import Use, uniforms
from frankrl.replay.priorities import Priorities, init_priorities
from frankrl.replay.sampler import Sample, Sampler, SampleRequest
from frankrl.replay.state import ReplayState
from frankrl.replay.sum_tree import find, set_leaves, total

_LARGEST_BELOW_1 = np.nextafter(np.float32(1), np.float32(0))


class PriorityDraws(NamedTuple):
    """What the transitions of a round's updates are found from."""

    uniforms: Float[Any, "update batch"]
    """One number in [0, 1) for each transition, which says where in its segment it lies. As
    float32 they are multiples of 2⁻²⁴ near 1: a transition that takes a smaller part of a
    segment may have none."""
    beta: Float[Any, ""]
    """β of all of the round's updates."""
    first: UInt32[Any, ""]
    """Env step that the oldest transition begins with which can be drawn."""


@dataclass(frozen=True)
class PrioritisedSampler(Sampler):
    """P(i) = pᵢ^α / Σ p^α, with pᵢ = how wrong the Q-network was about i when last asked, + ε.

    That is |TD error|, or what the head learns from instead. All transitions of a round are
    drawn before its updates, and all priorities set after them, so a priority is at most one
    round behind. A transition that several of the round's updates learned from gets the largest
    of its new priorities; one that none has yet, the largest so far, which is 1 before any.
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

    def init(self, capacity: int) -> Priorities:
        """The priorities of an empty buffer."""
        return init_priorities(capacity)

    def draws(self, seed: int, request: SampleRequest) -> PriorityDraws:
        """Where in its segment each transition lies."""
        numbers = uniforms(
            seed, Use.REPLAY, request.first_update, request.num_updates, width=self.batch_size
        )
        # Rounding must not make a 1 of what is below.
        below_1 = np.minimum(numbers.astype(np.float32), _LARGEST_BELOW_1)
        beta = np.float32(self.beta_at(request.env_steps))
        return PriorityDraws(below_1, beta, np.uint32(request.first))

    def beta_at(self, env_steps: int) -> float:
        """β at an absolute number of env steps: linearly to 1, where the weights undo all bias."""
        done = min(env_steps / self.beta_env_steps, 1.0)
        return self.beta + done * (1.0 - self.beta)

    def add(
        self,
        state: ReplayState,
        capacity: int,
        first: UInt32[Array, ""],
        end: UInt32[Array, ""],
        most: int,
    ) -> ReplayState:
        """New transitions, each with the largest priority so far."""
        priorities = _of(state)
        env_steps = first + jnp.arange(most, dtype=jnp.uint32)
        values = jnp.broadcast_to(priorities.largest, env_steps.shape)
        tree = set_leaves(priorities.tree, env_steps % capacity, values, env_steps < end)
        return replace(state, priorities=Priorities(tree, priorities.largest))

    def sample(self, state: ReplayState, capacity: int, draws: PriorityDraws) -> Sample:
        """One transition from each of `batch_size` equal segments of the line of all priorities.

        The weights are wᵢ = (N · P(i))^(-β), divided by the largest of the batch. N and the
        sum of all priorities drop out of that quotient.

        Source: Schaul et al. (2016), Algorithm 1 and appendix B.2.1.
        """
        tree = _of(state).tree
        whole = total(tree)
        segment = whole / self.batch_size
        begin = jnp.arange(self.batch_size, dtype=jnp.float32) * segment
        found, values = find(
            tree, jnp.broadcast_to(begin, draws.uniforms.shape), draws.uniforms * segment
        )
        # Only a damaged tree could lead beyond the leaves; reading there must stay impossible.
        leaves = jnp.minimum(found, capacity - 1).astype(jnp.uint32)
        oldest = draws.first % capacity
        since = jnp.where(leaves >= oldest, leaves - oldest, leaves + capacity - oldest)
        least = jnp.min(values, axis=-1, keepdims=True)
        weights = jnp.power(least / values, draws.beta)
        return Sample(draws.first + since.astype(jnp.uint32), weights, values / whole)

    def set_priorities(
        self,
        state: ReplayState,
        capacity: int,
        sample: Sample,
        priorities: Float[Array, "update batch"] | None,
    ) -> ReplayState:
        """The buffer with the priorities that the updates gave to what they drew."""
        assert priorities is not None
        before = _of(state)
        values = jnp.power(priorities + jnp.float32(self.epsilon), jnp.float32(self.exponent))
        leaves = jnp.ravel(sample.env_steps % capacity)
        tree = set_leaves(before.tree, leaves, jnp.ravel(values), jnp.ones(leaves.shape, jnp.bool_))
        largest = jnp.maximum(before.largest, jnp.max(values))
        return replace(state, priorities=Priorities(tree, largest))


def _of(state: ReplayState) -> Priorities:
    assert state.priorities is not None
    return state.priorities
