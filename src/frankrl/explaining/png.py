"""Pictures as PNG files, without loss."""

import struct
import zlib

import numpy as np
from jaxtyping import UInt8

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BITS, _RGB = 8, 2
"""Bits of a channel, and PNG's number for pixels of red, green and blue."""


def png(pixels: UInt8[np.ndarray, "height width 3"]) -> bytes:
    """The file of a picture.

    Source: https://www.w3.org/TR/png-3/
    """
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, _BITS, _RGB, 0, 0, 0)
    # Each row begins with the number of its filter; 0 is none.
    rows = np.pad(pixels.reshape(height, -1), ((0, 0), (1, 0)))
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(name, content) for name, content in parts)


def _chunk(name: bytes, content: bytes) -> bytes:
    checked = name + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))
