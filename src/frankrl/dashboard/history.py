"""The metrics of a run, read incrementally: each row once."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from frankrl.core.errors import RunFolderError
from frankrl.listing.run_index import Stamp, stamp_of
from frankrl.runs.metrics import MetricsReader

Columns = Mapping[str, Float[np.ndarray, " row"]]
TD_ERRORS = (
    "td_error_min",
    "td_error_p05",
    "td_error_p25",
    "td_error_p50",
    "td_error_p75",
    "td_error_p95",
    "td_error_max",
)
"""Columns with quantiles of the TD errors."""
NUMBERS = {
    "episodes": ("env_steps", "env_index", "episode_return", "length"),
    "training": (
        "env_steps",
        "updates",
        "epsilon",
        "loss",
        "mean_q",
        "mean_max_q",
        "mean_target",
        "mean_abs_td_error",
        "gradient_norm",
        "mean_return_100",
        "mean_length_100",
        *TD_ERRORS,
    ),
    "timing": ("env_steps", "seconds", "env_steps_per_second"),
}
"""The columns that the page needs, by table."""


class History:
    """The metrics of one run; a refresh reads only new rows."""

    def __init__(self, metrics: Path) -> None:
        self._path = metrics
        self._tables: dict[str, Columns] = {table: _empty(table) for table in NUMBERS}
        self.evaluations: dict[str, Columns] = {}
        """Env steps and mean returns, by purpose."""
        self.stamp: tuple[Stamp | None, ...] = ()
        """State of the files when they were read; it changes whenever rows do."""

    @property
    def episodes(self) -> Columns:
        """Rows of the table `episodes`."""
        return self._tables["episodes"]

    @property
    def training(self) -> Columns:
        """Rows of the table `training`; NaN where a statistic was not measured."""
        return self._tables["training"]

    @property
    def timing(self) -> Columns:
        """Rows of the table `timing`."""
        return self._tables["timing"]

    @property
    def env_steps(self) -> float:
        """How far the run has gone, by its rows."""
        steps = (table["env_steps"] for table in self._tables.values())
        return max((float(column[-1]) for column in steps if len(column)), default=0.0)

    def refresh(self) -> None:
        """Read new rows; read all rows if the run went back to a checkpoint or was restarted.

        Raises:
            RunFolderError: the metrics cannot be read.
        """
        stamp = (stamp_of(self._path), stamp_of(self._path.with_name(f"{self._path.name}-wal")))
        if stamp == self.stamp:
            return
        if stamp[0] is None:
            raise RunFolderError(f"{self._path.parent} holds no metrics yet")
        reader = MetricsReader(self._path)
        try:
            if not self._goes_on(reader):
                self._tables = {table: _empty(table) for table in NUMBERS}
            self._tables = {table: self._longer(reader, table) for table in NUMBERS}
            self.evaluations = _evaluations(reader)
        finally:
            reader.close()
        self.stamp = stamp

    def _goes_on(self, reader: MetricsReader) -> bool:
        """Whether the newest known row is still there; its clock time identifies it."""
        timing = self.timing
        if not len(timing["env_steps"]):
            return False
        row = reader.columns("timing", f"env_steps = {int(timing['env_steps'][-1])}")
        return len(row["seconds"]) > 0 and row["seconds"][0] == timing["seconds"][-1]

    def _longer(self, reader: MetricsReader, table: str) -> Columns:
        before = self._tables[table]
        steps = before["env_steps"]
        newest = int(steps[-1]) if len(steps) else -1
        new = reader.columns(table, f"env_steps > {newest}")
        if not len(new["env_steps"]):
            return before
        return {
            name: np.concatenate([before[name], new[name].astype(np.float64)])
            for name in NUMBERS[table]
        }


def _empty(table: str) -> Columns:
    return {name: np.zeros(0) for name in NUMBERS[table]}


def _evaluations(reader: MetricsReader) -> dict[str, Columns]:
    evaluations = {}
    for purpose in ("progress", "solved", "final"):
        rows = reader.columns("evaluations", f"purpose = '{purpose}'")
        evaluations[purpose] = {
            name: rows[name].astype(np.float64) for name in ("env_steps", "mean_return")
        }
    return evaluations
