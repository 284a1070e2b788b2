"""The published runs below a folder: which machine writes each of them, and how far it is."""

import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from frankrl.core.errors import FrankError
from frankrl.core.text import shown
from frankrl.listing.run_index import ODD, Stamp, id_and_name, stamp_of
from frankrl.runs.publishing import PublishedStatus, published_status

MAX_JOBS = 500
"""Number of published runs that are shown."""
_AGAIN_SECONDS = 5.0
"""A run whose files have not changed is looked at again after so long: its lease may expire."""
_MAX_ERROR = 500


class _Look(NamedTuple):
    """What a look at a published run found."""

    stamps: tuple[Stamp | None, ...]
    at: float
    """When, by a clock that only goes forward. [s]"""
    found: PublishedStatus | str
    """How it stands, or why it cannot be read."""

    @property
    def is_settled(self) -> bool:
        """Whether only a new file can change it."""
        found = self.found
        return not isinstance(found, str) and (found.finished or found.lease == "expired")


class PublishedJobs:
    """How the published runs stand; they are read only while somebody asks.

    Thread-safe: a lock lets one method run at a time.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._paths: list[Path] = []
        self._looks: dict[Path, _Look] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._paths)

    def refresh(self, paths: Sequence[Path]) -> bool:
        """Take the folders of the published runs; returns whether their number has changed."""
        with self._lock:
            before, self._paths = len(self._paths), list(paths)
            return before != len(paths)

    def payload(self) -> bytes:
        """How each published run stands, as JSON. Ages are in seconds."""
        with self._lock:
            paths = self._paths[:MAX_JOBS]
            self._looks = {path: self._look(path) for path in paths}
            jobs = [self._job(path) for path in paths]
            limit = MAX_JOBS if len(self._paths) > MAX_JOBS else 0
        return json.dumps({"jobs": jobs, "limit": limit}, allow_nan=False).encode()

    def _look(self, path: Path) -> _Look:
        known, now = self._looks.get(path), time.monotonic()
        stamps = (stamp_of(path / "log"), stamp_of(path / "lease"))
        is_fresh = known and (known.is_settled or now - known.at < _AGAIN_SECONDS)
        if known and is_fresh and known.stamps == stamps:
            return known
        try:
            found = published_status(path) or "it holds no whole record"
        except FrankError as error:
            found = shown(error, _MAX_ERROR)
        except ODD as error:
            found = shown(f"its records are odd: {error}", _MAX_ERROR)
        return _Look(stamps, now, found)

    def _job(self, path: Path) -> dict[str, Any]:
        identity, name = id_and_name(self._root, path)
        look = self._looks[path]
        if isinstance(look.found, str):
            return {"id": identity, "name": name, "error": look.found}
        status = look.found
        since_look = time.monotonic() - look.at
        published = status.published_at
        return {
            "id": identity,
            "name": name,
            "error": "",
            "env_id": shown(status.env_id),
            "host": shown(status.host),
            "pid": status.pid,
            "cpu": shown(status.cpu),
            "fence": status.fence,
            "finished": status.finished,
            "lease": status.lease,
            "renewed_seconds": status.seconds_since_renewal + since_look,
            "env_steps": status.env_steps,
            "published_seconds": None if published is None else max(0.0, time.time() - published),
            "differences": [shown(one) for one in status.differences],
        }
