"""Q-networks: an observation in, one Q-value per action out."""

from frankrl.networks.heads import (
    CategoricalHead,
    ExpectedHead,
    Head,
    ImplicitHead,
    QuantileHead,
)
from frankrl.networks.linear import Linear, NoisyLinear
from frankrl.networks.masked import MaskedQNetwork
from frankrl.networks.mlp import MLPQNetwork, make_head, make_q_network
from frankrl.networks.packed import PackedNetwork, concatenated, pack
from frankrl.networks.q_network import QNetwork
from frankrl.networks.table import QTable, make_q_table

__all__ = [
    "CategoricalHead",
    "ExpectedHead",
    "Head",
    "ImplicitHead",
    "Linear",
    "MLPQNetwork",
    "MaskedQNetwork",
    "NoisyLinear",
    "PackedNetwork",
    "QNetwork",
    "QTable",
    "QuantileHead",
    "concatenated",
    "make_head",
    "make_q_network",
    "make_q_table",
    "pack",
]
