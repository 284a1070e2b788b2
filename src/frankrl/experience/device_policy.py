"""A policy that computes on the device that learns, in a compiled call."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Bool, Float

from frankrl.core.backend import check_not_forked
from frankrl.core.numerics import own_numerics
from frankrl.core.types import Observation, Params
from frankrl.experience.policy import PolicyOutput, loaded
from frankrl.networks import QNetwork, perturb


class DevicePolicy:
    """Computes Q-values in a compiled call, for any network; parameters stay on the device."""

    def __init__(self, network: QNetwork) -> None:
        check_not_forked()
        self.network = network
        self._compiled = _compiled(network)
        self._params: Float[Any, " weight"] = np.zeros(network.layout.size, np.float32)

    def __reduce__(self) -> tuple[Any, ...]:
        return loaded, (DevicePolicy, self.network, self.vector)

    @property
    def params(self) -> Params:
        """See `Policy.params`."""
        return self.network.layout.unflatten(self.vector)

    @property
    def vector(self) -> Float[np.ndarray, " weight"]:
        """See `Policy.vector`."""
        return np.asarray(self._params)

    @own_numerics()
    def load(self, params: Float[Any, " weight"]) -> None:
        """See `Policy.load`."""
        self._params = params

    @own_numerics()
    def start(
        self,
        observation: Observation,
        mask: Bool[np.ndarray, "env action"] | None = None,
        noise: Float[np.ndarray, " noise"] | None = None,
        memory: Float[np.ndarray, "env unit"] | None = None,
    ) -> Callable[[], PolicyOutput]:
        """See `Policy.start`."""
        # JAX may read the host's arrays later, or share them.
        given = jax.tree.map(np.copy, (observation, mask, noise, memory))
        found = self._compiled(self._params, *given)
        return lambda: PolicyOutput(*jax.tree.map(np.asarray, found))

    def q_values(
        self,
        observation: Observation,
        mask: Bool[np.ndarray, "env action"] | None = None,
        noise: Float[np.ndarray, " noise"] | None = None,
        memory: Float[np.ndarray, "env unit"] | None = None,
    ) -> PolicyOutput:
        """See `Policy.q_values`."""
        return self.start(observation, mask, noise, memory)()


@functools.lru_cache(maxsize=8)
def _compiled(network: QNetwork) -> Callable[..., tuple[Array, Array | None]]:
    @jax.jit
    def q_values(
        vector: Float[Array, " weight"],
        observation: Observation,
        mask: Bool[Array, "env action"] | None,
        noise: Float[Array, " noise"] | None,
        memory: Float[Array, "env unit"] | None,
    ) -> tuple[Float[Array, "env action"], Float[Array, "env unit"] | None]:
        params = network.layout.unflatten(vector)
        if noise is not None:
            params = perturb(params, noise)
        return network.q_step(params, observation, mask, memory)

    return q_values
