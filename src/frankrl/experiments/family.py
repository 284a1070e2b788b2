"""The improvements on DQN, each as a change of settings."""

from collections.abc import Iterator, Mapping
from typing import Any

SWITCHES: dict[str, Mapping[str, Any]] = {
    "Double": {"double": True},
    "dueling": {"dueling": True},
    "3 steps": {"n_step": 3},
    "prioritised": {"replay_sampling": "prioritised"},
    "noisy": {"noisy": True},
    "C51": {"distribution": "c51"},
    "QR-DQN": {"distribution": "qr"},
    "IQN": {"distribution": "iqn"},
    "Munchausen": {"munchausen": True},
    "soft target": {"target_period_updates": 1, "tau": 0.005},
    "Huber": {"loss": "huber"},
    "LayerNorm": {"layer_norm": True},
    "averaged weights": {"polyak_window_updates": 1_000},
}
"""The settings that turn each improvement on."""

RAINBOW = ("Double", "dueling", "3 steps", "prioritised", "noisy", "C51")
"""The parts of Rainbow. Source: Hessel et al. (2018), https://arxiv.org/abs/1710.02298."""


def together(switches: tuple[str, ...]) -> dict[str, Any]:
    """The combined settings of several improvements."""
    return {name: value for switch in switches for name, value in SWITCHES[switch].items()}


def members() -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and settings: each improvement alone, Rainbow, and Rainbow without each of its parts."""
    for switch in SWITCHES:
        yield switch, together((switch,))
    yield "Rainbow", together(RAINBOW)
    for left_out in RAINBOW:
        rest = tuple(switch for switch in RAINBOW if switch != left_out)
        yield f"Rainbow without {left_out}", together(rest)
