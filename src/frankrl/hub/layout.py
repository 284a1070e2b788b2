"""The files of a run's repository on the Hub, and what its manifest says of them.

A repository is a run folder in Frank's own layout, with four files beside it that tell people about
it. Its manifest has the form of a checkpoint's, and names every file with its size and SHA-256.
"""

import contextlib
import json
import re
from pathlib import Path
from typing import Any

from frankrl.core.errors import DamagedError, HubError
from frankrl.core.text import shown
from frankrl.runs.checkpoint import MANIFEST, manifest_of
from frankrl.runs.disk import entry_of
from frankrl.runs.initial import INITIAL
from frankrl.runs.layout import BEST, CHECKPOINTS, CONFIG, METRICS, REPORT

CARD, RESULTS, SETTINGS, FILM = "README.md", "results.json", "config.json", "replay.mp4"
ABOUT = "hub"
"""Folder of a downloaded run that holds the four files, the manifest and where they came from."""
SOURCE = "source.json"
_TEXTS = (CARD, RESULTS, SETTINGS, CONFIG, REPORT)
_CHECKPOINT = rf"({CHECKPOINTS}|{BEST})/\d{{12}}"
_KNOWN = re.compile(
    "|".join(
        (
            *map(re.escape, (*_TEXTS, FILM, METRICS, INITIAL)),
            rf"{_CHECKPOINT}/([a-z_]+\.safetensors|state\.json|manifest\.json)",
            rf"{CHECKPOINTS}/\d{{12}}/(steps|endings)-\d{{12}}\.zst",
        )
    )
)
MAX_MANIFEST_BYTES = 1 << 24
_MAX_TEXT_BYTES, _MAX_FILM_BYTES, _MAX_BYTES = 1 << 24, 1 << 30, 1 << 36
"""Largest size of a text, of a film and of a whole repository: 16 MiB, 1 GiB and 64 GiB."""
_MAX_FILES = 10_000
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_known(name: str) -> bool:
    """Whether a file of a repository is one that Frank writes there."""
    return name == MANIFEST or _KNOWN.fullmatch(name) is not None


def write_manifest(folder: Path) -> int:
    """Write the manifest of a folder; returns the size of the files that it names. [bytes]"""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    described = {str(path.relative_to(folder)): entry_of(path) for path in files}
    (folder / MANIFEST).write_bytes(manifest_of(described))
    return sum(entry["bytes"] for entry in described.values())


def described_in(manifest: bytes, repository: str) -> dict[str, dict[str, Any]]:
    """The files of a repository by their names, as its manifest describes them.

    Raises:
        HubError: the manifest is not as Frank writes it; or it names a file that no run has, or
            one that is too large.
    """
    described = None
    with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
        described = json.loads(manifest)["files"]
    if not isinstance(described, dict) or not _is_canonical(described, manifest):
        raise HubError(f"the {MANIFEST} of {repository} is damaged: it is not as Frank writes it")
    for name, entry in described.items():
        if not _KNOWN.fullmatch(name):
            raise HubError(
                f"the {MANIFEST} of {repository} names {shown(name)!r}, which no run holds: "
                "nothing of it is kept"
            )
        most = _MAX_TEXT_BYTES if name in _TEXTS else _MAX_BYTES
        most = _MAX_FILM_BYTES if name == FILM else most
        if entry["bytes"] > most:
            raise HubError(
                f"{repository} holds {name} with {entry['bytes']:,} bytes; at most {most:,} can "
                "be right"
            )
    total = sum(entry["bytes"] for entry in described.values())
    if total > _MAX_BYTES or len(described) > _MAX_FILES:
        raise HubError(
            f"{repository} holds {len(described):,} files of {total:,} bytes; at most "
            f"{_MAX_FILES:,} of {_MAX_BYTES:,} can be right"
        )
    return described


def _is_canonical(described: dict[str, Any], manifest: bytes) -> bool:
    return all(map(_is_entry, described.values())) and manifest_of(described) == manifest


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and entry.keys() == {"bytes", "sha256"}
        and type(entry["bytes"]) is int
        and entry["bytes"] >= 0
        and isinstance(entry["sha256"], str)
        and _SHA256.fullmatch(entry["sha256"]) is not None
    )


def check_file(path: Path, entry: dict[str, Any], name: str) -> None:
    """Compare a file with what the manifest says of it.

    Raises:
        DamagedError: they differ.
    """
    found = entry_of(path)
    if found != entry:
        raise DamagedError(
            f"{name} is damaged: {found['bytes']:,} bytes with SHA-256 {found['sha256']}, the "
            f"manifest says {entry['bytes']:,} with {entry['sha256']}"
        )
