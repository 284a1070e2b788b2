"""Holds repeated rounds against what the run has recorded."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from frankrl.core.errors import RunFolderError
from frankrl.runs import MetricsReader, RunFolder, StepTakers, list_checkpoints
from frankrl.training import Experiment, Round, TrainState
from frankrl.training.journal import Journal
from frankrl.training.resuming import Found, read_checkpoint, read_learner

_TABLES = ("episodes", "training", "digests")
"""Tables of the metrics that a repeated run must come to again."""


class Verification:
    """Compares a repeated stretch of a run with the run itself, all along the way.

    The repetition keeps the same journal as the run. Every episode must end as the run's did. At
    every row of metrics, the fingerprint of all that each environment has shown and done since
    the run began must be the same, and so must the metrics of the updates.
    """

    def __init__(
        self, folder: RunFolder, experiment: Experiment, start: Found | None, changes: Sequence[str]
    ) -> None:
        """Read what the run has recorded.

        Args:
            folder: the run.
            experiment: the run's experiment.
            start: the checkpoint from which the run is repeated; None: from the beginning.
            changes: what differs from the run's versions and machine, which can change the last
                bits of the updates; then only the environments are compared.
        """
        self._folder, self._experiment, self._changes = folder, experiment, changes
        self._verified = self._ticks = start.metadata.env_steps if start else 0
        self._updates = start.metadata.updates if start else 0
        self._journal = Journal(experiment.settings)
        if start:
            episodes = start.metadata.episodes
            self._journal.stand_at(folder, self._verified, episodes, start.interval)
        reader = MetricsReader(folder.metrics)
        try:
            self._recorded = {
                table: reader.rows(table, f"env_steps > {self._verified}") for table in _TABLES
            }
        finally:
            reader.close()

    def check(self, result: Round, digests: Sequence[bytes]) -> None:
        """Compare a round with the run.

        Args:
            result: the round; the buffers of its state must not be donated yet.
            digests: fingerprint of each environment after it (`Source.digests`).

        Raises:
            RunFolderError: the run did something else.
        """
        self._journal.take(result, self._updates)
        if result.ticks in self._recorded["training"]:
            self._journal.log(result.ticks, result.updates, 0.0, digests)
        found: dict[str, dict[int, tuple]] = {table: {} for table in _TABLES}
        for table, values in self._journal.taken_rows():
            if table in found:
                found[table][values[0]] = tuple(values)
        self._compare_episodes(result, found["episodes"])
        if result.ticks in self._recorded["training"]:
            self._compare_digests(result, found["digests"])
            if not self._changes and found["training"] != self._between("training", result):
                raise self._learner_error(result.state(), "the metrics of its updates differ")
            self._verified = result.ticks
        self._updates, self._ticks = result.updates, result.ticks

    def next_row(self, ticks: int) -> int:
        """The tick of the next row of metrics of the run; 2⁶³ - 1 after the last one."""
        later = (step for step in self._recorded["training"] if step > ticks)
        return min(later, default=sys.maxsize)

    def check_checkpoint(
        self, state: TrainState, digests: Sequence[bytes], checkpoint: Path
    ) -> None:
        """Compare the state after a round with the run's checkpoint there.

        Raises:
            RunFolderError: the run came to another state.
        """
        theirs, logs = read_learner(self._folder, self._experiment, checkpoint)
        for index, (digest, log) in enumerate(zip(digests, logs, strict=True)):
            if digest != log.digest:
                raise self._environment_error(state, index)
        same = all(
            np.array_equal(one, other)
            for one, other in zip(
                jax.tree.leaves(state.learner), jax.tree.leaves(theirs), strict=True
            )
        )
        if not same and not self._changes:
            raise self._learner_error(state, "the weights differ")

    def _between(self, table: str, result: Round) -> dict[int, tuple]:
        """The run's rows for the env steps of a round."""
        steps = range(self._ticks + 1, result.ticks + 1)
        rows = self._recorded[table]
        return {step: rows[step] for step in steps if step in rows}

    def _compare_episodes(self, result: Round, found: Mapping[int, tuple]) -> None:
        recorded = self._between("episodes", result)
        steps = sorted({*found, *recorded})
        different = [step for step in steps if found.get(step) != recorded.get(step)]
        if different:
            step = different[0]
            _, index, *_ = found.get(step) or recorded[step]
            raise self._environment_error(result.state(), index)

    def _compare_digests(self, result: Round, found: Mapping[int, tuple]) -> None:
        recorded = self._between("digests", result)
        if found == recorded:
            return
        ours, theirs = (
            str(rows[result.ticks][1]).split() if rows else [] for rows in (found, recorded)
        )
        pairs = enumerate(zip(ours, theirs, strict=False))
        index = next((index for index, (one, other) in pairs if one != other), 0)
        raise self._environment_error(result.state(), index)

    def _environment_error(self, state: TrainState, index: int) -> RunFolderError:
        """The error that an environment did something else than in the run."""
        step = self._first_difference(state)
        if step is None:
            between = f"between the env steps {self._verified:,} and {state.ticks:,}"
        else:
            index = self._taker(step)
            between = f"at env step {step:,}"
        env_id = self._experiment.spec.env_id
        why = f"an environment must depend on its seed and the actions only ({env_id})"
        if self._changes:
            why = f"the run was made elsewhere: {'; '.join(self._changes)}"
        return self._error(state, f"environment {index} does something else {between}", why)

    def _taker(self, step: int) -> int:
        """The environment that took an env step."""
        reader = MetricsReader(self._folder.metrics)
        try:
            takers = StepTakers.of(self._experiment.settings, reader)
        finally:
            reader.close()
        env_index, _ = takers.of_steps(np.array([step]))
        return int(env_index[0])

    def _learner_error(self, state: TrainState, what: str) -> RunFolderError:
        """The error that the learner came to something else than in the run."""
        why = "the same versions on the same machine should have come to the same bits"
        return self._error(state, what, why)

    def _error(self, state: TrainState, what: str, why: str) -> RunFolderError:
        due = self._experiment.updates_due(self._verified)
        return RunFolderError(
            f"{self._folder.path} does not repeat: {what} when the run is repeated up to "
            f"{self._experiment.settings.clock.at(state.ticks)}, so no update after "
            f"{due:,} can be opened from here; {why}"
        )

    def _first_difference(self, state: TrainState) -> int | None:
        """The first env step that differs from the run, by the rows of its next checkpoint."""
        if state.replay is None:
            return None
        saved = self._checkpoint_from(state.ticks)
        if saved is None:
            return None
        ours, theirs = state, saved.state
        replay = self._experiment.replay
        rows = replay.num_rows
        # The current observations lie where those of the oldest steps have lain.
        held = max(theirs.ticks, ours.ticks) - rows + replay.num_envs
        oldest = max(self._verified, held, saved.metadata.replay_start.env_steps)
        steps = np.arange(oldest, ours.ticks)
        differ = np.zeros(len(steps), np.bool_)
        for one, other in zip(_by_row(ours), _by_row(theirs), strict=True):
            pair = (np.asarray(leaf)[steps % rows].reshape(len(steps), -1) for leaf in (one, other))
            differ |= (np.not_equal(*pair)).any(axis=1)
        return int(steps[differ][0]) if differ.any() else None

    def _checkpoint_from(self, env_steps: int) -> Found | None:
        """The first intact checkpoint with a buffer at or after an env step."""
        for checkpoint in list_checkpoints(self._folder.checkpoints):
            if int(checkpoint.name) >= env_steps:
                try:
                    found = read_checkpoint(self._folder, self._experiment, checkpoint)
                except RunFolderError:
                    continue
                if found.metadata.holds_replay:
                    return found
        return None


def _by_row(state: TrainState) -> list[Any]:
    """The parts of a buffer that have an entry for each step, in its row."""
    stored = state.replay
    assert stored is not None, "PQN has no replay buffer"
    return jax.tree.leaves((stored.observation, stored.action, stored.reward, stored.terminated))
