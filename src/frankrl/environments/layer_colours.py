"""Colours for planes of bits that lie over each other, such as MinAtar's."""

import numpy as np
from jaxtyping import Shaped, UInt8

_COLOURS = (
    "56b4e9",
    "e69f00",
    "009e73",
    "cc79a7",
    "f0e442",
    "d55e00",
    "0072b2",
    "ffffff",
    "999999",
    "a65628",
)
"""Okabe and Ito's colours, which people with any colour vision tell apart, then white, grey and
brown. Each stands out from black."""


def in_layers(planes: Shaped[np.ndarray, "*pixel plane"]) -> UInt8[np.ndarray, "*pixel 3"]:
    """Planes over each other, the last on top, each in its own colour; black where none is set.

    After ten planes the colours begin again.
    """
    count = planes.shape[-1]
    own = (bytes.fromhex(_COLOURS[plane % len(_COLOURS)]) for plane in range(count))
    colours = np.frombuffer(bytes(3) + b"".join(own), np.uint8).reshape(count + 1, 3)
    topmost = np.max((planes != 0) * np.arange(1, count + 1), axis=-1)
    return colours[topmost]
