"""Q-networks: an observation in, one Q-value per action out."""

from frankrl.networks.head import Head
from frankrl.networks.initializer import Initializer
from frankrl.networks.layers import Dense, DenseParams, Noisy, Normalised, perturb
from frankrl.networks.layout import Layout
from frankrl.networks.make import make_q_network
from frankrl.networks.named import named_params, params_from_names
from frankrl.networks.network import NetworkParams, QNetwork, masked
from frankrl.networks.outputs import ActionOutputs, Dueling, Table
from frankrl.networks.torsos import Flatten, OneHot, Torso

__all__ = [
    "ActionOutputs",
    "Dense",
    "DenseParams",
    "Dueling",
    "Flatten",
    "Head",
    "Initializer",
    "Layout",
    "NetworkParams",
    "Noisy",
    "Normalised",
    "OneHot",
    "QNetwork",
    "Table",
    "Torso",
    "make_q_network",
    "masked",
    "named_params",
    "params_from_names",
    "perturb",
]
