"""Samplers that choose transitions on the host: uniformly, or the newest."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt32

from frankrl.core.device_random import as_below
from frankrl.core.random import Use, uniforms
from frankrl.replay.sampler import Sample, Sampler, SampleRequest
from frankrl.replay.state import ReplayState


class HostSampler(Sampler):
    """Gives all transitions equal weight and stores nothing about them."""

    def sample(
        self, state: ReplayState, capacity: int, draws: UInt32[Any, "update batch"]
    ) -> Sample:
        """The transitions that `draws` chose."""
        return Sample(draws, None, None)


@dataclass(frozen=True)
class UniformSampler(HostSampler):
    """Samples transitions uniformly with replacement.

    The sample of an update depends only on the seed, the number of the update and the env steps,
    so the batch of any past update can be found again.
    """

    batch_size: int
    use: Use = Use.REPLAY
    """What its draws are for: two buffers of a run have draws of their own."""

    def draws(self, seed: int, request: SampleRequest) -> UInt32[np.ndarray, "update batch"]:
        """The env steps at which the transitions begin."""
        numbers = uniforms(
            seed, self.use, request.first_update, request.num_updates, width=self.batch_size
        )
        count = request.end - request.first
        places = (numbers * count).astype(np.int64)
        # In a ring of `count` places, place i holds the transition whose env step is ≡ i.
        return (request.first + (places - request.first) % max(count, 1)).astype(np.uint32)

    def device_draws(
        self, bits: UInt32[Array, "update batch"], request: SampleRequest
    ) -> UInt32[Array, "update batch"]:
        """The env steps at which the transitions begin."""
        first, count = jnp.uint32(request.first), jnp.uint32(request.end - request.first)
        places = as_below(bits, count)
        turn = first % jnp.maximum(count, 1)
        return first + jnp.where(places >= turn, places - turn, places + count - turn)


@dataclass(frozen=True)
class NewestSampler(HostSampler):
    """Takes the newest transitions in order, as if there were no replay."""

    batch_size: int

    def draws(self, seed: int, request: SampleRequest) -> UInt32[np.ndarray, "update batch"]:
        """The env steps at which the transitions begin. The updates of a round are spread evenly
        over its new transitions; fewer transitions than a batch are repeated."""
        count = request.num_updates
        update = np.arange(1, count + 1)[:, None]
        # Transitions that the round has overwritten are gone.
        oldest = min(request.first + self.batch_size, request.end) if request.first else 1
        seen = request.end - request.num_new + update * request.num_new // max(count, 1)
        seen = np.maximum(seen, oldest)
        back = np.arange(self.batch_size)[::-1] % np.maximum(seen - request.first, 1)
        return (seen - 1 - back).astype(np.uint32)

    def device_draws(
        self, bits: UInt32[Array, "update batch"], request: SampleRequest
    ) -> UInt32[Array, "update batch"]:
        """The env steps at which the transitions begin, as `draws` gives them."""
        count = request.num_updates
        update = jnp.arange(1, count + 1, dtype=jnp.uint32)[:, None]
        first = jnp.uint32(request.first)
        # Counted from `first`, because env steps fill all 32 bits.
        there, num_new = (
            jnp.asarray(number, jnp.uint32).astype(jnp.int32)
            for number in (jnp.uint32(request.end) - first, request.num_new)
        )
        # A product of both counts might not fit.
        new = jnp.uint32(request.num_new)
        share = update * (new // count) + update * (new % count) // count
        oldest = jnp.where(first > 0, jnp.minimum(self.batch_size, there), 1)
        seen = jnp.maximum(there - num_new + share.astype(jnp.int32), oldest)
        back = jnp.arange(self.batch_size, dtype=jnp.int32)[::-1] % jnp.maximum(seen, 1)
        return first + (seen - 1 - back).astype(jnp.uint32)
