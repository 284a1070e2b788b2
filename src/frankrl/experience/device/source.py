"""The source of a run whose environments are functions on the device."""

import functools
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jaxtyping import Float, UInt32

from frankrl.core.compiling import compiled_quickly
from frankrl.core.device_random import seed_words
from frankrl.environments import EnvironmentLog
from frankrl.experience.device.digest import as_bytes
from frankrl.experience.device.environments import (
    DeviceEnvironments,
    EnvironmentStates,
    logs,
)
from frankrl.experience.normaliser import Statistics


class DeviceSource:
    """Holds where the environments stand between two chunks; a chunk steps them."""

    def __init__(self, environments: DeviceEnvironments, seed: int) -> None:
        """Begin the first episodes.

        Args:
            environments: those of the run.
            seed: the run's seed.
        """
        self.environments = environments
        self.seed = seed_words(seed)
        self.states: EnvironmentStates = _compiled_begin(self.environments)(self.seed)
        """Read them before the next chunk begins, which takes their memory over."""

    @property
    def shapes(self) -> EnvironmentStates:
        """Shapes of the states; allocates no memory."""
        return jax.eval_shape(self.environments.begin, self.seed)

    def snapshot(self) -> list[EnvironmentLog]:
        """See `Restorable.snapshot`."""
        return logs(self.states)

    def digests(self) -> list[bytes]:
        """See `Restorable.digests`."""
        return as_bytes(self.states.digest)

    def restore(self, snapshot: list[EnvironmentLog]) -> list[int]:
        """Nothing is repeated: `states` come from the checkpoint."""
        return []

    def statistics(self) -> tuple[Statistics | None, Float[np.ndarray, " env"]]:
        """See `Restorable.statistics`."""
        return None, np.zeros(self.environments.num_envs)

    def restore_statistics(
        self,
        statistics: Statistics | None,
        returns: Float[np.ndarray, " env"],
        begun: Sequence[int] = (),
    ) -> None:
        """There are none."""

    def memory(self) -> None:
        """`states` hold it."""

    def restore_memory(
        self, memory: Float[np.ndarray, "env unit"] | None, begun: Sequence[int] = ()
    ) -> None:
        """`states` hold it."""

    def allow_restarts(self, most: int) -> None:
        """A pure function does not fail."""

    def close(self) -> None:
        """Nothing is open."""


@functools.lru_cache(maxsize=8)
def _compiled_begin(
    environments: DeviceEnvironments,
) -> Callable[[UInt32[np.ndarray, "2"]], EnvironmentStates]:
    return jax.jit(environments.begin, compiler_options=compiled_quickly())
