"""Recompute an update: load the nearest checkpoint before it and repeat the rounds since."""

import contextlib
import dataclasses
import functools
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree, UInt32

from frankrl.config import LearningSettings, Settings
from frankrl.core.backend import prepared, start_backend
from frankrl.core.device_random import seed_words
from frankrl.core.errors import DamagedError, FrankError, RunFolderError, SettingError, warn
from frankrl.core.normalisation import Scales
from frankrl.core.numerics import own_numerics
from frankrl.core.sequences import Sequences
from frankrl.core.text import shown
from frankrl.core.types import Arrival, Params, Steps, Transition
from frankrl.core.wording import option
from frankrl.environments import (
    EnvironmentSpec,
    GymnasiumVector,
    describe_for,
    is_absent,
    make_vector,
    spec_to_data,
)
from frankrl.experience import AsynchronousSource, FreeActor, HostSource, RecordedFeed, Source
from frankrl.explaining.cloning_record import CloningRecord, cloning_record_of
from frankrl.explaining.pqn_record import pqn_opened
from frankrl.explaining.record import SampledBatch, UpdateRecord, record_of
from frankrl.explaining.sequence_record import (
    SampledSequences,
    sequences_cloning_record_of,
    sequences_record_of,
)
from frankrl.explaining.verification import Verification
from frankrl.learning import (
    LearnerState,
    UpdateNoise,
    has_own_optimiser,
    learning_rate_at,
    under_noise,
    updates,
)
from frankrl.networks import FeedForwardNetwork, QNetwork, RecurrentNetwork
from frankrl.replay import (
    EndingRoom,
    ReplayBuffer,
    ReplayState,
    Sample,
    Span,
    as_new,
    cut_short,
    joined,
    parted,
    with_ending_rows,
)
from frankrl.runs import (
    LEARNING,
    MetricsReader,
    RunFolder,
    all_versions,
    check_code,
    check_settings_code,
    differences,
    list_checkpoints,
    load_checkpoint,
    machine_facts,
    read_newest,
)
from frankrl.training import Experiment, Round, TrainState, init_train_state
from frankrl.training.checkpoint_metadata import CheckpointMetadata
from frankrl.training.data import restored_data
from frankrl.training.device.batch import computed_in_lanes, rounds_in_lane
from frankrl.training.device.dqn_round import device_noise
from frankrl.training.device.rounds import device_rounds
from frankrl.training.initial import initial_params
from frankrl.training.preflight import check_copy
from frankrl.training.resuming import Found, newest_spec, read_checkpoint, stored_spec
from frankrl.training.state import ReplayStart
from frankrl.training.stepping import Stepping, on_device, on_host


class Cost(NamedTuple):
    """What it costs to recompute an update."""

    first_env_step: int
    """Env step of the checkpoint to start from; 0 for the start of the run."""
    last_env_step: int
    """Env step at the end of the update's round."""
    verified_env_step: int
    """The next env step for which the run has recorded what each environment had done, or from
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
    def env_steps(self) -> int:
        """Env steps to repeat."""
        return self.verified_env_step - self.first_env_step


class Reopened(NamedTuple):
    """A recomputed update."""

    record: UpdateRecord | CloningRecord
    params: Params
    """θ before the update, with the update's noise; as it evaluated s."""
    state: TrainState
    """The run's state at `cost.verified_env_step`."""
    cost: Cost
    spec: EnvironmentSpec
    network: QNetwork
    data_rows: int
    """How many transitions, or sequences, the last ones of the batch, are of the data set."""
    data_endings: Int[np.ndarray, " episode"] | None
    """The step of the data set, from 0, with which each of its episodes ends; None: the run learns
    from none."""


def openable(folder: RunFolder) -> tuple[int, list[CheckpointMetadata]]:
    """The number of the newest update of a run, and the checkpoints that updates start from.

    Raises:
        SettingError: the run has no updates yet.
    """
    checkpoints = _checkpoints_metadata(folder)
    return _newest_update(folder, checkpoints), [s for s in checkpoints if s.holds_replay]


def _newest_update(folder: RunFolder, checkpoints: list[CheckpointMetadata]) -> int:
    reached = _reached(folder, checkpoints)
    if not reached:
        settings = folder.description.settings
        first = settings.first_update_env_steps
        starts = f"learning starts at env step {first:,}"
        if settings.is_offline:
            starts = f"the first ones come in {first:,} at a time (updates_per_round)"
        raise SettingError(f"the run {folder.path} has no updates yet: {starts}")
    return reached


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


@own_numerics()
def reopen(
    folder: RunFolder,
    update: int,
    on_progress: Callable[[int, int], None] = lambda done, all: None,
    *,
    cost: Cost | None = None,
) -> Reopened:
    """Recompute an update and record it.

    The rounds from the checkpoint on are repeated, and beyond the update up to the next point for
    which the run has recorded what its environments had done. All that the run recorded on this
    way must come out again.

    Args:
        folder: the run.
        update: number of the update, from 1.
        on_progress: called with the env steps done and the env steps to do.
        cost: result of `cost_of` for this update; None: computed here.

    Raises:
        FrankError: there is no such update, or it cannot be recomputed exactly.
    """
    cost = cost or cost_of(folder, update)
    description, settings = folder.description, folder.description.settings
    with prepared():
        start_backend(on_cpu=cost.surroundings.get("accelerator") == "cpu")
        # Only a run whose checkpoint is right has its environment made.
        check_settings_code(folder, ("network", "torso", "optimiser"))
        start = _start(folder, cost.first_env_step)
        check_code(folder, LEARNING)
        if is_absent(description.env_id):
            spec = newest_spec(folder)
        else:
            spec = describe_for(description.env_id, settings)
    changes = differences(cost.surroundings, all_versions(settings) | machine_facts())
    for change in changes:
        warn(f"the update may differ in its last bits from the run, because {shown(change)}")
    experiment = Experiment.of(settings, spec, description.seed, description.data)
    if start:
        _check_same_spaces(spec, start)
        experiment = experiment.with_replay_start(start.metadata.replay_start)
    stepping = _stepping(folder, experiment, cost)
    with contextlib.closing(stepping.source) as source:
        if start:
            _restore(folder, stepping, start)
        verification = Verification(folder, experiment, start, changes)
        state = start.state if start else _initial_state(folder, experiment)
        check_copy(state, len(cost.lanes))
        last_begins = cost.last_env_step - settings.round_env_steps
        # A round donates the buffer; copying it in every round would take too long.
        before = _copied(state) if state.env_steps == last_begins else None
        opened = None
        stops = _stops(verification, cost, last_begins)
        results = stepping.rounds(experiment, state, stops)
        while state.env_steps < cost.verified_env_step:
            result = next(results)
            verification.check(result, source.digests())
            state = result.state()
            on_progress(state.env_steps - cost.first_env_step, cost.env_steps)
            if state.env_steps == last_begins:
                before = _copied(state)
            elif state.env_steps == cost.last_env_step:
                assert before is not None
                opened = _opened(experiment, before, result, update, len(cost.lanes))
        if checkpoint := _checkpoint_at(folder, cost.verified_env_step):
            verification.check_checkpoint(state, source.digests(), checkpoint)
    assert opened is not None
    record, params = opened
    if isinstance(record, UpdateRecord):
        record = dataclasses.replace(record, clock_unit=settings.clock_unit)
    rows, endings = _of_data(experiment, state)
    return Reopened(record, params, state, cost, spec, experiment.network, rows, endings)


def _of_data(
    experiment: Experiment, state: TrainState
) -> tuple[int, Int[np.ndarray, " episode"] | None]:
    """How many transitions of a batch are of a data set, and where its episodes end."""
    settings, held = experiment.settings, state.demonstrations
    rows = settings.demonstration_rows
    if settings.is_offline:
        rows, held = settings.replay.batch_size, state.replay
    if held is None or experiment.data is None:
        return 0, None
    return rows, np.flatnonzero(np.asarray(held.ending))


def _stops(verification: Verification, cost: Cost, last_begins: int) -> Callable[[int], int]:
    """Gives the next env step at which rounds on the device must stop: where the run has recorded
    something, and around the round of the update."""
    own = (last_begins, cost.last_env_step, cost.verified_env_step)

    def next_stop(env_steps: int) -> int:
        return min(at for at in (*own, verification.next_row(env_steps)) if at > env_steps)

    return next_stop


def _stepping(folder: RunFolder, experiment: Experiment, cost: Cost) -> Stepping:
    """What gives the run's steps and rounds again, from the beginning of the run."""
    if experiment.settings.environment.source != "device":
        return on_host(_source(folder, experiment, cost))
    lanes = cost.lanes
    # Alone, the rounding of a lane would differ.
    again = rounds_in_lane(len(lanes), lanes.index(experiment.seed)) if lanes else device_rounds
    return on_device(experiment, again)


def _source(folder: RunFolder, experiment: Experiment, cost: Cost) -> Source:
    """What gives the steps of a run on the host again."""
    settings, spec, seed = experiment.settings, experiment.spec, experiment.seed
    if settings.is_offline:
        return restored_data(experiment)
    if count := settings.environment.asynchronous_actors:
        reader = MetricsReader(folder.metrics)
        try:
            first, last = cost.first_env_step, cost.verified_env_step
            rows = reader.rows("arrivals", f"env_steps > {first} AND env_steps <= {last}")
        finally:
            reader.close()
        arrivals = {at: Arrival(*row) for at, row in rows.items()}
        if not all(0 <= arrival.actor < count for arrival in arrivals.values()):
            raise RunFolderError(f"the arrivals of {folder.path} name an actor that it has not")
        actors = [
            FreeActor(settings, experiment.network, spec, seed, actor) for actor in range(count)
        ]
        feed = RecordedFeed(actors, arrivals)
        return AsynchronousSource(settings, feed, experiment.updates_due)
    envs = make_vector(settings.environment, spec, seed)
    if isinstance(envs, GymnasiumVector):
        # Fewer may be allowed now than when the run went through these rounds.
        envs.restarts_left = sys.maxsize
    return HostSource(settings, experiment.network, seed, envs)


def _initial_state(folder: RunFolder, experiment: Experiment) -> TrainState:
    """The state in which a run began; its own file has the weights if they were given, and each of
    its checkpoints the data set."""
    state = init_train_state(experiment, initial_params(folder, experiment))
    if experiment.data is None:
        return state
    held = _newest(folder, experiment)
    if experiment.demonstrations is None:
        assert held.state.replay is not None, "a run that does not act has a buffer"
        return state._replace(replay=as_new(experiment.replay, held.state.replay))
    assert held.state.demonstrations is not None, "a run that acts beside has two"
    return state._replace(
        demonstrations=as_new(experiment.demonstrations, held.state.demonstrations)
    )


def _newest(folder: RunFolder, experiment: Experiment) -> Found:
    """The newest intact checkpoint, which holds the data set of the run.

    Raises:
        RunFolderError: there is none yet.
    """
    if not list_checkpoints(folder.checkpoints):
        raise RunFolderError(
            f"{folder.path} has no checkpoint yet, which holds the data that it learns from: open "
            "an update once it has one"
        )
    return read_newest(folder.checkpoints, lambda path: read_checkpoint(folder, experiment, path))[
        0
    ]


def _start(folder: RunFolder, env_steps: int) -> Found | None:
    """The checkpoint at an env step, by its own description of the environment; None at the
    beginning."""
    if not env_steps:
        return None
    description = folder.description
    checkpoint = _checkpoint_at(folder, env_steps)
    if checkpoint is None:
        raise RunFolderError(f"the checkpoint at env step {env_steps:,} was removed meanwhile")
    spec = stored_spec(folder, load_checkpoint(checkpoint, {}).info)
    experiment = Experiment.of(description.settings, spec, description.seed, description.data)
    return read_checkpoint(folder, experiment, checkpoint)


def _check_same_spaces(spec: EnvironmentSpec, start: Found) -> None:
    now, then = spec_to_data(spec), start.metadata.environment
    for name in ("observation_space", "num_actions", "first_action", "masks_from"):
        if now[name] != then[name]:
            raise RunFolderError(
                f"{spec.env_id} is another environment now than in the run: its {name} was "
                f"{shown(then[name])} and is {shown(now[name])}"
            )


def _restore(folder: RunFolder, stepping: Stepping, start: Found) -> None:
    """Bring the environments to their states at the checkpoint, in the order of a resumed run."""
    source = stepping.source
    stepping.stand_at(start.loaded.path)
    if start.actors is not None:
        assert isinstance(source, AsynchronousSource)
        source.stand_at(start.actors, start.experiment.updates_due)
    if different := source.restore(start.logs):
        metadata, which = start.metadata, ", ".join(map(str, different))
        raise RunFolderError(
            f"{folder.path} does not repeat: environment {which} ({metadata.env_id}) does "
            f"not come to its state at env step {metadata.env_steps:,} again, so no update after "
            f"{metadata.updates:,} can be opened from here; an environment must depend "
            "on its seed and the actions only"
        )
    source.restore_statistics(*start.statistics)
    source.restore_memory(start.memory)


class _Given(NamedTuple):
    """What the updates of a round were given, besides their samples."""

    stored: ReplayState
    steps: Steps | None
    """The round's steps, which the buffer lacks; None: it has them."""
    learning_rate: Any
    noise: UpdateNoise
    scales: Scales | None


def _given(experiment: Experiment, before: TrainState, result: Round) -> _Given:
    """What the updates of a round were given; `before` is the state before it."""
    given, replay, stored = result.input, experiment.replay, before.replay
    assert stored is not None, "PQN has no replay buffer"
    if given is None:
        count = result.updates - before.updates
        rows, seed = experiment.settings.update_transitions, seed_words(experiment.seed)
        noise = device_noise(experiment.network, rows, seed, before.updates, count)
        rate = np.float32(learning_rate_at(experiment.settings.learning, result.env_steps))
        # A copy, because reading takes it over.
        after = _copied(result.state()).replay
        assert after is not None
        return _Given(after, None, rate, noise, None)
    if cut := result.collected.cut:
        stored = cut_short(replay, stored, cut)
    steps = given.steps
    if steps is not None and (rows := EndingRoom(replay, stored).grown_to(steps.is_last)):
        stored = with_ending_rows(stored, rows)
    return _Given(stored, steps, given.learning_rate, given.noise, given.scales)


def _opened(
    experiment: Experiment, before: TrainState, result: Round, update: int, num_lanes: int
) -> tuple[UpdateRecord | CloningRecord, Params]:
    """The record of one update of a round, and θ before it, given the state before the round.

    It is computed in as many lanes as the run's own program had, 0 for a run alone.
    """
    if not experiment.settings.has_replay:
        record, learner, last = pqn_opened(experiment, before, result, update, num_lanes)
        _compare_with_run(last, result.state().learner)
        return record, experiment.network.layout.unflatten(learner.params)
    settings, network, replay = experiment.settings, experiment.network, experiment.replay
    sample = jax.tree.map(jnp.asarray, result.output().sample)
    assert sample is not None, "the update's own round did none"
    given = _given(experiment, before, result)
    drawn, other = parted(sample.env_steps, replay.sampler.batch_size)
    found = _read(replay, given.stored, given.steps, drawn, given.scales)[1:]
    if (demonstrations := experiment.demonstrations) is not None:
        assert before.demonstrations is not None, "its data set is in a buffer"
        others = _read(demonstrations, _copies(before.demonstrations), None, other, given.scales)
        found = joined(found, others[1:])
    taken, batches, spans = found
    number = update - before.updates - 1
    learn = _compiled_updates(settings.learning, network, num_lanes)
    # On the host, where a part of an array is taken without a compiled program for it.
    taken, batches, noise, sample, spans = jax.tree.map(
        np.asarray, (taken, batches, given.noise, sample, spans)
    )

    def learned(state: LearnerState, first: int, end: int) -> LearnerState:
        """The learner after the updates from `first` to `end` of the round."""
        if first == end:
            return state
        tables = (batches, noise, sample.weights)
        own = jax.tree.map(lambda table: table[first:end], tables)
        return learn(state, own[0], given.learning_rate, *own[1:])[0]

    state = learned(before.learner, 0, number)
    after = learned(state, number, number + 1)
    _compare_with_run(
        learned(after, number + 1, result.updates - before.updates), result.state().learner
    )
    own, begins, batch, noise, span = jax.tree.map(
        lambda table: table[number], (sample, taken, batches, noise, spans)
    )
    facts = {"env_steps": result.env_steps, "learning_rate": float(given.learning_rate)}
    record = _record(experiment, (state, after), own, begins, batch, span, noise, facts)
    return record, under_noise(network.layout.unflatten(np.asarray(state.params)), noise)


def _record(
    experiment: Experiment,
    learners: tuple[LearnerState, LearnerState],
    sample: Sample,
    begins: UInt32[np.ndarray, "*batch"],
    batch: Transition | Sequences,
    span: Span,
    noise: UpdateNoise,
    facts: dict[str, Any],
) -> UpdateRecord | CloningRecord:
    """The record of an update, given the learners before and after it."""
    learning, network = experiment.settings.learning, experiment.network
    is_cloned = learning.algorithm == "bc"
    if isinstance(batch, Transition):
        assert isinstance(network, FeedForwardNetwork), "one with memory learns from sequences"
        sampled = SampledBatch(sample, batch, span.num_steps, span.terminated)
        if is_cloned:
            return cloning_record_of(network, *learners, sampled, **facts)
        return record_of(learning, network, *learners, sampled, noise=noise, **facts)
    assert isinstance(network, RecurrentNetwork), "only one with memory learns from sequences"
    given = SampledSequences(sample, batch, begins, span.num_steps, span.terminated)
    if is_cloned:
        return sequences_cloning_record_of(network, *learners, given, **facts)
    return sequences_record_of(learning, network, *learners, given, noise=noise, **facts)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def _read(
    replay: ReplayBuffer,
    stored: ReplayState,
    steps: Steps | None,
    env_steps: UInt32[Array, "update batch"],
    scales: Scales | None,
) -> tuple[ReplayState, UInt32[Array, "update batch *step"], Transition | Sequences, Span]:
    """The buffer with the steps of a round, if it lacks them; the env steps at which transitions,
    or the learned steps of sequences, begin; the transitions that were drawn by some env steps and
    their steps, or the sequences and the steps of each of their transitions."""
    if steps is not None:
        stored = replay.add(stored, steps)
    if replay.sequences is None:
        found = replay.read(stored, env_steps, scales), replay.spans(stored, env_steps)
        return stored, env_steps, *found
    firsts = replay.first_learned(stored, env_steps)
    distance = np.arange(replay.sequences.learned_steps, dtype=np.uint32)
    begins = firsts[..., None] + distance * np.uint32(replay.num_envs)
    batch = replay.read_sequences(stored, firsts, scales)
    return stored, begins, batch, replay.spans(stored, begins)


def _compiled_updates(
    settings: LearningSettings, network: QNetwork, num_lanes: int
) -> Callable[..., Any]:
    own = functools.partial(updates, settings, network)
    if num_lanes:
        return computed_in_lanes(own, num_lanes)
    if has_own_optimiser(settings):
        # Another one, or a changed one, may stand under the same name later.
        return jax.jit(own)
    return functools.partial(_updates, settings, network)


_updates = jax.jit(updates, static_argnums=(0, 1))


def _compare_with_run(ours: LearnerState, theirs: LearnerState) -> None:
    """Warn if the round's updates in several calls do not end in the same bits as in one call.

    Another number of updates is another compiled program, which may round differently.
    """
    difference = np.asarray(ours.params) - np.asarray(theirs.params)
    away = float(np.abs(difference).max(initial=0.0))
    if away:
        warn(
            "the updates of this round, computed in parts, end up to "
            f"{away:.1g} away from the run's weights: the numbers shown are right to that"
        )


def _copied(state: TrainState) -> TrainState:
    """A copy of the state, whose arrays no later round takes over."""
    learner, replay, others = _copies((state.learner, state.replay, state.demonstrations))
    return state._replace(learner=learner, replay=replay, demonstrations=others)


@jax.jit
def _copies(arrays: PyTree) -> PyTree:
    return jax.tree.map(jnp.copy, arrays)


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
    """Env step at the end of the round that does an update."""
    size = settings.round_env_steps
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
            f"the run is not bit-exact from {settings.clock_unit} {mark.env_steps:,}, because "
            f"{mark.reason}: updates up to {due:,}{then} can be opened"
        )


def _seconds(folder: RunFolder, env_steps: int) -> float | None:
    with contextlib.suppress(FrankError):
        reader = MetricsReader(folder.metrics)
        speeds = reader.columns("timing")["env_steps_per_second"]
        reader.close()
        if len(speeds):
            return env_steps / float(np.median(speeds))
    return None


def _checkpoint_at(folder: RunFolder, env_steps: int) -> Path | None:
    """The checkpoint at one env step; None if there is none."""
    for checkpoint in list_checkpoints(folder.checkpoints):
        if int(checkpoint.name) == env_steps:
            return checkpoint
    return None


def _recorded_point(
    folder: RunFolder, checkpoints: list[CheckpointMetadata], env_steps: int
) -> int:
    """The first row of metrics, or checkpoint, at or after an env step that the run has done.

    A point from which on the run is not reproducible is the last that can be reached.
    """
    points = [metadata.env_steps for metadata in checkpoints]
    points += [mark.env_steps for mark in (checkpoints[-1].not_reproducible if checkpoints else ())]
    with contextlib.suppress(FrankError):
        reader = MetricsReader(folder.metrics)
        points += reader.rows("training")
        reader.close()
    return min(point for point in points if point >= env_steps)
