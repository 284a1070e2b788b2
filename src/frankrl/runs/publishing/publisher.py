"""Publishes the state of a run while it goes on, in a thread of its own.

What is published is taken at a checkpoint: its files get second names at once, so that the training
may remove them, and are copied to the storage while it goes on. The metrics are copied as SQLite
sees them then. They may hold later rows than the checkpoint, which a restore removes, as after a
kill.
"""

import contextlib
import itertools
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from frankrl.core.errors import DamagedError, FrankError, StorageError, SupersededError, warn
from frankrl.runs.checkpoint import load_checkpoint
from frankrl.runs.checkpoint_folder import list_checkpoints
from frankrl.runs.disk import entry_of
from frankrl.runs.folder import RunFolder
from frankrl.runs.layout import BEST, CHECKPOINTS, METRICS
from frankrl.runs.metrics import MetricsReader
from frankrl.runs.publishing.lease import LeaseKeeper, remove_leases
from frankrl.runs.publishing.ownership import Ownership
from frankrl.runs.publishing.records import (
    CHECKPOINT,
    FINISHED,
    File,
    Saved,
    is_blob,
    is_published,
    saved_content,
)

BLOBS = "blobs"
KEPT_RECORDS = 2
"""Newest states whose files stay: one to continue from, and one for whoever is reading it."""
_LAST_TRIES, _RETRY_SECONDS = 3, 1.0
"""How often, and after what time, the last state of a run is tried again."""


class _State(NamedTuple):
    """A state of the run that is to be published."""

    folder: Path
    """Second names of its files; the metrics are still missing."""
    env_steps: int
    kind: str
    report: dict[str, Any] | None


class Publisher:
    """Publishes the states of one run, the newest one if several wait."""

    def __init__(
        self,
        ownership: Ownership,
        keeper: LeaseKeeper,
        run: RunFolder,
        restored: Saved | None = None,
    ) -> None:
        """Start the thread.

        Args:
            ownership: the right to publish the run.
            keeper: renews the lease.
            run: the run's folder, which this process writes.
            restored: the state that the folder was made from; its files were verified, so what is
                still the same need not be copied again.
        """
        self._ownership, self._keeper, self._run = ownership, keeper, run
        self._staging = staging_of(run.path)
        shutil.rmtree(self._staging, ignore_errors=True)
        verified = restored.files.values() if restored else ()
        self._blobs = {file.sha256: file.blob for file in verified}
        """What the storage holds, by its hash."""
        self._env_steps = restored.env_steps if restored else None
        self._swept = False
        self._count = 0
        self._changed = threading.Condition()
        self._waiting: _State | None = None
        self._busy = self._closed = False
        self._failure: FrankError | OSError | None = None
        self._said: str | None = None
        self._thread = threading.Thread(target=self._work, name="frank-publish", daemon=True)
        self._thread.start()

    def publish(self) -> None:
        """Publish the newest checkpoint of the run, soon; to be called right after it is written.

        Raises:
            SupersededError: another process has taken the run over.
        """
        self.check()
        with self._noted():
            self._submit(self._staged(CHECKPOINT, None))

    def check(self) -> None:
        """Warn of a failure, once until a state is published again.

        Raises:
            SupersededError: another process has taken the run over.
        """
        if self._keeper.superseded is not None:
            raise self._keeper.superseded
        failure = self._failure
        if isinstance(failure, SupersededError):
            raise failure
        if failure is None:
            self._said = None
        elif self._said is None:
            self._said = str(failure)
            warn(
                f"the run is not published at {self._ownership.log.storage.address}: {failure}; "
                "training goes on, and the next checkpoint is tried again"
            )

    def finish(self, report: dict[str, Any] | None) -> None:
        """Publish the last state of the run, which nobody writes any more, and wait for it.

        Args:
            report: the outcome of the finished run; None: it was interrupted.

        Raises:
            SupersededError: another process has taken the run over.
            StorageError: the state cannot be published.
        """
        kind = CHECKPOINT if report is None else FINISHED
        for attempt in range(_LAST_TRIES):
            if attempt:
                time.sleep(_RETRY_SECONDS)
            self._wait()
            there = list_checkpoints(self._run.checkpoints)
            done = self._failure is None and there and int(there[-1].name) == self._env_steps
            if kind == CHECKPOINT and (done or not there):
                return
            with self._noted():
                self._submit(self._staged(kind, report))
            self._wait()
            if self._keeper.superseded is not None:
                raise self._keeper.superseded
            if isinstance(self._failure, SupersededError):
                raise self._failure
            if self._failure is None:
                return
        raise StorageError(
            f"the last state of the run could not be published: {self._failure}; it is whole in "
            f"{self._run.path}"
        )

    def close(self) -> None:
        """End the thread, after what it is doing."""
        with self._changed:
            self._closed, self._waiting = True, None
            self._changed.notify_all()
        self._thread.join()
        shutil.rmtree(self._staging, ignore_errors=True)

    def _submit(self, state: _State) -> None:
        with self._changed:
            if self._waiting is not None:
                shutil.rmtree(self._waiting.folder, ignore_errors=True)
            self._waiting = state
            self._changed.notify_all()

    def _wait(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._busy and self._waiting is None)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._waiting is not None)
                if self._waiting is None:
                    return
                state, self._waiting, self._busy = self._waiting, None, True
            try:
                with self._noted():
                    self._publish(state)
            finally:
                shutil.rmtree(state.folder, ignore_errors=True)
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        """Keep a failure for the training's own thread."""
        try:
            yield
        except (FrankError, OSError) as error:
            self._failure = error
        except Exception as error:
            # The thread must go on: the end of the run waits for it.
            self._failure = StorageError(f"{type(error).__name__}: {error}")

    def _staged(self, kind: str, report: dict[str, Any] | None) -> _State:
        """Give the files of the run's newest state second names."""
        self._count += 1
        folder = self._staging / str(self._count)
        keep = self._run.description.settings.saving.keep_checkpoints
        checkpoints = list_checkpoints(self._run.checkpoints)[-keep:]
        folders = [*checkpoints, *list_checkpoints(self._run.best)[-1:], self._run.trackers]
        inside = [path for place in folders if place.is_dir() for path in place.iterdir()]
        for path in (*self._run.path.iterdir(), *inside):
            name = path.relative_to(self._run.path)
            if is_published(name.as_posix()) and name.as_posix() != METRICS:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                _link_or_copy(path, folder / name)
        return _State(folder, int(checkpoints[-1].name) if checkpoints else 0, kind, report)

    def _publish(self, state: _State) -> None:
        """Copy what the storage lacks of a state, and then write its record."""
        self._ownership.check()
        reader = MetricsReader(self._run.metrics)
        try:
            reader.copy_to(state.folder / METRICS, str)
        finally:
            reader.close()
        files = self._stored(state.folder)
        saved = self._ownership.append(
            state.kind, saved_content(state.env_steps, files, state.report)
        )
        self._env_steps, self._failure = state.env_steps, None
        # It is published; what is left over is tried again after the next state.
        with contextlib.suppress(DamagedError, StorageError):
            self._remove_old(saved, sweep=not self._swept or state.kind == FINISHED)

    def _stored(self, folder: Path) -> dict[str, File]:
        """The files of a state, each of them in the storage now."""
        files = {}
        for name, entry in _entries(folder).items():
            sha256 = entry["sha256"]
            if sha256 not in self._blobs:
                if entry_of(folder / name) != entry:
                    raise StorageError(
                        f"{self._run.path / name} is damaged, so it is not published"
                    )
                blob = f"{self._ownership.fence:06d}/{sha256}"
                self._ownership.log.storage.put_file(f"{BLOBS}/{blob}", folder / name)
                self._blobs[sha256] = blob
            files[name] = File(self._blobs[sha256], entry["bytes"], sha256)
        return files

    def _remove_old(self, newest: Saved, *, sweep: bool) -> None:
        """Remove the contents that no kept state names.

        Args:
            newest: the state that was just published.
            sweep: look for those of earlier owners, too, and for what was begun and never named.
        """
        log, fence = self._ownership.log, self._ownership.fence
        storage = log.storage
        # The log is asked: a record may be there though the answer of the storage was lost.
        kept = _readable(log.states(newest), KEPT_RECORDS)
        named = {file.blob for record in kept for file in record.files.values()}
        for sha256, blob in list(self._blobs.items()):
            if blob not in named:
                storage.delete(f"{BLOBS}/{blob}")
                del self._blobs[sha256]
        if sweep:
            remove_leases(storage, fence)
            for claim, _ in log.owners():
                folder = f"{claim.fence:06d}"
                # A process that has taken the run over meanwhile is none of this one's.
                names = storage.names(f"{BLOBS}/{folder}") if claim.fence <= fence else ()
                for name in names:
                    blob = f"{folder}/{name}"
                    if is_blob(blob) and blob not in named:
                        storage.delete(f"{BLOBS}/{blob}")
            self._swept = True


def _readable(states: Iterator[Saved], count: int) -> list[Saved]:
    """The first states; fewer if an older one is damaged, from which nobody can continue."""
    found: list[Saved] = []
    with contextlib.suppress(DamagedError):
        found.extend(itertools.islice(states, count))
    return found


def staging_of(run: Path) -> Path:
    """Where second names of a run's files are kept until they are published."""
    return run.with_name(f".{run.name}.publishing")


def _entries(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and hash of each file of a state; those of checkpoints are in their manifests."""
    described = {}
    for place in (CHECKPOINTS, BEST):
        for checkpoint in list_checkpoints(folder / place):
            for name, entry in load_checkpoint(checkpoint, {}).described.items():
                described[f"{place}/{checkpoint.name}/{name}"] = entry
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in paths]
    return {name: described.get(name) or entry_of(folder / name) for name in names}


def _link_or_copy(path: Path, second: Path) -> None:
    try:
        os.link(path, second)
    except OSError:
        shutil.copyfile(path, second, follow_symlinks=False)
