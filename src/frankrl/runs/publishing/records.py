"""The records of a published run: JSON whose every value is checked, since anybody may write it."""

import hashlib
import json
import math
import os
import re
import secrets
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from frankrl.core.cpu import cpu_model
from frankrl.core.errors import DamagedError, FrankError
from frankrl.core.text import shown
from frankrl.runs.checkpoint import INFO, MANIFEST
from frankrl.runs.description import RunDescription
from frankrl.runs.initial import INITIAL
from frankrl.runs.layout import BEST, CHECKPOINTS, CONFIG, METRICS, REPORT, TRACKERS
from frankrl.runs.machine import versions

CLAIM, CHECKPOINT, FINISHED = "claim", "checkpoint", "finished"
FORMAT = 1
"""Increased whenever a record changes its form."""
MAX_RECORD_BYTES = 1 << 24
MAX_LEASE_SECONDS = 86_400.0
_MAX_FILES, _MAX_BYTES = 10_000, 1 << 36
"""Files of a published run, and their size together: 64 GiB."""
_MAX_TEXT, _MAX_COUNT = 500, 2**53
_CHECKPOINT = rf"({CHECKPOINTS}|{BEST})/\d{{12}}"
_FILES = re.compile(
    "|".join(
        (
            *map(re.escape, (CONFIG, METRICS, REPORT, INITIAL)),
            rf"{_CHECKPOINT}/([a-z_]+\.safetensors|{re.escape(INFO)}|{re.escape(MANIFEST)})",
            rf"{CHECKPOINTS}/\d{{12}}/(steps|endings)-\d{{12}}\.zst",
            rf"{TRACKERS}/\w[\w.-]*\.json",
        )
    ),
    re.ASCII,
)
_BLOB = re.compile(r"\d{6}/[0-9a-f]{64}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


class File(NamedTuple):
    """A file of a published run."""

    blob: str
    """Where its content lies, below `blobs/`: the fencing number of its writer, and its hash."""
    bytes: int
    sha256: str


class Owner(NamedTuple):
    """The process that writes, or wrote, a published run."""

    host: str
    pid: int
    cpu: str
    """Processor model."""
    versions: dict[str, str]
    """Of the software that may affect the bits of a run."""

    @classmethod
    def this_process(cls) -> "Owner":
        """This process on this machine."""
        return cls(socket.gethostname(), os.getpid(), cpu_model(), versions())

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@dataclass(frozen=True)
class Record:
    """One entry in the log of a published run."""

    number: int
    kind: str
    """`claim`, `checkpoint` or `finished`."""
    fence: int
    """The number of the claim under which it was written."""
    after: tuple[int, str] | None
    """Number and hash of the record that it follows; None: it is the first of the history."""
    time: float
    """When it was written, by its writer's clock. [s since 1970]"""
    sha256: str
    """Hash of its content."""


@dataclass(frozen=True)
class Claim(Record):
    """A process takes the run: its number is the fencing number."""

    owner: Owner
    lease_seconds: float
    description: RunDescription


@dataclass(frozen=True)
class Saved(Record):
    """A state of the run from which it can continue; of kind `finished`: its end."""

    env_steps: int
    files: dict[str, File]
    """By their paths in the run folder."""
    report: dict[str, Any] = field(default_factory=dict)
    """The outcome of a finished run."""


def is_published(name: str) -> bool:
    """Whether a file of a run folder belongs to its published state."""
    return _FILES.fullmatch(name) is not None


def is_blob(name: str) -> bool:
    """Whether a name below `blobs/` is that of a content."""
    return _BLOB.fullmatch(name) is not None


def encoded(kind: str, fence: int, after: Record | None, content: Mapping[str, Any]) -> bytes:
    """A record as bytes; no two are equal.

    Args:
        kind: its kind.
        fence: its fencing number.
        after: the record that it follows.
        content: what records of its kind hold.
    """
    data = {
        "format": FORMAT,
        "kind": kind,
        "fence": fence,
        "after": None if after is None else [after.number, after.sha256],
        "time": round(time.time(), 3),
        "token": secrets.token_hex(16),
        **content,
    }
    return (json.dumps(data, sort_keys=True, allow_nan=False) + "\n").encode()


def claim_content(owner: Owner, lease_seconds: float, description: RunDescription) -> dict:
    """What a claim holds."""
    return {
        "owner": owner._asdict(),
        "lease_seconds": lease_seconds,
        "config": description.to_toml(),
    }


def saved_content(
    env_steps: int, files: Mapping[str, File], report: Mapping[str, Any] | None
) -> dict:
    """What a checkpoint holds, or the end of a run."""
    named = {name: file._asdict() for name, file in files.items()}
    return {"env_steps": env_steps, "files": named, "report": dict(report or {})}


def decoded(content: bytes, number: int, place: str) -> Claim | Saved | None:
    """The record in a file of the log; None if the file is only the beginning of one.

    Args:
        content: the file's content.
        number: the record's number.
        place: the file, for errors.

    Raises:
        DamagedError: it is no record as this version of Frank writes it.
    """
    # Without its last byte it would be whole JSON, with another hash.
    if not content.endswith(b"\n"):
        return None
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        return None
    try:
        return _record(data, number, hashlib.sha256(content).hexdigest())
    except (KeyError, OverflowError, TypeError, ValueError, FrankError) as error:
        raise DamagedError(
            f"{place} is damaged, or another version of Frank has written it: {shown(error)}; "
            "use that version, or remove the file, so that the run continues from the state before"
        ) from error


def _record(data: Any, number: int, sha256: str) -> Claim | Saved:
    if data["format"] != FORMAT:
        raise ValueError(f"format {shown(data['format'])}, not {FORMAT}")
    after = data["after"]
    if after is not None:
        before, hashed = after
        after = (_count(before), _matching(_SHA256, hashed))
        if not 0 < after[0] < number:
            raise ValueError("it follows a later record")
    kind, fence = data["kind"], _count(data["fence"])
    shared = (number, kind, fence, after, _seconds(data["time"]), sha256)
    if kind == CLAIM and fence == number:
        description = RunDescription.from_toml(_text(data["config"], 1 << 20))
        lease_seconds = _seconds(data["lease_seconds"])
        if lease_seconds > MAX_LEASE_SECONDS:
            raise ValueError(f"a lease of {lease_seconds} s is longer than {MAX_LEASE_SECONDS} s")
        return Claim(*shared, _owner(data["owner"]), lease_seconds, description)
    if kind in (CHECKPOINT, FINISHED) and 0 < fence < number:
        report = data["report"]
        if not isinstance(report, dict):
            raise TypeError("report is no object")
        return Saved(*shared, _count(data["env_steps"]), _files(data["files"]), report)
    raise ValueError(f"kind {shown(kind)} with fencing number {fence}")


def _owner(data: Any) -> Owner:
    found = {str(name)[:100]: _text(text) for name, text in dict(data["versions"]).items()}
    return Owner(_text(data["host"]), _count(data["pid"]), _text(data["cpu"]), found)


def _files(data: Any) -> dict[str, File]:
    files = {}
    for name, entry in dict(data).items():
        if not is_published(name):
            raise ValueError(f"no run holds the file {shown(name)!r}")
        files[name] = File(
            _matching(_BLOB, entry["blob"]),
            _count(entry["bytes"]),
            _matching(_SHA256, entry["sha256"]),
        )
    total = sum(file.bytes for file in files.values())
    if len(files) > _MAX_FILES or total > _MAX_BYTES:
        raise ValueError(f"{len(files):,} files of {total:,} bytes are too many")
    return files


def _text(value: Any, most: int = _MAX_TEXT) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{shown(value)} is no text")
    return value if most > _MAX_TEXT else shown(value, most)


def _matching(pattern: re.Pattern[str], value: Any) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{shown(value)} is not as Frank writes it")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _MAX_COUNT:
        raise ValueError(f"{shown(value)} is no count")
    return value


def _seconds(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{shown(value)} is no number of seconds")
    return float(value)
