"""How much of a disk some folders take, and what removing them gives back."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_BLOCK_BYTES = 512
"""Unit of `st_blocks`, whatever the file system's own blocks are."""


class DiskUsage(NamedTuple):
    """What some folders take on the disk, as `du` counts it."""

    total: int
    """Each file once, however many names it has there. [bytes]"""
    freed: int
    """Part of it that removing them gives back: no file with a name elsewhere. [bytes]"""


def disk_usage(folders: Iterable[Path]) -> DiskUsage:
    """What folders, and all in them, take on the disk. Links are not followed.

    What vanishes meanwhile, or cannot be read, counts as nothing.
    """
    total = freed = 0
    names: dict[tuple[int, int], int] = {}
    """How many names of a file with several were met."""
    for status, is_folder in _entries(folders):
        size = _size(status)
        if is_folder or status.st_nlink == 1:
            total += size
            freed += size
            continue
        inode = (status.st_dev, status.st_ino)
        names[inode] = names.get(inode, 0) + 1
        total += size if names[inode] == 1 else 0
        freed += size if names[inode] == status.st_nlink else 0
    return DiskUsage(total, freed)


def _size(status: os.stat_result) -> int:
    """What a file takes; on Windows, which counts no blocks, what it holds. [bytes]"""
    blocks = getattr(status, "st_blocks", None)
    return status.st_size if blocks is None else blocks * _BLOCK_BYTES


def _entries(folders: Iterable[Path]) -> Iterable[tuple[os.stat_result, bool]]:
    waiting: list[str] = []
    for folder in folders:
        try:
            yield os.stat(folder, follow_symlinks=False), True
        except OSError:
            continue
        waiting.append(os.fspath(folder))
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    is_folder = entry.is_dir(follow_symlinks=False)
                    yield entry.stat(follow_symlinks=False), is_folder
                    if is_folder:
                        waiting.append(entry.path)
        except OSError:
            continue
