"""Arrays of numbers in an HDF5 file that may come from anyone, of the shape that they must have.

An HDF5 file can point at other files, name code that unpacks it, and claim any size without taking
any room on the disk. Everything is known of an array before it is read, and is checked before.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Shaped

from frankrl.core.system import available_memory
from frankrl.datasets.packing import PackingError, check_chunks, check_layout

_KINDS = "biuf"
_LARGE = 1 << 26
"""Up to so many bytes, nobody asks how much memory there is."""
_COPY_BYTES = 10
"""A number that is checked takes so many bytes besides: 8 in the dtype of its space, and an answer
to each of two questions."""
_JPEG_BYTES, _JPEG_HEAD = 4, 1 << 16
"""A JPEG takes no more than this for each number of its picture, and this besides."""


class NotAnEpisodeError(Exception):
    """What a file holds in the place of an episode, in words."""


def h5py() -> Any:
    """The module, whose lower half is not known to type checkers."""
    import h5py

    return h5py


def holds(group: Any, name: str) -> bool:
    """Whether a group has a part of this name."""
    return group.links.exists(name.encode())


def group_in(group: Any, name: str) -> Any:
    """A group below another.

    Raises:
        NotAnEpisodeError: it is missing, no group, or stands in another file.
    """
    found = _member(group, name)
    if not isinstance(found, h5py().h5g.GroupID):
        raise NotAnEpisodeError(f"a part {name} that is no group")
    return found


def num_rows(group: Any, name: str) -> int:
    """The length of an array that is not read yet; arguments and errors as for `array_in`."""
    return _stored(group, name).shape[0]


def array_in(group: Any, name: str, shape: tuple[int, ...]) -> Shaped[np.ndarray, "*shape"]:
    """An array below a group.

    Args:
        group: the group.
        name: the array's name.
        shape: the only shape that is read.

    Raises:
        NotAnEpisodeError: it is missing, no such array, larger than the memory, or does not lie in
            the file itself.
    """
    stored = _stored(group, name)
    if stored.dtype.kind not in _KINDS:
        raise NotAnEpisodeError(f"{name} of {stored.dtype}")
    if stored.shape != shape:
        raise NotAnEpisodeError(f"{name} of the shape {stored.shape} where {shape} belongs")
    check_room(name, math.prod(shape) * (stored.dtype.itemsize + _COPY_BYTES))
    _check_unpacked(name, stored)
    array = np.empty(shape, stored.dtype)
    if array.size:
        whole = h5py().h5s.ALL
        stored.read(whole, whole, array)
    return array


def jpegs_in(group: Any, name: str, count: int, shape: tuple[int, ...]) -> Iterator[bytes]:
    """JPEGs below a group, one after the other: many of them may be one and the same in the file.

    Args:
        group: the group.
        name: their name.
        count: how many they are.
        shape: the shape of each picture.

    Raises:
        NotAnEpisodeError: as for `array_in`; or one is longer than a JPEG of such a picture.
    """
    stored = _stored(group, name)
    is_table = stored.dtype == np.uint8 and stored.rank == 2
    lengths = h5py().check_vlen_dtype(stored.dtype)
    if not is_table and not (lengths == np.uint8 and stored.rank == 1):
        raise NotAnEpisodeError(f"{name} that are no pictures")
    if stored.shape[0] != count:
        raise NotAnEpisodeError(f"{stored.shape[0]:,} {name} where {count:,} belong")
    most = _JPEG_BYTES * math.prod(shape) + _JPEG_HEAD
    if is_table and stored.shape[1] > most:
        raise _too_long(name, stored.shape[1])
    _check_unpacked(name, stored)
    array = h5py().Dataset(stored)
    for place in range(count):
        jpeg = np.asarray(array[place], np.uint8)
        if len(jpeg) > most:
            raise _too_long(name, len(jpeg))
        yield jpeg.tobytes()


def _too_long(name: str, size: int) -> NotAnEpisodeError:
    return NotAnEpisodeError(f"{name} of {size:,} bytes, longer than any JPEG of them")


def check_room(name: str, size: int) -> None:
    """Check that the memory has room.

    Args:
        name: for what.
        size: how much it takes. [bytes]

    Raises:
        NotAnEpisodeError: it has not.
    """
    if size <= _LARGE:
        return
    free = available_memory()
    if free is not None and size > free:
        raise NotAnEpisodeError(
            f"{name} that take {size / 2**30:,.1f} GiB, and the memory has {free / 2**30:,.1f} GiB"
        )


def _member(group: Any, name: str) -> Any:
    """A part of the file itself.

    Raises:
        NotAnEpisodeError: it is missing, or stands in another file.
    """
    if not holds(group, name):
        raise NotAnEpisodeError(f"no {name}")
    if group.links.get_info(name.encode()).type != h5py().h5l.TYPE_HARD:
        raise NotAnEpisodeError(f"a part {name} that points elsewhere")
    return h5py().h5o.open(group, name.encode())


def _stored(group: Any, name: str) -> Any:
    """An array of the file, not read yet, that is read by HDF5's own code from this file."""
    array = _member(group, name)
    if not isinstance(array, h5py().h5d.DatasetID):
        raise NotAnEpisodeError(f"a part {name} that is no array")
    plan = array.get_create_plist()
    layout = plan.get_layout()
    if layout == h5py().h5d.VIRTUAL or plan.get_external_count():
        raise NotAnEpisodeError(f"{name} that stand in another file")
    # An array without elements is no array of zero elements.
    if array.shape is None or array.rank == 0:
        raise NotAnEpisodeError(f"{name} that are no array")
    if layout == h5py().h5d.CHUNKED:
        try:
            check_layout(array, plan)
        except PackingError as error:
            raise NotAnEpisodeError(f"{name} {error}") from error
    return array


def _check_unpacked(name: str, stored: Any) -> None:
    """Check that an array unpacks to its shape, which is known to be the right one, and no more."""
    plan = stored.get_create_plist()
    if plan.get_layout() == h5py().h5d.CHUNKED:
        try:
            check_chunks(stored, plan)
        except PackingError as error:
            raise NotAnEpisodeError(f"{name} {error}") from error
