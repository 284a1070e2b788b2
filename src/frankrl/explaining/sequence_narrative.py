"""What the document of an update says of sequences and of memory, beyond the notes."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from frankrl.core.figures import counted
from frankrl.environments import EnvironmentSpec
from frankrl.explaining.document import Block, Cell, Formula, Line, Section, Table
from frankrl.explaining.memory_record import SequencesRecord
from frankrl.explaining.opened_update import OpenedUpdate
from frankrl.explaining.origin import Origin, TransitionInData
from frankrl.explaining.record import UpdateRecord


def place_in_batch(record: OpenedUpdate, index: int) -> str:
    """Which transition of the batch it is."""
    size, sequences = len(record.losses), record.sequences
    if sequences is None:
        return f"transition {index} of {size}"
    step, count = sequences.step[index], len(sequences.is_shown)
    return (
        f"learned step {step} of sequence {sequences.sequence[index]}; the batch has "
        f"{counted(count, 'sequence')} with {counted(size, 'learned step')} in all"
    )


def memory_at_s(record: OpenedUpdate, index: int) -> list[Block]:
    """How the network's memory came to s; nothing without memory."""
    sequences = record.sequences
    if sequences is None:
        return []
    sequence, step = sequences.sequence[index], int(sequences.step[index])
    burn_in = int(sequences.num_burn_in[sequence])
    back, stored = burn_in + step, _norm(sequences.stored_memory[sequence])
    before = f", {counted(back, 'step')} before s" if back else ""
    blocks: list[Block] = [
        Formula((f"the memory h begins as it was in acting{before}: ‖h‖ = ", stored))
    ]
    if not stored:
        # Those of a data set do so within an episode, too.
        start = ", at the episode's start" if burn_in < sequences.burn_in_steps else ""
        blocks = [Line(f"the memory h begins with zeros{start}{before}")]
    if burn_in:
        blocks.append(
            Line(
                f"burn-in: through {counted(burn_in, 'step')} the weights of now compute it again, "
                "and nothing is learned"
            )
        )
    if step:
        blocks.append(Line(f"then through the {counted(step, 'learned step')} before s"))
    units = sequences.memory.shape[-1]
    after = memory_norm(sequences, index)
    of = f", of {counted(units, 'number')} between -1 and 1"
    what = "Q" if isinstance(record, UpdateRecord) else "the policy"
    return [*blocks, Formula((f"with s, from which {what} follows: ‖h‖ = ", after, of))]


def memory_at_arrival(record: UpdateRecord, index: int, network_name: str) -> list[Block]:
    """The target network's memory at s′; nothing without memory."""
    sequences = record.sequences
    if sequences is None or sequences.target_memory is None:
        return []
    place = sequences.sequence[index], sequences.arrival[index]
    own, other = _norm(sequences.target_memory[place]), _norm(sequences.memory[place])
    return [
        Formula(
            (
                "it has a memory h⁻ of its own, from the same beginning through the same steps to "
                "s′: ‖h⁻‖ = ",
                *(own, f"; that of the {network_name}: ‖h‖ = ", other),
            )
        )
    ]


def through_time(record: OpenedUpdate) -> list[Block]:
    """How far the gradient flows back; nothing without memory."""
    if record.sequences is None:
        return []
    return [Line("the gradient flows back through the learned steps, and stops at the burn-in")]


def sequence_section(record: UpdateRecord, index: int, spec: EnvironmentSpec) -> Section:
    """The sequence of a transition, step by step."""
    sequences = record.sequences
    assert sequences is not None
    sequence = int(sequences.sequence[index])
    rows, stored = sequences.rows_of(sequence), _norm(sequences.stored_memory[sequence])
    blocks: list[Block] = [Formula(("‖h‖ before the first of these steps: ", stored))]
    if burn_in := _burn_in_rows(sequences, sequence):
        header = ("burn-in step", "‖h‖", "‖h⁻‖ of the target network")
        blocks.append(Table("Burn-in: only the memory is computed", header, burn_in))
    header = ("learned step", "‖h‖", "action", "r", "Q(s, a)", "y", "TD error", "loss share")
    steps = tuple(_step_row(record, int(row), spec) for row in rows)
    marked = int(np.flatnonzero(rows == index)[0])
    blocks.append(Table("The learned steps", header, steps, marked, "followed"))
    if len(rows) < sequences.learned_steps:
        blocks.append(Line("the episode ends after the last of them"))
    return Section(f"8. Sequence {sequence}, step by step", tuple(blocks))


def batch_section(
    record: UpdateRecord, origins: Sequence[Origin | TransitionInData], index: int
) -> Section:
    """The batch, sequence by sequence."""
    sequences = record.sequences
    assert sequences is not None
    count = len(sequences.is_shown)
    header = (
        *("sequence", "environment", "episode", "first step", "env steps ago", "burn-in"),
        *("learned steps", "mean |TD error|", "largest |TD error|"),
        *_columns(record),
        "loss share",
    )
    rows = tuple(_sequence_row(record, origins, sequence) for sequence in range(count))
    table = Table(
        "All sequences of the batch, in the order in which they were sampled",
        header,
        rows,
        int(sequences.sequence[index]),
        "followed",
    )
    return Section("The whole batch", (table,), too_wide_for_terminals=True)


def _burn_in_rows(sequences: SequencesRecord, sequence: int) -> tuple[tuple[Cell, ...], ...]:
    count, target_memory = sequences.burn_in_steps, sequences.target_memory
    assert target_memory is not None, "an update with targets has a target network"
    return tuple(
        (
            at - count,
            _norm(sequences.memory[sequence, at]),
            _norm(target_memory[sequence, at]),
        )
        for at in range(count)
        if sequences.is_shown[sequence, at]
    )


def _step_row(record: UpdateRecord, row: int, spec: EnvironmentSpec) -> tuple[Cell, ...]:
    sequences = record.sequences
    assert sequences is not None
    return (
        int(sequences.step[row]),
        memory_norm(sequences, row),
        spec.action_names[record.batch.action[row]],
        record.batch.reward[row].item(),
        record.chosen_q[row].item(),
        record.targets[row].item(),
        record.td_errors[row].item(),
        f"{record.loss_shares[row]:.1%}",
    )


def _sequence_row(
    record: UpdateRecord, origins: Sequence[Origin | TransitionInData], sequence: int
) -> tuple[Cell, ...]:
    sequences = record.sequences
    assert sequences is not None
    rows = sequences.rows_of(sequence)
    origin, errors = origins[rows[0]], np.abs(record.td_errors[rows])
    where, ago = "data set", "–"
    if isinstance(origin, Origin):
        where, ago = origin.env_index, record.env_steps - origin.env_step
    return (
        sequence,
        where,
        origin.episode,
        origin.step,
        ago,
        int(sequences.num_burn_in[sequence]),
        len(rows),
        errors.mean().item(),
        errors.max().item(),
        *(column[sequence].item() for column in _columns(record).values()),
        f"{record.loss_shares[rows].sum():.1%}",
    )


def _columns(record: UpdateRecord) -> dict[str, Float[np.ndarray, " sequence"]]:
    """Probability, weight and new priority of each sequence; empty if sampling was uniform."""
    sequences = record.sequences
    assert sequences is not None
    first = np.unique(sequences.sequence, return_index=True)[1]
    columns = {
        "probability": None if record.probabilities is None else record.probabilities[first],
        "weight": None if record.weights is None else record.weights[first],
        "error for its priority": sequences.priorities,
    }
    return {name: column for name, column in columns.items() if column is not None}


def memory_norm(sequences: SequencesRecord, row: int) -> float:
    """‖h‖ with the observation of a learned step, of which a row of the batch says the rest."""
    return _norm(sequences.memory[sequences.sequence[row], sequences.position[row]])


def _norm(memory: Float[np.ndarray, " unit"]) -> float:
    return float(np.linalg.norm(memory))
