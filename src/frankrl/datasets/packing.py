"""Packed chunks of an HDF5 file, checked before HDF5 unpacks them.

HDF5 unpacks a chunk into as much memory as its packed bytes turn out to fill, whatever the size of
the chunk is by the array's description: 300 KB of gzip can fill 300 MB, and gzip of gzip more.
"""

import itertools
import math
import zlib
from typing import Any, NamedTuple

MAX_CHUNK_BYTES = 1 << 27
"""A chunk takes no more than this when it is unpacked."""
_GZIP, _SHUFFLE, _CHECKSUM, _LZF = 1, 2, 3, 32000
_MOST_PER_BYTE = {_GZIP: 1_032, _LZF: 88}
"""How many bytes one packed byte can become: at most 258 for two bits in gzip, 264 for three bytes
in LZF."""
_NAMES = "gzip and LZF, each beside shuffle and Fletcher-32"
_BESIDE_BYTES = 64
"""A packed chunk may be so much longer than its content, beside a thousandth, and an unpacked one
may hold a checksum."""
_PART_BYTES = 1 << 20


class PackingError(Exception):
    """How an array is packed, in words that end a sentence which begins with the array's name."""


class _Packer(NamedTuple):
    """The filter that makes an array's chunks smaller."""

    number: int
    place: int
    """Among the array's filters, the first one that packs."""


def check_layout(array: Any, plan: Any) -> None:
    """Check by what filters an array is packed, and how large its chunks are.

    Args:
        array: the `h5py.h5d.DatasetID` of an array in chunks.
        plan: its creation properties.

    Raises:
        PackingError: Frank does not read such an array.
    """
    _packer(plan)
    size = math.prod(plan.get_chunk()) * array.dtype.itemsize
    if size > MAX_CHUNK_BYTES:
        raise PackingError(
            f"in chunks of {size / 2**20:,.1f} MiB, and a chunk may take "
            f"{MAX_CHUNK_BYTES >> 20} MiB: write it again in smaller ones"
        )


def check_chunks(array: Any, plan: Any) -> None:
    """Check that no chunk unpacks to more than it may take.

    Most need no look: what is packed is too short. Larger ones of gzip are unpacked in parts, which
    are not kept, so this takes no more memory than one packed chunk.

    Args:
        array: an array in chunks that `check_layout` has checked.
        plan: its creation properties.

    Raises:
        PackingError: one does, or is packed by LZF and could.
        zlib.error: one is damaged.
    """
    packer = _packer(plan)
    if packer is None:
        return
    most_per_byte = _MOST_PER_BYTE[packer.number]
    # All of its chunks together; most arrays are small.
    if array.get_storage_size() * most_per_byte <= MAX_CHUNK_BYTES:
        return
    chunk = plan.get_chunk()
    size = math.prod(chunk) * array.dtype.itemsize
    steps = zip(array.shape, chunk, strict=True)
    for place in itertools.product(*(range(0, length, step) for length, step in steps)):
        stored = array.get_chunk_info_by_coord(place)
        is_packed = not stored.filter_mask >> packer.place & 1
        if not is_packed or stored.size * most_per_byte <= MAX_CHUNK_BYTES:
            continue
        if packer.number == _LZF:
            raise PackingError(
                f"packed by LZF in a chunk of {stored.size:,} bytes, and Frank reads those of up "
                f"to {MAX_CHUNK_BYTES // most_per_byte:,}: write it again, packed by gzip"
            )
        is_odd = stored.size > size + size // 1_000 + _BESIDE_BYTES
        if is_odd or _unpacks_beyond(array, place, size + _BESIDE_BYTES):
            raise PackingError(
                f"with a chunk of {stored.size:,} packed bytes that may unpack to more than its "
                f"own {size:,}: write it again, packed by gzip"
            )


def _packer(plan: Any) -> _Packer | None:
    """The filter that packs an array; None: it is not packed.

    Raises:
        PackingError: there is another filter than those that Frank reads, or there are two.
    """
    found: _Packer | None = None
    for place in range(plan.get_nfilters()):
        number = plan.get_filter(place)[0]
        if number in (_SHUFFLE, _CHECKSUM):
            continue
        if number not in _MOST_PER_BYTE:
            raise PackingError(
                f"packed by the filter {number}, and Frank reads {_NAMES}: write it again with "
                "one of these"
            )
        if found is not None:
            raise PackingError("packed twice: write it again, packed by gzip once")
        found = _Packer(number, place)
    return found


def _unpacks_beyond(array: Any, place: tuple[int, ...], most: int) -> bool:
    """Whether a chunk packed by gzip is longer than it may be.

    One that ends too early is not: HDF5 says that it is damaged.

    Raises:
        zlib.error: it is damaged.
    """
    _, packed = array.read_direct_chunk(place)
    unpacking, size = zlib.decompressobj(), 0
    for start in range(0, len(packed), _PART_BYTES):
        left = packed[start : start + _PART_BYTES]
        while not unpacking.eof:
            part = unpacking.decompress(left, _PART_BYTES)
            size += len(part)
            if size > most:
                return True
            if len(part) < _PART_BYTES:
                break
            left = unpacking.unconsumed_tail
    return False
