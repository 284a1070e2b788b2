"""Recompute an update: load the nearest checkpoint before it and repeat the rounds since."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from frankrl.config import Settings
from frankrl.core.backend import prepared, start_backend
from frankrl.core.errors import DamagedError, FrankError, RunFolderError, SettingError, warn
from frankrl.environments import describe, make_vector
from frankrl.explaining.record import UpdateRecord, record_of
from frankrl.learning import updates
from frankrl.replay import Drawn, add, gather
from frankrl.runs import (
    MetricsReader,
    RunFolder,
    differences,
    list_checkpoints,
    load_checkpoint,
    machine_facts,
    versions,
)
from frankrl.training import TrainState, init_train_state, rounds
from frankrl.training.checkpoint_metadata import CheckpointMetadata
from frankrl.training.resuming import Found, read_checkpoint
from frankrl.training.round import Lesson, updates_due


class Cost(NamedTuple):
    """What it costs to recompute an update."""

    first_env_step: int
    """Env step of the checkpoint to start from; 0 for the start of the run."""
    last_env_step: int
    """Env step at the end of the update's round."""
    seconds: float | None
    """Estimate from the run's own speed; None if the speed is unknown."""
    surroundings: Mapping[str, Any]
    """Versions and machine of the process that wrote the starting point. The same process also did
    the update: a run that continued under other versions is marked, and `cost_of` refuses it."""

    @property
    def env_steps(self) -> int:
        """Env steps to repeat."""
        return self.last_env_step - self.first_env_step


class Reopened(NamedTuple):
    """A recomputed update."""

    record: UpdateRecord
    state: TrainState
    """The run's state at the end of the update's round."""
    cost: Cost


def cost_of(folder: RunFolder, update: int) -> Cost:
    """What it costs to open an update.

    Raises:
        SettingError: the run has no such update.
        RunFolderError: the update cannot be recomputed exactly; the message says which can.
    """
    settings = folder.description.settings
    checkpoints = _checkpoints_metadata(folder)
    reached = _reached(folder, checkpoints)
    if isinstance(update, bool) or not isinstance(update, int) or not 1 <= update <= reached:
        first = settings.training.learning_starts_env_steps
        raise SettingError(
            f"the run {folder.path} has the updates 1 to {reached:,}, got {update!r}: "
            "name one of them with --update"
            if reached
            else f"the run {folder.path} has no updates yet: learning starts at env step {first:,}"
        )
    last = _round_end(settings, update)
    starts = [s for s in checkpoints if s.updates < update]
    start = starts[-1].env_steps if starts else 0
    _refuse_inexact(folder, checkpoints, start, last)
    writer = starts[-1] if starts else folder.description
    return Cost(start, last, _seconds(folder, last - start), writer.versions | writer.machine)


def reopen(
    folder: RunFolder,
    update: int,
    on_progress: Callable[[int, int], None] = lambda done, all: None,
    *,
    cost: Cost | None = None,
) -> Reopened:
    """Recompute an update and record it.

    Args:
        folder: the run.
        update: number of the update, from 1.
        on_progress: called with the env steps done and the env steps to do.
        cost: result of `cost_of` for this update; None: computed here.

    Raises:
        FrankError: there is no such update, or it cannot be recomputed.
    """
    cost = cost or cost_of(folder, update)
    description, settings = folder.description, folder.description.settings
    with prepared():
        spec = describe(description.env_id, settings.environment.env_kwargs)
        start_backend(on_cpu=cost.surroundings.get("accelerator") == "cpu")
    for change in differences(cost.surroundings, versions() | machine_facts()):
        warn(f"the update may differ in its last bits from the run, because {change}")
    with contextlib.closing(make_vector(settings.environment, spec, description.seed)) as envs:
        state = init_train_state(settings, spec, description.seed)
        if cost.first_env_step:
            checkpoint = _checkpoint_at(folder, settings, state, cost.first_env_step)
            if envs.restore(checkpoint.logs):
                raise RunFolderError(
                    f"the environments of {folder.path} do not replay to the same bits, so no "
                    "update can be recomputed exactly"
                )
            state = checkpoint.state
        results = rounds(settings, description.seed, envs, _copied(state))
        last_begins = cost.last_env_step - settings.round_env_steps
        while state.env_steps < last_begins:
            state = next(results).state()
            on_progress(state.env_steps - cost.first_env_step, cost.env_steps)
        # The next round takes over the buffer; copying it in every round would cost too much.
        before = _copied(state)
        result = next(results)
        on_progress(cost.env_steps, cost.env_steps)
    drawn = result.outcome().drawn
    record = _opened(settings, before, result.lesson, drawn, update, result.env_steps)
    return Reopened(record, result.state(), cost)


def _opened(
    settings: Settings,
    before: TrainState,
    lesson: Lesson,
    drawn: Drawn,
    update: int,
    env_steps: int,
) -> UpdateRecord:
    """The record of one update of a round, given the state before the round."""
    replay = jax.jit(add)(before.replay, lesson.rows, lesson.begun, lesson.count)
    drawn = jax.tree.map(jnp.asarray, drawn)
    batches = gather(replay, drawn.indices)
    learn = jax.jit(lambda *given: updates(settings.learning, *given))
    number = update - before.updates - 1
    given = (lesson.learning_rate, lesson.draws, drawn.weights)
    just_before, just_after = (
        learn(before.learner, batches, jnp.uint32(count), *given).state
        for count in (number, number + 1)
    )
    batch, own = jax.tree.map(lambda table: table[number], (batches, drawn))
    indices = np.asarray(own.indices)
    return record_of(
        settings.learning,
        just_before,
        just_after,
        batch,
        env_steps=env_steps,
        learning_rate=float(lesson.learning_rate),
        indices=indices,
        transition_env_steps=np.asarray(replay.begun)[indices],
        draws=jax.tree.map(lambda field: jnp.asarray(field[number]), lesson.draws),
        weights=own.weights,
        probabilities=own.probabilities,
    )


def _copied(state: TrainState) -> TrainState:
    """A copy of the state, whose arrays no later round takes over."""
    return state._replace(
        learner=jax.tree.map(jnp.copy, state.learner), replay=jax.tree.map(jnp.copy, state.replay)
    )


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


def _round_end(settings: Settings, update: int) -> int:
    """Env step at the end of the round that does an update."""
    size = settings.round_env_steps
    low, high = 1, 1
    while updates_due(settings, high * size) < update:
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        if updates_due(settings, middle * size) < update:
            low = middle + 1
        else:
            high = middle
    return high * size


def _refuse_inexact(
    folder: RunFolder, checkpoints: list[CheckpointMetadata], start: int, last: int
) -> None:
    """Refuse to repeat rounds across a point from which the run is not reproducible."""
    marks = checkpoints[-1].inexact if checkpoints else ()
    between = [mark for mark in marks if start <= mark.env_steps < last]
    if between:
        mark = between[0]
        later = [s for s in checkpoints if s.env_steps > mark.env_steps]
        then = f", or after {later[0].updates:,}" if later else ""
        due = updates_due(folder.description.settings, mark.env_steps)
        raise RunFolderError(
            f"the run is not bit-exact from env step {mark.env_steps:,}, because {mark.reason}: "
            f"updates up to {due:,}{then} can be opened"
        )


def _seconds(folder: RunFolder, env_steps: int) -> float | None:
    with contextlib.suppress(FrankError):
        reader = MetricsReader(folder.metrics)
        speeds = reader.columns("timing")["env_steps_per_second"]
        reader.close()
        if len(speeds):
            return env_steps / float(np.median(speeds))
    return None


def _checkpoint_at(
    folder: RunFolder, settings: Settings, like: TrainState, env_steps: int
) -> Found:
    """Content of the checkpoint at one env step."""
    for checkpoint in list_checkpoints(folder.checkpoints):
        if int(checkpoint.name) == env_steps:
            return read_checkpoint(folder, settings, like, checkpoint)
    raise RunFolderError(f"the checkpoint at env step {env_steps:,} was removed in the meantime")
