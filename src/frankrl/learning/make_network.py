"""Makes the Q-network of a run from its settings and its environment."""

from typing import TYPE_CHECKING

from frankrl.config import Settings
from frankrl.core.errors import SettingError
from frankrl.core.named_code import is_code
from frankrl.core.wording import is_on_command_line, option
from frankrl.learning.heads import make_head
from frankrl.networks import (
    FeedForwardNetwork,
    NetworkSpec,
    QNetwork,
    SymmetricNetwork,
    make_q_network,
    own_network,
    own_torso,
)

if TYPE_CHECKING:
    from frankrl.environments import EnvironmentSpec


def network_for(settings: Settings, spec: "EnvironmentSpec") -> QNetwork:
    """The definition of a run's Q-network or Q-table.

    Raises:
        SettingError: settings do not suit the environment, or code of the user's own that they
            name cannot be used.
    """
    network = _network(settings, spec)
    if not symmetry_is_wanted(settings, spec):
        return network
    if not spec.symmetries:
        # It may come from a preset, so leaving it out of the command is not enough.
        off = option("no_symmetry") if is_on_command_line() else "symmetry=False"
        raise SettingError(
            f"{spec.env_id} declares no symmetry that holds with its arguments: leave symmetry "
            f'out ({off}), or declare one, see "Declare a symmetry" in docs/symmetry.md'
        )
    assert isinstance(network, FeedForwardNetwork), "symmetry is refused with a memory"
    return SymmetricNetwork.of(network, spec)


def symmetry_is_wanted(settings: Settings, spec: "EnvironmentSpec") -> bool:
    """Whether a network is to be averaged over the images of a state: `auto` where it can be."""
    if settings.network.symmetry != "auto":
        return settings.network.symmetry
    if settings.environment.normalize_observations or settings.sequences is not None:
        return False
    return bool(spec.symmetries)


def _network(settings: Settings, spec: "EnvironmentSpec") -> QNetwork:
    """The network by itself, without the environment's symmetries."""
    head, network, stack = make_head(settings), settings.network, spec.preprocessing.frame_stack
    about = NetworkSpec(spec.num_actions, head.atoms, spec.leaves, stack, spec.structure)
    if network.network is not None:
        return own_network(network.network, about, head)
    return make_q_network(
        network,
        spec.leaves,
        spec.num_actions,
        head,
        noisy=settings.exploration.noisy,
        frame_stack=stack,
        own_torso=own_torso(network.torso, about) if is_code(network.torso) else None,
    )
