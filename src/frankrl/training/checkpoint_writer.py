"""What a run leaves on the disk while it goes on; a disk that fails does not stop it."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from frankrl.core.errors import RunFolderError
from frankrl.runs import (
    RunFolder,
    Tensors,
    list_checkpoints,
    remove_checkpoints,
    save_checkpoint,
)
from frankrl.training.codec import check_finite
from frankrl.training.events import Checkpointed, SavingFailed

WRITE_ERRORS = (OSError, sqlite3.Error)
_REMOVAL = "removal of old checkpoints"
"""Leaves too much, not too little."""


class CheckpointWriter:
    """Writes for one run, and remembers what could not be written."""

    def __init__(self, folder: RunFolder, keep: int) -> None:
        """Nothing is written yet.

        Args:
            folder: the run's.
            keep: how many checkpoints.
        """
        self._folder = folder
        self._keep = keep
        self._failing: dict[str, str] = {}

    @property
    def unsaved(self) -> str:
        """What the last try could not write, and why; empty if all is written."""
        return "; ".join(
            f"{what}: {reason}" for what, reason in self._failing.items() if what != _REMOVAL
        )

    def attempt(
        self, what: str, env_steps: int, write: Callable[[], Any]
    ) -> Iterator[SavingFailed]:
        """Write something; a failure is told at the first of several tries in a row."""
        told = what in self._failing
        failed = self._try(what, env_steps, write)
        if failed and not told:
            yield failed

    def checkpoint(
        self,
        env_steps: int,
        tensors: Mapping[str, Tensors],
        info: dict[str, Any],
        make_metrics_durable: Callable[[], None],
    ) -> Iterator[Checkpointed | SavingFailed]:
        """Write a checkpoint, and then remove those that are too many.

        Args:
            env_steps: where the run stands.
            tensors: for each file its named arrays.
            info: everything that is not an array.
            make_metrics_durable: called first: a resume needs the rows up to this point.

        Raises:
            DivergedError: a weight is not finite.
        """
        check_finite(tensors, env_steps)
        checkpoints = self._folder.checkpoints
        written: list[Path] = []

        def write() -> None:
            make_metrics_durable()
            written.append(save_checkpoint(checkpoints, env_steps, tensors, info))

        if failed := self._try("checkpoint", env_steps, write):
            yield failed
            return
        yield Checkpointed(env_steps, *written)
        if failed := self._try(
            _REMOVAL, env_steps, lambda: remove_checkpoints(checkpoints, keep=self._keep)
        ):
            yield failed

    def _try(self, what: str, env_steps: int, write: Callable[[], Any]) -> SavingFailed | None:
        try:
            write()
        except (*WRITE_ERRORS, RunFolderError) as error:
            self._failing[what] = str(error)
            there: list[Path] = []
            with contextlib.suppress(RunFolderError):
                there = list_checkpoints(self._folder.checkpoints)
            return SavingFailed(env_steps, what, str(error), there[-1] if there else None)
        self._failing.pop(what, None)
        return None
