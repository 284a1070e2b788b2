"""Percentiles of a return distribution."""

import numpy as np
from jaxtyping import Float

from frankrl.config import NetworkSettings
from frankrl.explaining.document import Table
from frankrl.explaining.record import UpdateRecord

PERCENTS = (10, 25, 50, 75, 90)


def spread_table(record: UpdateRecord, index: int, settings: NetworkSettings) -> Table | None:
    """Percentiles of the predicted return distribution of a transition, and of its target.

    Args:
        record: the update.
        index: position of the transition in the batch.
        settings: they define the returns of C51's atoms.

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
        values = percentiles(outputs[index], settings)
        rows.append((label, *values.tolist(), mean[index].item()))
    header = ("the return", *(f"{percent} %" for percent in PERCENTS), "mean")
    return Table("Distribution of the return", header, tuple(rows))


def percentiles(
    outputs: Float[np.ndarray, " atom"], settings: NetworkSettings
) -> Float[np.ndarray, " percent"]:
    """Percentiles of one return distribution, given in the head's own form."""
    if settings.distribution != "c51":
        return np.percentile(outputs, PERCENTS, method="inverted_cdf")
    support = np.linspace(settings.value_min, settings.value_max, settings.num_atoms)
    reached = np.searchsorted(np.cumsum(outputs, dtype=np.float64), np.array(PERCENTS) / 100)
    return support[np.minimum(reached, settings.num_atoms - 1)]
