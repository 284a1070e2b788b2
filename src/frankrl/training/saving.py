"""The files of a run while it trains: its lock, its metrics, its checkpoints, its best agent."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from frankrl.environments import spec_to_data
from frankrl.experience import HasFreeActors
from frankrl.runs import RunFolder, RunLock, Tensors, set_aside
from frankrl.training.best import BestAgent
from frankrl.training.checkpoint_metadata import CheckpointMetadata
from frankrl.training.checkpoint_writer import CheckpointWriter
from frankrl.training.codec import to_tensors
from frankrl.training.events import Checkpointed, SavingFailed
from frankrl.training.journal import Journal
from frankrl.training.marks import Marks
from frankrl.training.periodic_evaluation import PeriodicEvaluator
from frankrl.training.replay_codec import Chunks
from frankrl.training.resuming import Found
from frankrl.training.state import Experiment, TrainState
from frankrl.training.stepping import Stepping
from frankrl.training.surroundings import Surroundings


class Content(NamedTuple):
    """The content of a checkpoint."""

    tensors: dict[str, Tensors]
    """The arrays of each file by name."""
    chunks: Chunks
    """How to read those of each chunk of the buffers."""
    info: dict[str, Any]
    """Everything that is not an array, as JSON data."""


def content_of(
    experiment: Experiment,
    state: TrainState,
    stepping: Stepping,
    evaluator: PeriodicEvaluator,
    journal: Journal,
    marks: Marks,
    surroundings: Surroundings,
    seconds: float,
) -> Content:
    """What a checkpoint holds of a run between two rounds.

    Args:
        experiment: the run's experiment.
        state: its training state.
        stepping: holds where its environments stand.
        evaluator: holds what its evaluations have found.
        journal: holds the metrics since the last row.
        marks: what the run has recorded of itself.
        surroundings: the process that trains.
        seconds: seconds since the run began.
    """
    source = stepping.source
    tensors, chunks = to_tensors(
        experiment,
        state,
        source.snapshot(),
        journal.interval(),
        source.statistics(),
        source.actors_state() if isinstance(source, HasFreeActors) else None,
        source.memory(),
    )
    metadata = CheckpointMetadata(
        env_id=experiment.spec.env_id,
        environment=spec_to_data(experiment.spec),
        env_steps=state.ticks,
        updates=state.updates,
        episodes=journal.episodes,
        replay_start=experiment.replay_start,
        holds_replay=experiment.settings.saving.checkpoint_replay == "all",
        evaluation_due=evaluator.due,
        in_lane=surroundings.in_lane,
        seconds=seconds,
        solved=evaluator.solved,
        best=evaluator.best.best,
        not_reproducible=marks.not_reproducible,
        environment_restarts=marks.restarts,
        versions=surroundings.versions,
        machine=surroundings.machine,
    )
    files = tensors | stepping.tensors() | evaluator.best.for_checkpoint()
    return Content(files, chunks, metadata.info())


class RunFiles:
    """Writes the files of a run, whose lock it holds; a disk that fails does not stop the run."""

    def __init__(
        self, folder: RunFolder, path: Path, keep: int, journal: Journal, best: BestAgent
    ) -> None:
        """Lock the folder for writing.

        Args:
            folder: the run's folder.
            path: its path as it was given.
            keep: number of checkpoints to keep.
            journal: the run's metrics; opened by the caller.
            best: its best agent.

        Raises:
            RunFolderError: another process writes there.
        """
        self._lock = RunLock(folder.path, path)
        self._folder, self._journal, self._best = folder, journal, best
        self._writer = CheckpointWriter(folder, keep, self._lock.check)

    @property
    def unsaved(self) -> str:
        """What could not be written at the last attempt, and why; empty if everything was."""
        return self._writer.unsaved

    def go_back(self, found: Found) -> None:
        """Go on from a checkpoint: set damaged ones aside, and write its best agent again.

        Raises:
            OSError, RunFolderError: it cannot be written.
        """
        self._writer.held.hold(found.loaded.path, found.loaded.chunks)
        set_aside(error.checkpoint for error in found.damaged if error.checkpoint)
        self._best.save(self._folder, found.metadata.env_steps)

    def checkpoint(self, ticks: int, content: Content) -> Iterator[Checkpointed | SavingFailed]:
        """Write a checkpoint, then remove the oldest ones.

        Args:
            ticks: of the run's clock so far.
            content: what it holds.

        Raises:
            DivergedError: a weight is not finite.
        """
        return self._writer.checkpoint(ticks, *content, self._journal.make_durable)

    def save_metrics(self, ticks: int) -> Iterator[SavingFailed]:
        """Write the rows of metrics."""
        return self._writer.attempt("metrics", ticks, self._journal.save)

    def save_metrics_durably(self, ticks: int) -> Iterator[SavingFailed]:
        """Write the rows of metrics, and end once they are on the disk."""
        return self._writer.attempt("metrics", ticks, self._journal.make_durable)

    def save_best(self, ticks: int, until: float) -> Iterator[SavingFailed]:
        """Write the best agent.

        Args:
            ticks: of the run's clock so far.
            until: the same; infinite at the run's end.
        """
        return self._writer.attempt(
            "best agent", ticks, lambda: self._best.save(self._folder, until)
        )

    def close(self) -> None:
        """Release the lock."""
        self._lock.release()
