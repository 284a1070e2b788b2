"""Checkpoints: a folder of safetensors and JSON, whole or not there.

A checkpoint is written to a temporary folder, flushed to the disk, described by a
manifest of SHA-256 hashes and then renamed; reading verifies the manifest before
anything is parsed. Nothing in it can run code.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from frankrl.errors import RunFolderError

MANIFEST, INFO = "manifest.json", "state.json"
_DIGITS = 12

Tensors = Mapping[str, np.ndarray]


def save_checkpoint(
    folder: Path, env_steps: int, tensors: Mapping[str, Tensors], info: dict[str, Any], keep: int
) -> Path:
    """Write a checkpoint and remove the oldest beyond `keep`.

    Args:
        folder: the run's folder of checkpoints.
        env_steps: the checkpoint's name.
        tensors: for each file its named arrays.
        info: everything that is not an array.
        keep: how many checkpoints stay.
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
    files[INFO] = json.dumps(info, indent=2, allow_nan=False).encode()
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    files[MANIFEST] = json.dumps({"sha256": hashes}, indent=2).encode()
    for name, content in files.items():
        _write_durably(temporary / name, content)
    _flush_folder(temporary)
    if final.exists():
        shutil.rmtree(final)
    temporary.rename(final)
    _flush_folder(folder)
    for old in list_checkpoints(folder)[:-keep]:
        shutil.rmtree(old)
    return final


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
        RunFolderError: a file is missing or is not what the manifest says.
    """
    manifest = _manifest(checkpoint)
    info = json.loads(_verified(checkpoint, INFO, manifest))
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
