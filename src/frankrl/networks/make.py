"""Makes the definition of a Q-network or Q-table from settings."""

from typing import TYPE_CHECKING

from frankrl.config import NetworkSettings
from frankrl.networks.head import Head
from frankrl.networks.layers import Dense, Layer, Noisy, Normalised
from frankrl.networks.network import QNetwork
from frankrl.networks.outputs import ActionOutputs, Dueling, Table
from frankrl.networks.torsos import Flatten, OneHot, Torso

if TYPE_CHECKING:
    from frankrl.environments.leaves import Leaf


def make_q_network(
    settings: NetworkSettings,
    leaves: "tuple[Leaf, ...]",
    num_actions: int,
    head: Head,
    *,
    noisy: bool = False,
) -> QNetwork:
    """The Q-network or Q-table that settings describe.

    Args:
        settings: layers and scaling of observations.
        leaves: leaves of an observation.
        num_actions: number of actions.
        head: how the outputs describe the return.
        noisy: whether all layers have learned noise in their weights.
    """
    torsos = tuple(_torso(leaf, to_bounds=settings.scale_observation) for leaf in leaves)
    if settings.q_function == "table":
        return QNetwork(torsos, (), settings.activation, Table(num_actions), head)

    def dense(width: int) -> Dense | Noisy:
        return Noisy(Dense(width)) if noisy else Dense(width)

    hidden: list[Layer] = [dense(width) for width in settings.hidden_widths]
    if settings.layer_norm:
        hidden = [Normalised(layer) for layer in hidden]
    parts = num_actions + settings.dueling
    outputs = ActionOutputs(dense(parts * (head.atoms or 1)), parts, head.atoms)
    output = Dueling(outputs) if settings.dueling else outputs
    return QNetwork(torsos, tuple(hidden), settings.activation, output, head)


def _torso(leaf: "Leaf", *, to_bounds: bool) -> Torso:
    if leaf.num_values is not None:
        return OneHot(leaf.num_values)
    return Flatten(leaf.shape, leaf.scaling(to_bounds=to_bounds))
