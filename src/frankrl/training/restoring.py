"""Lets a run go on from a checkpoint: its environments, its buffer, and what is not exact."""

from frankrl.core.figures import counted
from frankrl.experience import HasFreeActors, Restorable
from frankrl.replay import cut_short
from frankrl.training.marks import Marks
from frankrl.training.resuming import Found
from frankrl.training.state import TrainState
from frankrl.training.surroundings import Surroundings


def restored(
    found: Found, source: Restorable, surroundings: Surroundings, marks: Marks
) -> TrainState:
    """The state of a checkpoint.

    Args:
        found: the checkpoint.
        source: the run's; goes back to where it stood there.
        surroundings: in which the run goes on.
        marks: get what the checkpoint holds of them, and what is not bit-exact from here on.
    """
    metadata, state, settings = found.metadata, found.state, found.experiment.settings
    reasons = surroundings.differ_from(metadata)
    if isinstance(source, HasFreeActors):
        assert found.actors is not None, "a run whose actors run freely saves their state"
        source.stand_at(found.actors, found.experiment.updates_due)
    different = source.restore(found.logs)
    source.restore_statistics(*found.statistics, different)
    source.restore_memory(found.memory, different)
    if different:
        # The buffer has no running episode of an actor that runs freely.
        cut = [] if found.actors is not None else different
        assert state.replay is not None, "environments on the device replay nothing"
        replay = cut_short(found.experiment.replay, state.replay, cut)
        state = state._replace(replay=replay)
        which = ", ".join(map(str, different))
        reasons.append(f"environment {which} did not replay to the same bits")
    if not metadata.holds_replay and metadata.env_steps:
        again = counted(settings.training.learning_starts_env_steps, "env step")
        reasons.append(
            "its checkpoint holds no replay buffer (checkpoint_replay none, or pulled without "
            f"it): it begins with an empty one and collects {again} before it updates again"
        )
    marks.not_reproducible = metadata.not_reproducible
    marks.restarts = metadata.environment_restarts
    source.allow_restarts(max(0, settings.environment.restart_failed_envs - len(marks.restarts)))
    for reason in reasons:
        marks.mark(state.ticks, reason)
    return state
