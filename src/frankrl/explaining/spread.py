"""How a return is distributed, by a few of its percentiles."""

from frankrl.explaining.document import Table
from frankrl.explaining.record import UpdateRecord
from frankrl.networks import Head

PERCENTS = (10, 25, 50, 75, 90)


def spread_table(record: UpdateRecord, index: int, head: Head) -> Table | None:
    """What the Q-network says of a transition's return, and what it should have said.

    Args:
        record: of the update.
        index: which transition of its batch.
        head: what the network's outputs mean.

    Returns:
        A table of percentiles; none where the network says nothing but the mean.
    """
    if record.chosen_outputs is None or record.target_outputs is None:
        return None
    rows = []
    for label, outputs, mean in (
        ("what it says", record.chosen_outputs, record.chosen_q),
        ("what it should say", record.target_outputs, record.targets),
    ):
        values = head.percentiles(outputs[index], PERCENTS)
        rows.append((label, *values.tolist(), mean[index].item()))
    header = ("the return", *(f"{percent} %" for percent in PERCENTS), "mean")
    return Table("How the return is distributed", header, tuple(rows))
