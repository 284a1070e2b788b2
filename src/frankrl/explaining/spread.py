"""Percentiles of a return distribution."""

from frankrl.explaining.document import Table
from frankrl.explaining.record import UpdateRecord
from frankrl.networks import Head

PERCENTS = (10, 25, 50, 75, 90)


def spread_table(record: UpdateRecord, index: int, head: Head) -> Table | None:
    """Percentiles of the predicted return distribution of a transition, and of its target.

    Args:
        record: the update.
        index: position of the transition in the batch.
        head: how the network's outputs describe the return.

    Returns:
        A table; None if the head predicts only the mean.
    """
    if record.chosen_outputs is None or record.target_outputs is None:
        return None
    rows = []
    for label, outputs, mean in (
        ("predicted", record.chosen_outputs, record.chosen_q),
        ("target", record.target_outputs, record.targets),
    ):
        values = head.percentiles(outputs[index], PERCENTS)
        rows.append((label, *values.tolist(), mean[index].item()))
    header = ("the return", *(f"{percent} %" for percent in PERCENTS), "mean")
    return Table("Distribution of the return", header, tuple(rows))
