"""Heads: how a network's outputs describe the return; one file for each kind."""

from frankrl.config import Settings
from frankrl.learning.heads.categorical import CategoricalHead
from frankrl.learning.heads.expected import ExpectedHead
from frankrl.learning.heads.implicit import ImplicitHead
from frankrl.learning.heads.quantile import QuantileHead
from frankrl.networks import Head

_KINDS = {
    "mean": ExpectedHead,
    "c51": CategoricalHead,
    "qr": QuantileHead,
    "iqn": ImplicitHead,
}
"""Heads by the value of the setting `distribution`."""

__all__ = ["CategoricalHead", "ExpectedHead", "ImplicitHead", "QuantileHead", "make_head"]


def make_head(settings: Settings) -> Head:
    """The head that the setting `distribution` selects."""
    return _KINDS[settings.network.distribution].of(settings)
