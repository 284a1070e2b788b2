"""Weights & Biases. Without an API key, or with WANDB_MODE=offline, it writes to the disk only."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import wandb  # pyright: ignore[reportMissingImports]

from frankrl.trackers.protocol import FILM, TrackedRun, Tracker

X_AXIS = "env_steps"
"""The column that charts have as their x axis: W&B's own steps can only grow by one row."""
_PROJECT = "WANDB_PROJECT"


class WeightsAndBiases(Tracker):
    """Logs to a run of W&B, which a resume continues by its id."""

    def __init__(self, run: TrackedRun) -> None:
        before = run.kept.get("id")
        self._run = wandb.init(
            project=None if os.environ.get(_PROJECT) else run.project,
            name=run.name,
            id=before,
            resume="allow" if before else None,
            config=dict(run.settings),
            allow_val_change=True,
            mode=_mode(),
            # Leaves a run alone that the caller may have begun.
            reinit="create_new",
            # The terminal is the training's own.
            settings=wandb.Settings(console="off", silent=True),
        )
        self.kept = {"id": self._run.id}
        self._run.define_metric(X_AXIS, hidden=True)
        self._run.define_metric("*", step_metric=X_AXIS)

    def log(self, env_steps: int, values: Mapping[str, float]) -> None:
        """See `Tracker.log`."""
        self._run.log({X_AXIS: env_steps, **values})

    def film(self, env_steps: int, file: Path) -> None:
        """See `Tracker.film`."""
        video = wandb.Video(str(file), format="gif" if file.suffix == ".gif" else "mp4")
        self._run.log({X_AXIS: env_steps, FILM: video})

    def close(self) -> None:
        """See `Tracker.close`."""
        self._run.finish()


def open_tracker(run: TrackedRun) -> WeightsAndBiases:
    """W&B for a run; the project is WANDB_PROJECT, or the environment's name."""
    return WeightsAndBiases(run)


def _mode() -> Literal["offline"] | None:
    """W&B's own choice if the user made one or is logged in, else offline: it would ask a person
    at the terminal otherwise."""
    if os.environ.get("WANDB_MODE") or wandb.login(prompt=False):
        return None
    return "offline"
