"""Which environment took an env step of a run, and which of its own steps that was."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from frankrl.config import Settings
from frankrl.core.errors import RunFolderError
from frankrl.runs.metrics import MetricsReader


class StepTakers(NamedTuple):
    """Who took each env step of a run.

    Environments take turns. Of actors that run freely each chunk has its place by the order in
    which it arrived, and within the chunk the actor's environments take turns.
    """

    num_envs: int
    """Of the run."""
    turns: int
    """Environments that take turns: all, or those of one actor."""
    chunk_env_steps: int
    actors: Int[np.ndarray, " arrival"]
    """Of each chunk, in the order of their arrival; empty if all environments take turns."""
    chunks: Int[np.ndarray, " arrival"]
    """Number of each chunk among those of its actor."""

    @classmethod
    def of(cls, settings: Settings, reader: MetricsReader) -> "StepTakers":
        """Those of a run.

        Args:
            settings: the run's settings.
            reader: its metrics.

        Raises:
            RunFolderError: the metrics do not say what arrived.
        """
        sizes = (settings.environment.num_envs, settings.round_envs, settings.round_ticks)
        empty = np.zeros(0, np.int64)
        if settings.environment.asynchronous_actors is None:
            return cls(*sizes, empty, empty)
        found = reader.columns("arrivals")
        expected = settings.round_ticks * np.arange(1, len(found["env_steps"]) + 1)
        if not np.array_equal(found["env_steps"], expected):
            raise RunFolderError("the metrics lack rows of arrivals: they do not say who took what")
        return cls(*sizes, found["actor"].astype(np.int64), found["chunk"].astype(np.int64))

    def of_steps(
        self, env_steps: Int[np.ndarray, " step"]
    ) -> tuple[Int[np.ndarray, " step"], Int[np.ndarray, " step"]]:
        """The index of the environment, and the number of its own step, from 0.

        Args:
            env_steps: from 0.
        """
        place, turn = env_steps % self.turns, env_steps // self.turns
        if self.turns == self.num_envs and not len(self.actors):
            return place, turn
        arrival = env_steps // self.chunk_env_steps
        length = self.chunk_env_steps // self.turns
        own_step = self.chunks[arrival] * length + turn % length
        return self.actors[arrival] * self.turns + place, own_step
