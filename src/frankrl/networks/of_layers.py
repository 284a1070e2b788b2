"""What networks of Frank's layers have in common, with a memory or without one."""

import functools
from dataclasses import dataclass

from frankrl.networks.encoder import Encoder
from frankrl.networks.head import Head
from frankrl.networks.layout import Layout
from frankrl.networks.network import QNetwork
from frankrl.networks.readout import Readout


@dataclass(frozen=True)
class NetworkOfLayers(QNetwork):
    """Torsos that read observations, and the layers from which outputs are read.

    It computes with NumPy, which is fastest for the few states of one acting step, and with JAX,
    which compiles it for learning.
    """

    encoder: Encoder
    readout: Readout

    @property
    def head(self) -> Head:  # pyright: ignore[reportIncompatibleVariableOverride]
        """See `QNetwork.head`."""
        return self.readout.head

    @property
    def is_own_code(self) -> bool:
        """See `QNetwork.is_own_code`."""
        return self.encoder.is_own_code

    @property
    def repeats(self) -> bool:
        """See `QNetwork.repeats`."""
        return self.encoder.repeats

    @property
    def reads_pictures(self) -> bool:
        """See `QNetwork.reads_pictures`."""
        return self.encoder.reads_pictures

    @functools.cached_property
    def num_products(self) -> int:
        """See `QNetwork.num_products`."""
        behind = Layout.of(self.shapes._replace(torsos=())).size
        return self.encoder.num_products + behind
