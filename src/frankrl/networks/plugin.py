"""A Q-network of the user's own, in the form of Frank's."""

import functools
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from frankrl.core.types import Observation, Params
from frankrl.networks.head import Head
from frankrl.networks.initializer import Initializer
from frankrl.networks.network import FeedForwardNetwork
from frankrl.networks.network_spec import NetworkSpec
from frankrl.networks.own_functions import OwnFunctions, own_functions


@dataclass(frozen=True)
class OwnNetwork(FeedForwardNetwork):
    """`init` and `apply` of the user's own, below one of Frank's heads."""

    functions: OwnFunctions
    head: Head

    def _init(self, initializer: Initializer) -> Params:
        return self.functions.init(initializer)

    def apply(
        self,
        params: Any,
        observation: Observation,
        fractions: Float[Any, "batch fraction"] | None = None,
    ) -> Float[Any, "batch action *atom"]:
        """See `QFunction.apply`."""
        return self.functions.apply(params, observation)

    @property
    def is_own_code(self) -> bool:
        """See `QNetwork.is_own_code`."""
        return True

    @property
    def repeats(self) -> bool:
        """See `QNetwork.repeats`."""
        return self.functions.repeats

    @property
    def reads_pictures(self) -> bool:
        """See `QNetwork.reads_pictures`."""
        # More products than weights: some weights are used several times.
        return self.num_products > self.layout.size

    @functools.cached_property
    def num_products(self) -> int:
        """See `QNetwork.num_products`."""
        return self.functions.num_products


def own_network(name: str, spec: NetworkSpec, head: Head) -> OwnNetwork:
    """The network that the setting `network` names.

    Args:
        name: `module:attribute`, or an object's name with the object.
        spec: what it is made for.
        head: how its outputs describe the return.

    Raises:
        SettingError: it cannot be made, or gives other outputs.
    """
    functions = own_functions(name, "network", spec)
    atoms = () if spec.num_atoms is None else (spec.num_atoms,)
    functions.output_shape(spec.num_actions, *atoms)
    return OwnNetwork(functions, head)
