"""Recompute an update: load the nearest checkpoint before it and repeat the rounds since."""

import contextlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from frankrl.core.absent import is_absent
from frankrl.core.backend import prepared, start_backend
from frankrl.core.errors import warn
from frankrl.core.numerics import own_numerics
from frankrl.core.text import shown
from frankrl.core.types import Params
from frankrl.environments import EnvironmentSpec, describe_for
from frankrl.explaining.cloning_record import CloningRecord
from frankrl.explaining.cost import Cost, checkpoint_at, cost_of
from frankrl.explaining.opened_round import copied, opened_in_round
from frankrl.explaining.record import UpdateRecord
from frankrl.explaining.repeated_run import (
    begin,
    check_same_spaces,
    read_start,
    restore_sources,
    stepping_again,
)
from frankrl.explaining.verification import Verification
from frankrl.networks import QNetwork
from frankrl.runs import (
    LEARNING,
    RunFolder,
    all_versions,
    check_code,
    check_settings_code,
    differences,
)
from frankrl.training import Experiment, TrainState
from frankrl.training.memory import check_copy
from frankrl.training.replay_place import as_it_lay, machine_facts_of
from frankrl.training.resuming import newest_spec


class Reopened(NamedTuple):
    """A recomputed update."""

    record: UpdateRecord | CloningRecord
    params: Params
    """θ before the update, with the update's noise; as it evaluated s."""
    state: TrainState
    """The run's state at `cost.verified_tick`."""
    cost: Cost
    spec: EnvironmentSpec
    network: QNetwork
    data_rows: int
    """How many transitions, or sequences, the last ones of the batch, are of the data set."""
    data_endings: Int[np.ndarray, " episode"] | None
    """The step of the data set, from 0, with which each of its episodes ends; None: the run learns
    from none."""


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
        on_progress: called with the ticks of the run's clock done, and those to do.
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
        start = read_start(folder, cost.first_tick, cost.surroundings)
        check_code(folder, LEARNING)
        if is_absent(description.env_id):
            spec = newest_spec(folder)
        else:
            spec = describe_for(description.env_id, settings)
    experiment = as_it_lay(
        Experiment.of(settings, spec, description.seed, description.data), cost.surroundings
    )
    changes = differences(cost.surroundings, all_versions(settings) | machine_facts_of(experiment))
    for change in changes:
        warn(f"the update may differ in its last bits from the run, because {shown(change)}")
    if start:
        check_same_spaces(spec, start)
        experiment = experiment.with_replay_start(start.metadata.replay_start)
    stepping = stepping_again(folder, experiment, cost)
    with contextlib.closing(stepping.source) as source:
        if start:
            restore_sources(folder, stepping, start)
        verification = Verification(folder, experiment, start, changes)
        state = start.state if start else begin(folder, experiment, source)
        check_copy(state, len(cost.lanes))
        last_begins = cost.last_tick - settings.round_ticks
        # A round donates the buffer; copying it in every round would take too long.
        before = copied(state) if state.ticks == last_begins else None
        opened = None
        stops = _stops(verification, cost, last_begins)
        results = stepping.rounds(experiment, state, stops)
        while state.ticks < cost.verified_tick:
            result = next(results)
            verification.check(result, source.digests())
            state = result.state()
            on_progress(state.ticks - cost.first_tick, cost.ticks)
            if state.ticks == last_begins:
                before = copied(state)
            elif state.ticks == cost.last_tick:
                assert before is not None
                opened = opened_in_round(experiment, before, result, update, len(cost.lanes))
        if checkpoint := checkpoint_at(folder, cost.verified_tick):
            verification.check_checkpoint(state, source.digests(), checkpoint)
    assert opened is not None
    record, params = opened
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
    """Gives the next tick at which rounds on the device must stop: where the run has recorded
    something, and around the round of the update."""
    own = (last_begins, cost.last_tick, cost.verified_tick)

    def next_stop(ticks: int) -> int:
        return min(at for at in (*own, verification.next_row(ticks)) if at > ticks)

    return next_stop
