"""A trained Q-network's parameters as a safetensors file, with what is needed to use them."""

import numpy as np
from safetensors.numpy import save

from frankrl.exporting.trained_network import TrainedNetwork
from frankrl.networks.named import named_params


def weights_file(trained: TrainedNetwork) -> bytes:
    """The content of a safetensors file: float32 arrays by their dotted path in the parameters.

    Its metadata are facts about the agent, the settings of its run (`settings`) and the
    description of its environment (`environment`), the last two as JSON.
    """
    arrays = {
        name: np.ascontiguousarray(array) for name, array in named_params(trained.params).items()
    }
    return save(arrays, {**trained.metadata(), **trained.description()})
