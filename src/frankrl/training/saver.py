"""What a run leaves on the disk while it goes on; a disk that fails does not stop it."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from frankrl.errors import DivergedError
from frankrl.runs import (
    RunFolder,
    Tensors,
    list_checkpoints,
    remove_checkpoints,
    save_checkpoint,
)
from frankrl.training.events import Checkpointed, SavingFailed

WRITE_ERRORS = (OSError, sqlite3.Error)
_LEARNED = ("q_network", "target_network", "average_network", "optimiser")


class Saver:
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
        return "; ".join(f"{what}: {reason}" for what, reason in self._failing.items())

    def attempt(
        self, what: str, env_steps: int, write: Callable[[], Any]
    ) -> Iterator[SavingFailed]:
        """Write something; a failure is told at the first of several tries in a row."""
        told = what in self._failing
        try:
            write()
        except WRITE_ERRORS as error:
            failed = self._failed(what, env_steps, error)
            if not told:
                yield failed
        else:
            self._failing.pop(what, None)

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
        _check_finite(tensors, env_steps)
        checkpoints = self._folder.checkpoints
        try:
            make_metrics_durable()
            path = save_checkpoint(checkpoints, env_steps, tensors, info)
        except WRITE_ERRORS as error:
            yield self._failed("checkpoint", env_steps, error)
            return
        self._failing.pop("checkpoint", None)
        yield Checkpointed(env_steps, path)
        kept = list_checkpoints(checkpoints)[-self._keep :]
        yield from self.attempt(
            "removal of old checkpoints",
            env_steps,
            lambda: remove_checkpoints(checkpoints, but=kept),
        )

    def _failed(self, what: str, env_steps: int, error: Exception) -> SavingFailed:
        self._failing[what] = str(error)
        there = list_checkpoints(self._folder.checkpoints)
        return SavingFailed(env_steps, what, str(error), there[-1] if there else None)


def _check_finite(tensors: Mapping[str, Tensors], env_steps: int) -> None:
    for file in _LEARNED:
        for name, array in tensors.get(file, {}).items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise DivergedError(
                    f"training diverged by env step {env_steps:,}: {file} {name} is not finite, "
                    "so no checkpoint is written; try a lower learning_rate"
                )
