"""Writes checkpoints and other files of a run; a disk that fails does not stop the run."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from frankrl.core.errors import RunFolderError
from frankrl.runs import (
    HeldChunks,
    RunFolder,
    Tensors,
    list_checkpoints,
    remove_checkpoints,
    save_checkpoint,
)
from frankrl.training.codec import check_finite
from frankrl.training.events import Checkpointed, SavingFailed
from frankrl.training.replay_codec import Chunks

WRITE_ERRORS = (OSError, sqlite3.Error)
_REMOVAL = "removal of old checkpoints"
"""If it fails, files are left over, but none is missing."""


class CheckpointWriter:
    """Writes the files of one run and records what could not be written."""

    def __init__(self, folder: RunFolder, keep: int, check: Callable[[], None]) -> None:
        """Does not write anything yet.

        Args:
            folder: the run's folder.
            keep: number of checkpoints to keep.
            check: called before anything is written; raises `RunFolderError` if the run folder is
                gone, which ends the training.
        """
        self._check = check
        self._folder = folder
        self._keep = keep
        self._failing: dict[str, str] = {}
        self.held = HeldChunks()
        """What the next checkpoint need not write again."""

    @property
    def unsaved(self) -> str:
        """What could not be written at the last attempt, and why; empty if everything was."""
        return "; ".join(
            f"{what}: {reason}" for what, reason in self._failing.items() if what != _REMOVAL
        )

    def attempt(self, what: str, ticks: int, write: Callable[[], Any]) -> Iterator[SavingFailed]:
        """Write something; only the first of several failures in a row gives an event."""
        was_failing = what in self._failing
        failed = self._try(what, ticks, write)
        if failed and not was_failing:
            yield failed

    def checkpoint(
        self,
        ticks: int,
        tensors: Mapping[str, Tensors],
        chunks: Chunks,
        info: dict[str, Any],
        make_metrics_durable: Callable[[], None],
    ) -> Iterator[Checkpointed | SavingFailed]:
        """Write a checkpoint, then remove the oldest ones.

        Args:
            ticks: of the run's clock so far.
            tensors: the named arrays of each file.
            chunks: how to read those of each chunk.
            info: everything that is not an array.
            make_metrics_durable: called first, because a resume needs the rows up to this point.

        Raises:
            DivergedError: a weight is not finite.
        """
        check_finite(tensors, ticks, self._folder.description.settings.clock)
        checkpoints = self._folder.checkpoints
        written: list[Path] = []

        def write() -> None:
            make_metrics_durable()
            written.append(save_checkpoint(checkpoints, ticks, tensors, info, chunks, self.held))

        if failed := self._try("checkpoint", ticks, write):
            yield failed
            return
        yield Checkpointed(ticks, *written)
        if failed := self._try(
            _REMOVAL, ticks, lambda: remove_checkpoints(checkpoints, keep=self._keep)
        ):
            yield failed

    def _try(self, what: str, ticks: int, write: Callable[[], Any]) -> SavingFailed | None:
        self._check()
        try:
            write()
        except (*WRITE_ERRORS, RunFolderError) as error:
            self._failing[what] = str(error)
            there: list[Path] = []
            with contextlib.suppress(RunFolderError):
                there = list_checkpoints(self._folder.checkpoints)
            return SavingFailed(ticks, what, str(error), there[-1] if there else None)
        self._failing.pop(what, None)
        return None
