"""Prioritised replay: samples transitions in proportion to the Q-network's error.

Source: Schaul et al. (2016), the proportional variant. https://arxiv.org/abs/1511.05952
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

from frankrl.core.device_random import as_uniforms
from frankrl.core.random import Use, uniforms
from frankrl.replay.priorities import Priorities, init_priorities
from frankrl.replay.sampler import Sample, Sampler, SampleRequest
from frankrl.replay.state import ReplayState
from frankrl.replay.sum_tree import find, set_leaves, total

_LARGEST_BELOW_1 = np.nextafter(np.float32(1), np.float32(0))


class PriorityDraws(NamedTuple):
    """The host's input for sampling the transitions of a round's updates."""

    uniforms: Float[Any, "update batch"]
    """A number in [0, 1) for each transition: its position in its segment. As float32 these are
    multiples of 2⁻²⁴ near 1, so a transition that takes a smaller part of a segment may never be
    hit."""
    beta: Float[Any, ""]
    """β of the round's updates."""
    first: UInt32[Any, ""]
    """Env step at which the oldest transition begins that can be sampled."""


@dataclass(frozen=True)
class PrioritisedSampler(Sampler):
    """P(i) = pᵢ^α / Σ p^α, with pᵢ = the error of i at its last update, + ε.

    The error is |TD error|, or what the head defines instead (`Head.priorities`). All transitions
    of a round are sampled before its updates, and all priorities are set after them, so a
    priority is at most one round old. A transition sampled by several updates of a round gets the
    largest of its new priorities. A new transition gets the largest priority so far, at first 1,
    or one by its error if whoever collected it has computed that.
    """

    batch_size: int
    exponent: float
    """α."""
    epsilon: float
    """ε."""
    beta: float
    """β at the start of the run."""
    beta_ticks: int
    """Ticks of the run's clock until β is 1."""
    use: Use = Use.REPLAY
    """What its draws are for: two buffers of a run have draws of their own."""

    def init(self, capacity: int) -> Priorities:
        """The priorities of an empty buffer."""
        return init_priorities(capacity)

    def draws(self, seed: int, request: SampleRequest) -> PriorityDraws:
        """The position of each transition in its segment."""
        numbers = uniforms(
            seed, self.use, request.first_update, request.num_updates, width=self.batch_size
        )
        # Rounding to float32 must not give 1.
        below_1 = np.minimum(numbers.astype(np.float32), _LARGEST_BELOW_1)
        beta = np.float32(self.beta_at(request.ticks))
        return PriorityDraws(below_1, beta, np.uint32(request.first))

    def device_draws(
        self, bits: UInt32[Array, "update batch"], request: SampleRequest
    ) -> PriorityDraws:
        """The position of each transition in its segment."""
        done = jnp.asarray(request.ticks, jnp.float32) / jnp.float32(self.beta_ticks)
        beta = self.beta + jnp.minimum(done, 1.0) * (1.0 - self.beta)
        return PriorityDraws(as_uniforms(bits), beta, jnp.uint32(request.first))

    def beta_at(self, ticks: int) -> float:
        """β after so many ticks: rises linearly to 1, where the weights undo all bias."""
        done = min(ticks / self.beta_ticks, 1.0)
        return self.beta + done * (1.0 - self.beta)

    def add(
        self,
        state: ReplayState,
        capacity: int,
        first: UInt32[Array, ""],
        end: UInt32[Array, ""],
        most: int,
        errors: Float[Array, " row"] | None = None,
    ) -> ReplayState:
        """Gives new transitions the largest priority so far, or one by their errors.

        Source: Horgan et al. (2018), section 3. https://arxiv.org/abs/1803.00933
        """
        priorities = _of(state)
        env_steps, largest = first + jnp.arange(most, dtype=jnp.uint32), priorities.largest
        if errors is None:
            values = jnp.broadcast_to(largest, env_steps.shape)
        else:
            values = self._priorities(errors)
            largest = jnp.maximum(largest, jnp.max(values))
        tree = set_leaves(priorities.tree, env_steps % capacity, values, env_steps < end)
        return replace(state, priorities=Priorities(tree, largest))

    def _priorities(self, errors: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
        """(error + ε)^α."""
        return jnp.power(errors + jnp.float32(self.epsilon), jnp.float32(self.exponent))

    def sample(self, state: ReplayState, capacity: int, draws: PriorityDraws) -> Sample:
        """Samples one transition from each of `batch_size` equal segments of the summed priorities.

        The weights are wᵢ = (N · P(i))^(-β), divided by the largest of the batch. N and the
        sum of all priorities cancel out.

        Source: Schaul et al. (2016), Algorithm 1 and appendix B.2.1.
        """
        tree = _of(state).tree
        whole = total(tree)
        segment = whole / self.batch_size
        begin = jnp.arange(self.batch_size, dtype=jnp.float32) * segment
        found, values = find(
            tree, jnp.broadcast_to(begin, draws.uniforms.shape), draws.uniforms * segment
        )
        # Only a damaged tree could lead beyond the leaves; no read may go there.
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
        """Sets the priorities of the sampled transitions to their new errors."""
        assert priorities is not None
        before = _of(state)
        values = self._priorities(priorities)
        leaves = jnp.ravel(sample.env_steps % capacity)
        tree = set_leaves(before.tree, leaves, jnp.ravel(values), jnp.ones(leaves.shape, jnp.bool_))
        largest = jnp.maximum(before.largest, jnp.max(values))
        return replace(state, priorities=Priorities(tree, largest))


def _of(state: ReplayState) -> Priorities:
    assert state.priorities is not None
    return state.priorities
