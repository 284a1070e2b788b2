"""Checkpoints: a folder of safetensors and JSON files that exists completely or not at all.

A checkpoint is written to a temporary folder with a manifest of sizes and SHA-256 hashes, flushed
to the disk, and then renamed. Reading verifies the manifest before it parses anything. Nothing in
a checkpoint can run code. What never changes again is kept in chunks, which checkpoints share.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from safetensors.numpy import save as save_safetensors

from frankrl.core import system
from frankrl.core.arrays_file import arrays_of
from frankrl.core.errors import DamagedError, RunFolderError
from frankrl.runs.checkpoint_folder import list_checkpoints
from frankrl.runs.chunks import CHUNK_SUFFIX, HeldChunks, compressed, decompressed
from frankrl.runs.disk import flush_folder, read_regular, write_durably

MANIFEST, INFO = "manifest.json", "state.json"
FORMAT = 8
"""Increased whenever a name, shape or meaning in a checkpoint changes."""
_DIGITS = 12
_MAX_MANIFEST_BYTES = 1 << 24
_MAX_INFO_BYTES = 1 << 24
"""Largest size of the metadata, which describe the environment's spaces, too."""
_MAX_HEADER_BYTES = 1 << 20
"""Largest size of the names and shapes in a file of arrays, and of what compressing can add."""
_ANOTHER_VERSION = "use the version that config.toml names, or train anew"

Tensors = Mapping[str, np.ndarray]
_T = TypeVar("_T")


class Loaded(NamedTuple):
    """A checkpoint that has been read."""

    path: Path
    tensors: dict[str, Tensors]
    """The arrays of each file, by name."""
    info: dict[str, Any]
    """Everything that is not an array."""
    described: dict[str, dict[str, Any]]
    """What the manifest says of each file; the chunks are not read yet."""

    def chunk(self, name: str, most_bytes: int) -> Tensors:
        """The arrays of a chunk, verified like every other file.

        Args:
            name: its file.
            most_bytes: largest size of its arrays.

        Raises:
            DamagedError: it is missing, or differs from the manifest.
        """
        most = most_bytes + _MAX_HEADER_BYTES
        try:
            content = _verified(self.path, name, self.described, most)
            whole = decompressed(content, self.path / name, most)
            return _arrays(whole, self.path / name)
        except DamagedError as error:
            raise DamagedError(str(error), self.path) from error

    @property
    def chunks(self) -> dict[str, dict[str, Any]]:
        """What the manifest says of each chunk, by file."""
        return {
            name: entry for name, entry in self.described.items() if name.endswith(CHUNK_SUFFIX)
        }

    def without_chunks(self) -> "Loaded":
        """The same as if it had no chunks."""
        chunks = self.chunks
        kept = {name: entry for name, entry in self.described.items() if name not in chunks}
        return self._replace(described=kept)


def save_checkpoint(
    folder: Path,
    env_steps: int,
    tensors: Mapping[str, Tensors],
    info: dict[str, Any],
    chunks: Mapping[str, Callable[[], Tensors]] | None = None,
    held: HeldChunks | None = None,
) -> Path:
    """Write a checkpoint; it replaces one of the same name.

    Args:
        folder: the run's folder of checkpoints.
        env_steps: name of the checkpoint.
        tensors: the named arrays of each file.
        info: everything that is not an array.
        chunks: the named arrays of each chunk's file; only asked for if it must be written.
        held: chunks that need not be written; afterwards those of this checkpoint.

    Raises:
        OSError: it cannot be written; earlier checkpoints are unchanged.
    """
    final = folder / f"{env_steps:0{_DIGITS}d}"
    temporary, replaced = folder / f".{final.name}.new", folder / f".{final.name}.old"
    for leftover in (temporary, replaced):
        shutil.rmtree(leftover, ignore_errors=True)
    folder.mkdir(exist_ok=True)
    temporary.mkdir()
    try:
        described = {}
        for name, content in _contents(tensors, info):
            described[name] = _entry(content)
            write_durably(temporary / name, content)
        shared = _put_chunks(temporary, chunks or {}, held or HeldChunks())
        described |= shared
        write_durably(temporary / MANIFEST, manifest_of(described))
        flush_folder(temporary)
        if final.exists():
            system.rename(final, replaced)
        system.rename(temporary, final)
    except BaseException:
        # An incomplete checkpoint must not use up disk space.
        shutil.rmtree(temporary, ignore_errors=True)
        if replaced.exists() and not final.exists():
            system.rename(replaced, final)
        raise
    if held is not None:
        held.hold(final, shared)
    flush_folder(folder)
    shutil.rmtree(replaced, ignore_errors=True)
    return final


def copy_checkpoint(
    checkpoint: Path,
    target: Path,
    edited: Callable[[dict[str, Any]], dict[str, Any]],
    *,
    leave_out: Callable[[str], bool] = lambda name: False,
) -> None:
    """Copy a checkpoint; every file is compared with the manifest, and the copy has its own.

    Unlike a checkpoint, the copy may be incomplete after a power failure.

    Args:
        checkpoint: its folder.
        target: folder of the copy; what is there is replaced.
        edited: the metadata of the copy, from those of the checkpoint.
        leave_out: whether a file of arrays, or a chunk, is left out.

    Raises:
        DamagedError: a file is missing or differs from the manifest.
        OSError: the copy cannot be written.
    """
    loaded = load_checkpoint(checkpoint, {})
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    try:
        ((_, text),) = _contents({}, edited(loaded.info))
    except ValueError as error:
        raise DamagedError(f"{checkpoint / INFO} is damaged: {error}", checkpoint) from error
    described = {INFO: _entry(text)}
    (target / INFO).write_bytes(text)
    for name, entry in loaded.described.items():
        if name != INFO and not leave_out(name):
            content = _verified(checkpoint, name, loaded.described, int(entry["bytes"]))
            described[name] = _entry(content)
            (target / name).write_bytes(content)
    (target / MANIFEST).write_bytes(manifest_of(described))


def _contents(tensors: Mapping[str, Tensors], info: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    text = json.dumps({"format": FORMAT, **info}, indent=2, allow_nan=False).encode()
    if len(text) > _MAX_INFO_BYTES:
        raise RunFolderError(
            f"the {INFO} of a checkpoint can take {_MAX_INFO_BYTES:,} bytes, this takes "
            f"{len(text):,}: the environment's spaces have too many different bounds"
        )
    yield INFO, text
    for name, arrays in tensors.items():
        ordered = {key: np.asarray(array, order="C") for key, array in arrays.items()}
        yield f"{name}.safetensors", save_safetensors(ordered)


def _put_chunks(
    folder: Path, chunks: Mapping[str, Callable[[], Tensors]], held: HeldChunks
) -> dict[str, dict[str, Any]]:
    """Put chunks into a checkpoint's folder; returns what the manifest says of each."""
    described = {}
    for name, arrays in chunks.items():
        entry = held.give(name, folder)
        if entry is None:
            content = compressed(arrays())
            entry = _entry(content)
            write_durably(folder / name, content)
        described[name] = entry
    return described


def _entry(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def manifest_of(described: dict[str, Any]) -> bytes:
    """The bytes of a manifest; there is only one valid form, so any changed byte is noticed."""
    return (json.dumps({"files": described}, indent=2, sort_keys=True) + "\n").encode()


def load_newest(
    folder: Path, most_bytes: Mapping[str, int], *, optional: Collection[str] = ()
) -> tuple[Loaded, list[DamagedError]]:
    """The newest checkpoint whose files are intact; its chunks are not read.

    Args:
        folder: folder of checkpoints.
        most_bytes: the files to read, and the largest size of the arrays in each.
        optional: files that a checkpoint need not have.

    Returns:
        The checkpoint, and the error of each newer one.

    Raises:
        DamagedError: there are checkpoints, but none is intact.
        RunFolderError: there is none, or another version of Frank wrote it.
    """
    return read_newest(folder, lambda path: load_checkpoint(path, most_bytes, optional=optional))


def read_newest(folder: Path, read: Callable[[Path], _T]) -> tuple[_T, list[DamagedError]]:
    """What is read from the newest checkpoint that is intact.

    Args:
        folder: folder of checkpoints.
        read: reads one; it raises `DamagedError` if something in it is damaged.

    Returns:
        What it returned, and the error of each newer checkpoint.

    Raises:
        DamagedError: there are checkpoints, but none is intact.
        RunFolderError: there is none, or `read` raised it.
    """
    damaged: list[DamagedError] = []
    there = list_checkpoints(folder)
    for checkpoint in reversed(there):
        try:
            return read(checkpoint), damaged
        except DamagedError as error:
            # A new one, since the old one holds on to all that has been read so far.
            damaged.append(DamagedError(str(error), error.checkpoint))
    if list_checkpoints(folder) != there:
        # The process that writes the run has replaced a checkpoint in the meantime.
        return read_newest(folder, read)
    if damaged:
        others = "" if len(damaged) == 1 else f"; nor is any of the {len(damaged) - 1} before it"
        raise DamagedError(f"{damaged[0]}{others}", damaged[0].checkpoint)
    raise RunFolderError(
        f"{folder.parent} holds no checkpoint: its training stopped before the first one"
    )


def load_checkpoint(
    checkpoint: Path, most_bytes: Mapping[str, int], *, optional: Collection[str] = ()
) -> Loaded:
    """Read some files of a checkpoint, and its metadata; its chunks are read later, one by one.

    Every file is compared with the manifest before it is parsed, and none is read that is larger
    than allowed.

    Raises:
        DamagedError: a file is missing or differs from the manifest.
        RunFolderError: another version of Frank wrote it.
    """
    try:
        manifest = _manifest(checkpoint)
        _check_names(checkpoint, manifest)
        info = _parsed(_verified(checkpoint, INFO, manifest, _MAX_INFO_BYTES), checkpoint / INFO)
        if info.get("format") != FORMAT:
            raise RunFolderError(
                f"{checkpoint} has the format {str(info.get('format'))[:20]}, this version of "
                f"Frank reads {FORMAT}: {_ANOTHER_VERSION}"
            )
        tensors = {}
        for name, most in most_bytes.items():
            file = f"{name}.safetensors"
            if name in optional and file not in manifest:
                continue
            content = _verified(checkpoint, file, manifest, most + _MAX_HEADER_BYTES)
            tensors[name] = _arrays(content, checkpoint / file)
    except DamagedError as error:
        raise DamagedError(str(error), checkpoint) from error
    return Loaded(checkpoint, tensors, info, manifest)


def verify_checkpoint(checkpoint: Path) -> Loaded:
    """Compare every file of a checkpoint with the manifest.

    Returns:
        Its metadata, without the arrays.

    Raises:
        DamagedError: a file is missing or differs.
        RunFolderError: another version of Frank wrote it.
    """
    loaded = load_checkpoint(checkpoint, {})
    for name, entry in loaded.described.items():
        _verified(checkpoint, name, loaded.described, int(entry["bytes"]))
    return loaded


def _manifest(checkpoint: Path) -> dict[str, Any]:
    content = read_regular(checkpoint / MANIFEST, _MAX_MANIFEST_BYTES)
    with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
        manifest = json.loads(content)
        if isinstance(manifest, dict) and "sha256" in manifest:
            raise RunFolderError(f"{checkpoint} has an older format: {_ANOTHER_VERSION}")
        described = manifest["files"]
        if isinstance(described, dict) and manifest_of(described) == content:
            return described
    raise DamagedError(f"{checkpoint / MANIFEST} is damaged: it is not as Frank writes it")


def _check_names(checkpoint: Path, manifest: dict[str, Any]) -> None:
    """Refuse a checkpoint whose files differ from its manifest; an optional one may be lost."""
    try:
        there = set(os.listdir(checkpoint))
    except OSError as error:
        raise RunFolderError(f"{checkpoint} cannot be read: {error.strerror}") from error
    if there != {MANIFEST, *manifest}:
        odd = ", ".join(sorted(there ^ {MANIFEST, *manifest}))[:200]
        raise DamagedError(f"{checkpoint} is damaged: its manifest and its files differ in {odd}")


def _verified(checkpoint: Path, name: str, manifest: dict[str, Any], most_bytes: int) -> bytes:
    content = read_regular(checkpoint / name, most_bytes)
    expected = manifest.get(name)
    found = _entry(content)
    if found != expected:
        raise DamagedError(
            f"{checkpoint / name} is damaged: {_described(found)}, "
            f"the manifest says {_described(expected)}"
        )
    return content


def _described(entry: Any) -> str:
    if not isinstance(entry, dict):
        return "nothing of it"
    return f"{entry.get('bytes')} bytes with SHA-256 {str(entry.get('sha256'))[:64]}"


def _parsed(content: bytes, path: Path) -> dict[str, Any]:
    with contextlib.suppress(ValueError, RecursionError):
        info = json.loads(content)
        if isinstance(info, dict):
            return info
    raise DamagedError(f"{path} is damaged: it is no JSON object")


def _arrays(content: bytes, path: Path) -> Tensors:
    try:
        return arrays_of(content)
    except ValueError as error:
        raise DamagedError(f"{path} is damaged: {error}") from error
