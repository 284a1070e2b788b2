"""What a run is repeated from: the state, the environments, or the actors, at a checkpoint."""

import sys
from collections.abc import Mapping
from typing import Any

from frankrl.core.errors import RunFolderError
from frankrl.core.text import shown
from frankrl.core.types import Arrival
from frankrl.environments import EnvironmentSpec, GymnasiumVector, make_vector, spec_to_data
from frankrl.experience import (
    AsynchronousSource,
    FreeActor,
    HasFreeActors,
    HostSource,
    RecordedFeed,
    Restorable,
    Source,
)
from frankrl.explaining.cost import Cost, checkpoint_at
from frankrl.replay import as_new
from frankrl.runs import MetricsReader, RunFolder, list_checkpoints, load_checkpoint, read_newest
from frankrl.training import Experiment, TrainState, init_train_state
from frankrl.training.data import restored_data
from frankrl.training.device.batch import rounds_in_lane
from frankrl.training.device.rounds import device_rounds
from frankrl.training.initial import initial_params
from frankrl.training.replay_place import as_it_lay
from frankrl.training.resuming import Found, read_checkpoint, stored_spec
from frankrl.training.stepping import Stepping, on_device, on_host


def read_start(folder: RunFolder, ticks: int, facts: Mapping[str, Any]) -> Found | None:
    """The checkpoint at a tick of the clock, by its own description of the environment; None at the
    beginning.

    Args:
        folder: the run.
        ticks: of its clock.
        facts: of the process that went on from there; they say where the replay buffer lies.
    """
    if not ticks:
        return None
    description = folder.description
    checkpoint = checkpoint_at(folder, ticks)
    if checkpoint is None:
        raise RunFolderError(
            f"the checkpoint at {description.settings.clock.at(ticks)} was removed meanwhile"
        )
    spec = stored_spec(folder, load_checkpoint(checkpoint, {}).info)
    experiment = Experiment.of(description.settings, spec, description.seed, description.data)
    experiment = as_it_lay(experiment, facts)
    return read_checkpoint(folder, experiment, checkpoint)


def check_same_spaces(spec: EnvironmentSpec, start: Found) -> None:
    """Refuse an environment whose observations or actions are no longer those of the run.

    Raises:
        RunFolderError: they are not; the message names what differs.
    """
    now, then = spec_to_data(spec), start.metadata.environment
    for name in ("observation_space", "num_actions", "first_action", "masks_from"):
        if now[name] != then[name]:
            raise RunFolderError(
                f"{spec.env_id} is another environment now than in the run: its {name} was "
                f"{shown(then[name])} and is {shown(now[name])}"
            )


def begin(folder: RunFolder, experiment: Experiment, source: Restorable) -> TrainState:
    """The state in which a run began; its own file has the weights if they were given, and each of
    its checkpoints the data set, and what a run that does not act normalises by.

    Args:
        folder: the run.
        experiment: its experiment.
        source: what gives its steps, as it is made; gets the statistics of the data.

    Raises:
        RunFolderError: it learns from a data set, and has no checkpoint yet.
    """
    state = init_train_state(experiment, initial_params(folder, experiment))
    if experiment.data is None:
        return state
    held = _newest(folder, experiment)
    if experiment.demonstrations is None:
        assert held.state.replay is not None, "a run that does not act has a buffer"
        # They are of the whole data set from the beginning on, and never change.
        source.restore_statistics(*held.statistics)
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


def stepping_again(folder: RunFolder, experiment: Experiment, cost: Cost) -> Stepping:
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
            first, last = cost.first_tick, cost.verified_tick
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


def restore_sources(folder: RunFolder, stepping: Stepping, start: Found) -> None:
    """Bring the environments to their states at the checkpoint, in the order of a resumed run."""
    source = stepping.source
    stepping.stand_at(start.loaded.path)
    if isinstance(source, HasFreeActors):
        assert start.actors is not None, "a run whose actors run freely saves their state"
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
