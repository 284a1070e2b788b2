"""Makes the Q-network of a run from its settings and its environment."""

from typing import TYPE_CHECKING

from frankrl.config import Settings
from frankrl.learning.heads import make_head
from frankrl.networks import QNetwork, make_q_network

if TYPE_CHECKING:
    from frankrl.environments import EnvironmentSpec


def network_for(settings: Settings, spec: "EnvironmentSpec") -> QNetwork:
    """The definition of a run's Q-network or Q-table."""
    return make_q_network(
        settings.network,
        spec.leaves,
        spec.num_actions,
        make_head(settings),
        noisy=settings.exploration.noisy,
        frame_stack=spec.preprocessing.frame_stack,
    )
