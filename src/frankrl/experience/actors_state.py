"""What a checkpoint holds of actors that run freely."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Weights(NamedTuple):
    """Weights of the Q-network at some point of the run."""

    updates: int
    """Updates of the run that led to them: their version."""
    params: Float[np.ndarray, " weight"]


class ActorsState(NamedTuple):
    """What a checkpoint holds of actors besides the snapshots of their environments."""

    chunks: tuple[int, ...]
    """How many chunks of each actor there have been."""
    weights: tuple[Weights, ...]
    """The weights of the chunks that were under way, the oldest first."""
