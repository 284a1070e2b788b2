"""The zip archive in which PyTorch stores a state dict: one program, and a file for each storage.

Nothing is unpacked to the disk. An entry is read only by a name that Frank expects, and only if
the size that it unpacks to is in proportion to the size of the file.
"""

import io
import math
import re
import zipfile
import zlib

import numpy as np
from jaxtyping import Float

from frankrl.core.errors import SettingError
from frankrl.core.text import shown
from frankrl.networks.foreign.state_dict import MAX_PROGRAM_BYTES, StoredTensor, read_state_dict

_MAX_ENTRIES = 20_000
_ENTRY = b"PK\x01\x02"
"""How every entry of a zip file's table of contents begins."""
_MAX_GROWTH = 8
"""Factor by which an entry may grow when it is unpacked; weights shrink by a tenth."""
_SMALL_BYTES = 1 << 22
"""An entry up to this size may grow by any factor."""
_PROGRAM = re.compile(r"[^/]+/data\.pkl")
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)
"""What `zipfile` raises for a file that is no zip file, is damaged, or has a password."""


def open_archive(content: bytes) -> zipfile.ZipFile:
    """A zip file in memory.

    Raises:
        SettingError: it is none, or has too many entries.
    """
    # Before the table is read, since each of its entries takes far more memory than bytes.
    if content.count(_ENTRY) > _MAX_ENTRIES:
        raise SettingError(f"it is a zip file of more than {_MAX_ENTRIES:,} entries")
    try:
        return zipfile.ZipFile(io.BytesIO(content))
    except _BROKEN as error:
        raise SettingError(f"it is no readable zip file: {shown(error)}") from error


def read_entry(archive: zipfile.ZipFile, name: str, most_bytes: int) -> bytes:
    """The content of one entry.

    Raises:
        SettingError: it is missing, damaged, or larger than allowed.
    """
    try:
        entry = archive.getinfo(name)
    except KeyError:
        raise SettingError(f"it holds no {shown(name)}") from None
    size = entry.file_size
    if size > most_bytes or size > max(_SMALL_BYTES, _MAX_GROWTH * entry.compress_size):
        raise SettingError(
            f"its entry {shown(name)} unpacks {entry.compress_size:,} bytes to {size:,}, at most "
            f"{min(most_bytes, max(_SMALL_BYTES, _MAX_GROWTH * entry.compress_size)):,} can be "
            "right"
        )
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise SettingError(f"its entry {shown(name)} is compressed in another way than `deflate`")
    try:
        with archive.open(entry) as file:
            content = file.read(size)
    except _BROKEN as error:
        raise SettingError(f"its entry {shown(name)} is damaged: {shown(error)}") from error
    if len(content) != size:
        raise SettingError(f"its entry {shown(name)} is damaged: it ends too early")
    return content


def read_torch_archive(content: bytes) -> dict[str, Float[np.ndarray, "..."]]:
    """The float32 tensors of a state dict that `torch.save` wrote, by name.

    Raises:
        SettingError: it is damaged, or no state dict of float32 tensors.
    """
    archive = open_archive(content)
    programs = [name for name in archive.namelist() if _PROGRAM.fullmatch(name)]
    if len(programs) != 1:
        raise SettingError("it holds no state dict in the form of PyTorch 1.6 or newer")
    root = programs[0].removesuffix("data.pkl")
    if f"{root}byteorder" in archive.namelist():
        order = read_entry(archive, f"{root}byteorder", _SMALL_BYTES)
        if order != b"little":
            raise SettingError(f"it has the byte order {shown(order)}, only little is read")
    tensors = read_state_dict(read_entry(archive, programs[0], MAX_PROGRAM_BYTES))
    storages = _storages(archive, f"{root}data/", tensors, len(content))
    found = {}
    for name, tensor in tensors.items():
        end = tensor.offset + math.prod(tensor.shape)
        found[name] = storages[tensor.storage][tensor.offset : end].reshape(tensor.shape)
    return found


def _storages(
    archive: zipfile.ZipFile, folder: str, tensors: dict[str, StoredTensor], most_bytes: int
) -> dict[str, Float[np.ndarray, " number"]]:
    """The numbers of each storage. PyTorch compresses none, so all fit into the archive's size."""
    found: dict[str, np.ndarray] = {}
    for number, size in dict.fromkeys(
        (part.storage, part.storage_size) for part in tensors.values()
    ):
        if not (number.isascii() and number.isdigit()) or number in found:
            raise SettingError(f"its storage {shown(number)!r} is no number, or has two sizes")
        content = read_entry(archive, f"{folder}{number}", most_bytes)
        if len(content) != 4 * size:
            raise SettingError(
                f"its storage {number} has {len(content):,} bytes and should have {size:,} "
                "numbers of 4"
            )
        most_bytes -= len(content)
        found[number] = np.frombuffer(content, np.dtype("<f4"))
    return found
