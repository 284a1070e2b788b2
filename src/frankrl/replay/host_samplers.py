"""Transitions that the host names: any, or the newest."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt32

from frankrl.core.random import Use, uniforms
from frankrl.replay.sampler import Sample, Sampler, SampleRequest
from frankrl.replay.state import ReplayState


class HostSampler(Sampler):
    """Every transition counts alike, and nothing is kept in mind."""

    def sample(
        self, state: ReplayState, capacity: int, draws: UInt32[Any, "update batch"]
    ) -> Sample:
        """Those that the host named."""
        return Sample(draws, None, None)


@dataclass(frozen=True)
class UniformSampler(HostSampler):
    """Transitions drawn uniformly with replacement.

    An update's draws are a function of the seed, its number and the env steps alone: any past
    update's batch can be found again.
    """

    batch_size: int

    def draws(self, seed: int, request: SampleRequest) -> UInt32[np.ndarray, "update batch"]:
        """The env steps that they begin with."""
        numbers = uniforms(
            seed, Use.REPLAY, request.first_update, request.num_updates, width=self.batch_size
        )
        count = request.end - request.first
        places = (numbers * count).astype(np.int64)
        # The transition in slot i of a ring of that many: the one whose env step is ≡ i.
        return (request.first + (places - request.first) % max(count, 1)).astype(np.uint32)


@dataclass(frozen=True)
class NewestSampler(HostSampler):
    """The newest transitions in order, as if there were no replay."""

    batch_size: int

    def draws(self, seed: int, request: SampleRequest) -> UInt32[np.ndarray, "update batch"]:
        """The env steps that they begin with; a round's updates go through its new transitions
        evenly. Fewer transitions than a batch are repeated."""
        count = request.num_updates
        update = np.arange(1, count + 1)[:, None]
        # What the round has overwritten by now cannot be learned from any more.
        oldest = min(request.first + self.batch_size, request.end) if request.first else 1
        seen = request.end - request.num_new + update * request.num_new // max(count, 1)
        seen = np.maximum(seen, oldest)
        back = np.arange(self.batch_size)[::-1] % np.maximum(seen - request.first, 1)
        return (seen - 1 - back).astype(np.uint32)
