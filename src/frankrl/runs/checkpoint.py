"""Checkpoints: a folder of safetensors and JSON, whole or not there.

A checkpoint is written to a temporary folder, flushed to the disk, described by a
manifest of SHA-256 hashes and then renamed; reading verifies the manifest before
anything is parsed. Nothing in it can run code.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from frankrl.errors import RunFolderError

MANIFEST, INFO = "manifest.json", "state.json"
FORMAT = 2
"""Raised whenever what a checkpoint holds changes its name, shape or meaning."""
_DIGITS = 12

Tensors = Mapping[str, np.ndarray]


def save_checkpoint(
    folder: Path, env_steps: int, tensors: Mapping[str, Tensors], info: dict[str, Any]
) -> Path:
    """Write a checkpoint; one of the same name is replaced.

    Args:
        folder: the run's folder of checkpoints.
        env_steps: the checkpoint's name.
        tensors: for each file its named arrays.
        info: everything that is not an array.
    """
    final = folder / f"{env_steps:0{_DIGITS}d}"
    temporary = folder / f".{final.name}.new"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    files = {
        f"{name}.safetensors": save_safetensors(
            {key: np.asarray(array, order="C") for key, array in arrays.items()}
        )
        for name, arrays in tensors.items()
    }
    text = json.dumps({"format": FORMAT, **info}, indent=2, allow_nan=False)
    files[INFO] = text.encode()
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    files[MANIFEST] = json.dumps({"sha256": hashes}, indent=2).encode()
    for name, content in files.items():
        _write_durably(temporary / name, content)
    _flush_folder(temporary)
    if final.exists():
        shutil.rmtree(final)
    temporary.rename(final)
    _flush_folder(folder)
    return final


def remove_checkpoints(folder: Path, but: Collection[Path] = ()) -> None:
    """Remove a folder's checkpoints, some excepted."""
    for checkpoint in list_checkpoints(folder):
        if checkpoint not in but:
            shutil.rmtree(checkpoint)


def list_checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints, the oldest first."""
    if not folder.is_dir():
        return []
    names = (entry for entry in folder.iterdir() if entry.name.isascii() and entry.name.isdigit())
    return sorted(entry for entry in names if (entry / MANIFEST).is_file())


def newest_checkpoint(folder: Path) -> Path:
    """The checkpoint that a run stands at.

    Raises:
        RunFolderError: there is none.
    """
    found = list_checkpoints(folder)
    if not found:
        raise RunFolderError(
            f"{folder.parent} holds no checkpoint: its training stopped before the first one"
        )
    return found[-1]


def load_tensors(checkpoint: Path, names: tuple[str, ...]) -> tuple[dict[str, Tensors], dict]:
    """Some of a checkpoint's files, and its information.

    Returns:
        For each name its arrays; and what was given to `save_checkpoint` as `info`.

    Raises:
        RunFolderError: a file is missing or is not what the manifest says, or another
            version of Frank has written it.
    """
    manifest = _manifest(checkpoint)
    info = json.loads(_verified(checkpoint, INFO, manifest))
    if info.get("format") != FORMAT:
        raise RunFolderError(
            f"{checkpoint} has the format {info.get('format')!r}, this version of Frank reads "
            f"{FORMAT}: use the version that config.toml names, or train anew"
        )
    tensors = {}
    for name in names:
        content = _verified(checkpoint, f"{name}.safetensors", manifest)
        tensors[name] = load_safetensors(content)
    return tensors, info


def _manifest(checkpoint: Path) -> dict[str, str]:
    try:
        hashes = json.loads((checkpoint / MANIFEST).read_bytes())["sha256"]
        return {str(name): str(value) for name, value in hashes.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunFolderError(f"{checkpoint / MANIFEST} is missing or damaged") from error


def _verified(checkpoint: Path, name: str, manifest: dict[str, str]) -> bytes:
    try:
        content = (checkpoint / name).read_bytes()
    except OSError as error:
        raise RunFolderError(f"{checkpoint / name} cannot be read: {error.strerror}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != manifest.get(name):
        raise RunFolderError(
            f"{checkpoint / name} is damaged: its SHA-256 is {found[:16]}…, "
            f"the manifest says {str(manifest.get(name))[:16]}…"
        )
    return content


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
