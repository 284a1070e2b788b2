"""Chunks of a checkpoint: compressed files that later checkpoints hold, too, without writing them.

A chunk never changes. So a new checkpoint gives the file of the one before it another name, a hard
link, and each checkpoint is complete in itself: removing one removes names, not what others hold.
"""

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zstandard
from safetensors.numpy import save as save_safetensors

from frankrl.core.errors import DamagedError
from frankrl.runs.disk import write_durably

CHUNK_SUFFIX = ".zst"
_LEVEL = 3
"""Higher ones take longer and save little: docs/benchmarks/data.md."""

Arrays = Mapping[str, np.ndarray]


def compressed(arrays: Arrays) -> bytes:
    """Named arrays as one compressed safetensors file."""
    content = save_safetensors({name: np.ascontiguousarray(a) for name, a in arrays.items()})
    return zstandard.ZstdCompressor(level=_LEVEL).compress(content)


def decompressed(content: bytes, path: Path, most_bytes: int) -> bytes:
    """The safetensors file in a compressed one.

    Args:
        content: the compressed file.
        path: where it lies, for errors.
        most_bytes: largest size of the result; memory is taken for no more.

    Raises:
        DamagedError: it is not one whole compressed file, or its content is larger.
    """
    try:
        # A size that is not given counts as the largest.
        if zstandard.get_frame_parameters(content).content_size > most_bytes:
            raise DamagedError(
                f"{path} is damaged: it would decompress to more than the {most_bytes:,} bytes "
                "that can be right"
            )
        # The frame's own header names the size, and nothing beyond it is written.
        return zstandard.ZstdDecompressor().decompress(content, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise DamagedError(f"{path} is damaged: {error}") from error


class _Held(NamedTuple):
    path: Path
    entry: dict[str, Any]
    """What the manifest says of it."""
    changed_ns: int
    """When its content was last changed."""


class HeldChunks:
    """The chunk files of the newest checkpoint that this process wrote or restored."""

    def __init__(self) -> None:
        self._files: dict[str, _Held] = {}

    def hold(self, checkpoint: Path, described: Mapping[str, dict[str, Any]]) -> None:
        """Take the chunks of a checkpoint for those that the next one can share.

        Args:
            checkpoint: its folder.
            described: what its manifest says of each chunk; all of them were written, or read and
                verified, by this process.
        """
        self._files = {
            name: _Held(checkpoint / name, entry, (checkpoint / name).lstat().st_mtime_ns)
            for name, entry in described.items()
        }

    def give(self, name: str, folder: Path) -> dict[str, Any] | None:
        """Put a chunk into the folder of another checkpoint, as a link or, failing that, a copy.

        Returns:
            What the manifest says of it; None if it is not held, or has changed on the disk: then
            it must be written.

        Raises:
            OSError: it can be neither linked nor copied.
        """
        held = self._files.get(name)
        if held is None or not _is_unchanged(held):
            return None
        try:
            os.link(held.path, folder / name)
        except OSError:
            # Some file systems know no links, and all allow only so many of one file.
            content = held.path.read_bytes()
            if hashlib.sha256(content).hexdigest() != held.entry["sha256"]:
                return None
            write_durably(folder / name, content)
        return held.entry


def _is_unchanged(held: _Held) -> bool:
    try:
        found = held.path.lstat()
    except OSError:
        return False
    return (
        stat.S_ISREG(found.st_mode)
        and found.st_size == held.entry["bytes"]
        and found.st_mtime_ns == held.changed_ns
    )
