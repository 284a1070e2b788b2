"""The parameters of a network of Frank's layers."""

from typing import NamedTuple

from frankrl.core.types import Params


class NetworkParams(NamedTuple):
    """The parameters of a network of layers, θ. Files name them after these fields."""

    torsos: tuple[Params, ...]
    hidden: tuple[Params, ...]
    output: Params
    head: Params
    memory: Params = ()
    """Of the layer that keeps a memory; empty without one."""
