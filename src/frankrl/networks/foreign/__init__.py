"""Weights in the files of other libraries, read without running anything in them."""

from frankrl.networks.foreign.sb3 import SB3Network, read_sb3

__all__ = ["SB3Network", "read_sb3"]
