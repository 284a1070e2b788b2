"""How a return is distributed, by a few of its percentiles."""

import numpy as np
from jaxtyping import Float

from frankrl.config import NetworkSettings
from frankrl.explaining.document import Table
from frankrl.explaining.record import UpdateRecord

PERCENTS = (10, 25, 50, 75, 90)


def spread_table(record: UpdateRecord, index: int, settings: NetworkSettings) -> Table | None:
    """What the Q-network says of a transition's return, and what it should have said.

    Args:
        record: of the update.
        transition: its place in the batch.
        settings: which returns C51's atoms stand for.

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
        values = percentiles(outputs[index], settings)
        rows.append((label, *values.tolist(), mean[index].item()))
    header = ("the return", *(f"{percent} %" for percent in PERCENTS), "mean")
    return Table("How the return is distributed", header, tuple(rows))


def percentiles(
    outputs: Float[np.ndarray, " atom"], settings: NetworkSettings
) -> Float[np.ndarray, " percent"]:
    """Percentiles of one distribution, as the head gives it."""
    if settings.distribution != "c51":
        return np.percentile(outputs, PERCENTS, method="inverted_cdf")
    support = np.linspace(settings.value_min, settings.value_max, settings.num_atoms)
    reached = np.searchsorted(np.cumsum(outputs, dtype=np.float64), np.array(PERCENTS) / 100)
    return support[np.minimum(reached, settings.num_atoms - 1)]
