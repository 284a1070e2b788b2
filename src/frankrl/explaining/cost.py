"""Which updates of a run can be opened, and what it costs."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from frankrl.config import Settings
from frankrl.core.errors import DamagedError, FrankError, RunFolderError, SettingError
from frankrl.core.wording import option
from frankrl.runs import MetricsReader, RunFolder, list_checkpoints, load_checkpoint
from frankrl.training.checkpoint_metadata import CheckpointMetadata
from frankrl.training.state import ReplayStart


class Cost(NamedTuple):
    """What it costs to recompute an update."""

    first_tick: int
    """Where the run's clock stood at the checkpoint to start from; 0 for the start of the run."""
    last_tick: int
    """Where it stood at the end of the update's round."""
    verified_tick: int
    """The next tick for which the run has recorded what each environment had done, or from
    which on the run is not bit-exact."""
    seconds: float | None
    """Estimate from the run's own speed; None if the speed is unknown."""
    surroundings: Mapping[str, Any]
    """Versions and machine of the process that wrote the starting point. The same process also did
    the update: a run that continued under other versions is marked, and `cost_of` refuses it."""
    lanes: tuple[int, ...]
    """The seeds that were one program with the run there, in the order of their lanes; none: it
    was alone."""

    @property
    def ticks(self) -> int:
        """Ticks of the run's clock to repeat."""
        return self.verified_tick - self.first_tick


def openable(folder: RunFolder) -> tuple[int, list[CheckpointMetadata]]:
    """The number of the newest update of a run, and the checkpoints that updates start from.

    Raises:
        SettingError: the run has no updates yet.
    """
    checkpoints = _checkpoints_metadata(folder)
    return _newest_update(folder, checkpoints), [s for s in checkpoints if s.holds_replay]


def cost_of(folder: RunFolder, update: int) -> Cost:
    """What it costs to open an update.

    Raises:
        SettingError: the run has no such update.
        RunFolderError: the update cannot be recomputed exactly; the message says which can.
    """
    settings = folder.description.settings
    checkpoints = _checkpoints_metadata(folder)
    reached = _newest_update(folder, checkpoints)
    if isinstance(update, bool) or not isinstance(update, int) or not 1 <= update <= reached:
        raise SettingError(
            f"the run {folder.path} has the updates 1 to {reached:,}, got {update!r}: "
            f"name one of them with {option('update')}"
        )
    starts = [s for s in checkpoints if s.updates < update and s.holds_replay]
    start = starts[-1].env_steps if starts else 0
    # Beyond a later start of the buffer this is too early, but not before that start.
    replay_start = starts[-1].replay_start if starts else ReplayStart()
    last = _round_end(settings, replay_start, update)
    _refuse_not_reproducible(folder, checkpoints, replay_start, start, last)
    writer = starts[-1] if starts else folder.description
    end = _recorded_point(folder, checkpoints, last)
    seconds = _seconds(folder, end - start)
    surroundings = writer.versions | writer.machine
    lanes = folder.description.batched_with
    if starts and not starts[-1].in_lane:
        # It had gone on alone.
        lanes = ()
    return Cost(start, last, end, seconds, surroundings, lanes)


def _newest_update(folder: RunFolder, checkpoints: list[CheckpointMetadata]) -> int:
    reached = _reached(folder, checkpoints)
    if not reached:
        settings = folder.description.settings
        first = settings.first_update_ticks
        starts = f"learning starts at {settings.clock.at(first)}"
        if settings.is_offline:
            starts = f"the first ones come in {first:,} at a time (updates_per_round)"
        raise SettingError(f"the run {folder.path} has no updates yet: {starts}")
    return reached


def _checkpoints_metadata(folder: RunFolder) -> list[CheckpointMetadata]:
    """Metadata of each intact checkpoint, the oldest first."""
    intact = []
    for checkpoint in list_checkpoints(folder.checkpoints):
        with contextlib.suppress(DamagedError):
            info = load_checkpoint(checkpoint, {}).info
            intact.append(CheckpointMetadata.from_info(info, folder.description.settings))
    return intact


def _reached(folder: RunFolder, checkpoints: list[CheckpointMetadata]) -> int:
    """Number of updates that the run has done, by its checkpoints and metrics."""
    done = max((metadata.updates for metadata in checkpoints), default=0)
    with contextlib.suppress(FrankError):
        reader = MetricsReader(folder.metrics)
        rows = reader.columns("training")["updates"]
        reader.close()
        done = max(done, int(rows.max()) if len(rows) else 0)
    return done


def _round_end(settings: Settings, replay_start: ReplayStart, update: int) -> int:
    """Where the run's clock stands at the end of the round that does an update."""
    size = settings.round_ticks
    low = high = replay_start.env_steps // size + 1
    while replay_start.updates_due(settings, high * size) < update:
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        if replay_start.updates_due(settings, middle * size) < update:
            low = middle + 1
        else:
            high = middle
    return high * size


def _refuse_not_reproducible(
    folder: RunFolder,
    checkpoints: list[CheckpointMetadata],
    replay_start: ReplayStart,
    start: int,
    last: int,
) -> None:
    """Refuse to repeat rounds across a point from which the run is not reproducible."""
    marks = checkpoints[-1].not_reproducible if checkpoints else ()
    between = [mark for mark in marks if start <= mark.env_steps < last]
    if between:
        mark = between[0]
        later = [s for s in checkpoints if s.env_steps > mark.env_steps and s.holds_replay]
        then = f", or after {later[0].updates:,}" if later else ""
        settings = folder.description.settings
        due = replay_start.updates_due(settings, mark.env_steps)
        raise RunFolderError(
            f"the run is not bit-exact from {settings.clock.at(mark.env_steps)}, because "
            f"{mark.reason}: updates up to {due:,}{then} can be opened"
        )


def _recorded_point(folder: RunFolder, checkpoints: list[CheckpointMetadata], ticks: int) -> int:
    """The first row of metrics, or checkpoint, at or after a tick that the run has done.

    A point from which on the run is not reproducible is the last that can be reached.
    """
    points = [metadata.env_steps for metadata in checkpoints]
    points += [mark.env_steps for mark in (checkpoints[-1].not_reproducible if checkpoints else ())]
    with contextlib.suppress(FrankError):
        reader = MetricsReader(folder.metrics)
        points += reader.rows("training")
        reader.close()
    return min(point for point in points if point >= ticks)


def _seconds(folder: RunFolder, ticks: int) -> float | None:
    with contextlib.suppress(FrankError):
        reader = MetricsReader(folder.metrics)
        speeds = reader.columns("timing")["env_steps_per_second"]
        reader.close()
        if len(speeds):
            return ticks / float(np.median(speeds))
    return None


def checkpoint_at(folder: RunFolder, ticks: int) -> Path | None:
    """The checkpoint at one tick of the clock; None if there is none."""
    for checkpoint in list_checkpoints(folder.checkpoints):
        if int(checkpoint.name) == ticks:
            return checkpoint
    return None
