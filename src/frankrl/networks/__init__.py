"""Q-networks: an observation in, one Q-value per action out."""

from frankrl.networks.mlp import Linear, MLPQNetwork, make_q_network
from frankrl.networks.packed import PackedNetwork, concatenated, pack
from frankrl.networks.q_network import QNetwork

__all__ = [
    "Linear",
    "MLPQNetwork",
    "PackedNetwork",
    "QNetwork",
    "concatenated",
    "make_q_network",
    "pack",
]
