"""MLflow: the tracking server or database that MLFLOW_TRACKING_URI names, by default mlflow.db."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from mlflow.entities import Metric, Param  # pyright: ignore[reportMissingImports]
from mlflow.tracking import MlflowClient  # pyright: ignore[reportMissingImports]

from frankrl.trackers.protocol import FILM, TrackedRun, Tracker
from frankrl.trackers.texts import plain

_EXPERIMENT = "MLFLOW_EXPERIMENT_NAME"
_MAX_VALUE = 500
"""Characters of a parameter that every store takes."""
_EVERY_SECONDS = 10.0
"""Rows are sent together: one alone takes a database about 10 ms of CPU time, one among many about
2 ms."""
_MAX_SENT = 1_000
"""Numbers that one call takes."""


class MLflow(Tracker):
    """Logs to a run of MLflow, which a resume continues by its id.

    The client, unlike `mlflow.log_metric`, leaves alone a run that the caller may have begun.
    """

    def __init__(self, run: TrackedRun) -> None:
        self._client = MlflowClient()
        self._id = run.kept.get("run_id") or self._begun(run)
        self._client.update_run(self._id, status="RUNNING")
        self.kept = {"run_id": self._id}
        self._unsent: list[Metric] = []
        self._sent_at = time.monotonic()

    def logged(self) -> Mapping[str, int]:
        """See `Tracker.logged`."""
        names = self._client.get_run(self._id).data.metrics
        histories = {name: self._client.get_metric_history(self._id, name) for name in names}
        return {name: max(row.step for row in rows) for name, rows in histories.items()}

    def log(self, env_steps: int, values: Mapping[str, float]) -> None:
        """See `Tracker.log`."""
        now = int(time.time() * 1_000)
        self._unsent += [Metric(name, value, now, env_steps) for name, value in values.items()]
        if time.monotonic() - self._sent_at >= _EVERY_SECONDS:
            self._send()

    def film(self, env_steps: int, file: Path) -> None:
        """See `Tracker.film`."""
        self._client.log_artifact(self._id, str(file), FILM)

    def close(self) -> None:
        """See `Tracker.close`."""
        self._send()
        self._client.set_terminated(self._id)

    def _send(self) -> None:
        """Send what waits; what fails is sent again, which a store takes for the same number."""
        self._sent_at = time.monotonic()
        while self._unsent:
            self._client.log_batch(self._id, metrics=self._unsent[:_MAX_SENT])
            del self._unsent[:_MAX_SENT]

    def _begun(self, run: TrackedRun) -> str:
        """The id of a new run, which has the settings as its parameters."""
        name = os.environ.get(_EXPERIMENT) or run.project
        found = self._client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self._client.create_experiment(name)
        run_id = self._client.create_run(experiment, run_name=run.name).info.run_id
        settings = plain(run.settings)
        rows = [Param(name, str(value)[:_MAX_VALUE]) for name, value in settings.items()]
        self._client.log_batch(run_id, params=rows)
        return run_id


def open_tracker(run: TrackedRun) -> MLflow:
    """MLflow for a run; the experiment is MLFLOW_EXPERIMENT_NAME, or the environment's name."""
    return MLflow(run)
