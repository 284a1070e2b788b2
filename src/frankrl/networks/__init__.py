"""Q-networks: an observation in, one Q-value per action out."""

from frankrl.networks.encoder import Encoder
from frankrl.networks.head import Head
from frankrl.networks.initializer import Initializer
from frankrl.networks.layered import LayeredNetwork
from frankrl.networks.layers import Dense, DenseParams, Noisy, Normalised, perturb
from frankrl.networks.layout import Layout
from frankrl.networks.make import make_q_network
from frankrl.networks.memory import GRU, GRUParams
from frankrl.networks.named import named_params, params_from_names
from frankrl.networks.network import FeedForwardNetwork, QNetwork
from frankrl.networks.network_spec import NetworkSpec
from frankrl.networks.outputs import ActionOutputs, Dueling, Table
from frankrl.networks.own_functions import OwnTorso, own_torso
from frankrl.networks.params import NetworkParams
from frankrl.networks.plugin import OwnNetwork, own_network
from frankrl.networks.q_function import QFunction, masked
from frankrl.networks.readout import Readout
from frankrl.networks.recurrent import RecurrentNetwork
from frankrl.networks.symmetric import SymmetricNetwork
from frankrl.networks.torsos import Flatten, OneHot, Torso

__all__ = [
    "GRU",
    "ActionOutputs",
    "Dense",
    "DenseParams",
    "Dueling",
    "Encoder",
    "FeedForwardNetwork",
    "Flatten",
    "GRUParams",
    "Head",
    "Initializer",
    "LayeredNetwork",
    "Layout",
    "NetworkParams",
    "NetworkSpec",
    "Noisy",
    "Normalised",
    "OneHot",
    "OwnNetwork",
    "OwnTorso",
    "QFunction",
    "QNetwork",
    "Readout",
    "RecurrentNetwork",
    "SymmetricNetwork",
    "Table",
    "Torso",
    "make_q_network",
    "masked",
    "named_params",
    "own_network",
    "own_torso",
    "params_from_names",
    "perturb",
]
