"""Policies: compute Q-values of the current observations, on the host or on the device."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from frankrl.core.random import Use, normals
from frankrl.core.types import Observation, Params
from frankrl.networks import NetworkParams, QNetwork, perturb


class PolicyOutput(NamedTuple):
    """What a policy makes of a batch of observations."""

    q_values: Float[np.ndarray, "env action"]
    """Q(s, ·); -∞ for actions that are not allowed."""
    memory: Float[np.ndarray, "env unit"] | None
    """What the network remembers after these observations; None without a memory."""


@runtime_checkable
class Policy(Protocol):
    """Computes Q-values with parameters that are loaded into it."""

    @property
    def network(self) -> QNetwork:
        """The definition of its network."""
        ...

    @property
    def params(self) -> Params:
        """The parameters that were loaded last, as NumPy arrays."""
        ...

    @property
    def vector(self) -> Float[np.ndarray, " weight"]:
        """The same as one vector, as `load` takes them; waits until they have been computed."""
        ...

    def load(self, params: Float[Any, " weight"]) -> None:
        """Use these parameters from now on; they may still be being computed."""
        ...

    def start(
        self,
        observation: Observation,
        mask: Bool[np.ndarray, "env action"] | None = None,
        noise: Float[np.ndarray, " noise"] | None = None,
        memory: Float[np.ndarray, "env unit"] | None = None,
    ) -> Callable[[], PolicyOutput] | None:
        """Begin to compute what `q_values` returns, if that goes on beside other work.

        Returns:
            A function that waits for what `q_values` returns; the arguments may change meanwhile.
            None if nothing has begun.
        """
        ...

    def q_values(
        self,
        observation: Observation,
        mask: Bool[np.ndarray, "env action"] | None = None,
        noise: Float[np.ndarray, " noise"] | None = None,
        memory: Float[np.ndarray, "env unit"] | None = None,
    ) -> PolicyOutput:
        """Q(s, ·) of a batch of observations, and what the network remembers after them.

        Args:
            observation: one observation of each environment.
            mask: which actions are allowed; None: all.
            noise: a sample of the noise of noisy layers; None: no noise.
            memory: what it remembers from before, zeros at an episode's start; None if and only if
                the network has no memory. It is not changed.
        """
        ...


@runtime_checkable
class QValues(Protocol):
    """Maps a batch of observations to Q-values, and to what is remembered after them."""

    def __call__(
        self,
        observation: Observation,
        mask: Bool[np.ndarray, "batch action"] | None = None,
        *,
        memory: Float[np.ndarray, "batch unit"] | None = None,
    ) -> tuple[Float[np.ndarray, "batch action"], Float[np.ndarray, "batch unit"] | None]:
        """Q-values, -∞ for actions that are not allowed; and the memory, None if there is none.

        Args:
            observation: as a pytree of leaves.
            mask: which actions are allowed; None: all.
            memory: what is remembered from before; None: the observations begin episodes.
        """
        ...


class HostPolicy:
    """Computes with NumPy, which is fastest for dense layers and the few states of an acting step.

    The parameters are views of one vector, so new ones are a single copy. It is made when they are
    used first, so that nothing waits for them before.
    """

    def __init__(self, network: QNetwork) -> None:
        self.network = network
        self._vector = np.zeros(network.layout.size, np.float32)
        self._params = network.layout.unflatten(self._vector)
        self._newer: Float[Any, " weight"] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return loaded, (HostPolicy, self.network, self.vector)

    @property
    def params(self) -> NetworkParams:
        """See `Policy.params`."""
        return self.network.layout.unflatten(self.vector)

    @property
    def vector(self) -> Float[np.ndarray, " weight"]:
        """See `Policy.vector`."""
        return self._vector if self._newer is None else np.asarray(self._newer)

    def load(self, params: Float[Any, " weight"]) -> None:
        """See `Policy.load`."""
        self._newer = params

    def start(
        self,
        observation: Observation,
        mask: Bool[np.ndarray, "env action"] | None = None,
        noise: Float[np.ndarray, " noise"] | None = None,
        memory: Float[np.ndarray, "env unit"] | None = None,
    ) -> None:
        """Nothing: it computes when it is asked. See `Policy.start`."""

    def q_values(
        self,
        observation: Observation,
        mask: Bool[np.ndarray, "env action"] | None = None,
        noise: Float[np.ndarray, " noise"] | None = None,
        memory: Float[np.ndarray, "env unit"] | None = None,
    ) -> PolicyOutput:
        """See `Policy.q_values`."""
        if self._newer is not None:
            np.copyto(self._vector, np.asarray(self._newer))
            self._newer = None
        params = self._params if noise is None else perturb(self._params, noise)
        return PolicyOutput(*self.network.q_step(params, observation, mask, memory))


def loaded(
    kind: Callable[[QNetwork], Policy], network: QNetwork, params: Float[np.ndarray, " weight"]
) -> Policy:
    """A policy with parameters; how a copy in another process is made."""
    policy = kind(network)
    policy.load(params)
    return policy


def make_policy(acting: Literal["auto", "host", "device"], network: QNetwork) -> Policy:
    """The policy that the setting `acting` selects.

    auto: the host's, but the device's where convolutions over pictures are learned on a GPU, and
    where code of the user's own takes part.
    """
    on_device = network.is_own_code or (network.reads_pictures and not _on_cpu())
    if acting == "device" or (acting == "auto" and on_device):
        from frankrl.experience.device_policy import DevicePolicy

        return DevicePolicy(network)
    return HostPolicy(network)


def _on_cpu() -> bool:
    import jax

    return jax.default_backend() == "cpu"


def acting_noise(
    network: QNetwork, seed: int, vector_step: int
) -> Float[np.ndarray, " noise"] | None:
    """The noise with which all environments act in one step; None without noisy layers."""
    if not network.noise_size:
        return None
    table = normals(seed, Use.ACTING_NOISE, vector_step, 1, width=network.noise_size)
    return table[0].astype(np.float32)
