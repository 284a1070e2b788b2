"""The table of the whole batch of an update of Q-learning."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from frankrl.environments import EnvironmentSpec
from frankrl.explaining.document import Cell, Section, Table
from frankrl.explaining.origin import Origin, TransitionInData
from frankrl.explaining.record import UpdateRecord
from frankrl.explaining.transition_narrative import sampling_columns


def whole_batch(
    record: UpdateRecord,
    origins: Sequence[Origin | TransitionInData],
    index: int,
    spec: EnvironmentSpec,
) -> Section:
    """All transitions of the batch, with what each adds to the loss."""
    header = (
        *("transition", "environment", "episode", "step", "env steps ago", "action", "choice"),
        *("r", "terminated", "Q(s, a)", "y", "TD error"),
        *_conservative_column(record),
        *sampling_columns(record),
        "loss share",
    )
    rows = tuple(_batch_row(record, number, origin, spec) for number, origin in enumerate(origins))
    table = Table(
        "All transitions of the batch, in the order in which they were sampled",
        header,
        rows,
        index,
        "followed",
    )
    return Section("The whole batch", (table,), too_wide_for_terminals=True)


def _batch_row(
    record: UpdateRecord, number: int, origin: Origin | TransitionInData, spec: EnvironmentSpec
) -> tuple[Cell, ...]:
    batch = record.batch
    where, ago, choice = "data set", "–", "recorded"
    if isinstance(origin, Origin):
        where, ago = origin.env_index, record.env_steps - origin.env_step
        choice = "explored" if origin.explored else "greedy"
    return (
        number,
        where,
        origin.episode,
        origin.step,
        ago,
        spec.action_names[batch.action[number]],
        choice,
        batch.reward[number].item(),
        "yes" if record.terminated[number] else "no",
        record.chosen_q[number].item(),
        record.targets[number].item(),
        record.td_errors[number].item(),
        *(column[number].item() for column in _conservative_column(record).values()),
        *(column[number].item() for column in sampling_columns(record).values()),
        f"{record.loss_shares[number]:.1%}",
    )


def _conservative_column(record: UpdateRecord) -> dict[str, Float[np.ndarray, " batch"]]:
    """What CQL adds to the loss of each transition; empty without it."""
    losses = record.conservative_losses
    return {} if losses is None else {"CQL's term": losses}
