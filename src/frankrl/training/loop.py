"""The loop: rounds, and between them metrics, evaluations and checkpoints.

It is a generator of events, so whoever shows or drives a run stays outside.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Array, Float

from frankrl.config import Settings
from frankrl.environments import EnvironmentSpec, make_vector, start_staff
from frankrl.errors import DivergedError, SettingError, warn
from frankrl.evaluation import MOST_AT_ONCE, Evaluation, EvaluationStopped, Evaluator
from frankrl.randomness import Use
from frankrl.runs import (
    RunDescription,
    RunFolder,
    RunLock,
    check_same_environment,
    differences,
    load_newest,
    machine_facts,
    tidy_checkpoints,
    versions,
)
from frankrl.training.best import BestAgent
from frankrl.training.events import (
    Checkpointed,
    Evaluated,
    Event,
    Finished,
    Inexact,
    SavingFailed,
    Solved,
)
from frankrl.training.journal import Journal
from frankrl.training.round import Round, rounds
from frankrl.training.saver import Saver
from frankrl.training.saving import BEST_FILE, from_tensors, most_bytes, to_tensors
from frankrl.training.standing import Standing
from frankrl.training.state import HostNetwork, TrainState, init_train_state, initial_network


class Training:
    """One run in progress: begin or resume it, then iterate over its events."""

    def __init__(
        self, description: RunDescription, spec: EnvironmentSpec, started: float | None
    ) -> None:
        """Make everything that a run needs, before anything is written.

        Args:
            description: what the run is.
            spec: its environment.
            started: `time.perf_counter()` of when the run's clock began; none: now.
        """
        self.spec = spec
        self.settings = description.settings
        self.seed = description.seed
        self.folder: RunFolder
        self.env_steps = 0
        self.updates = 0
        self._started = time.perf_counter() if started is None else started
        self._clock_began = self._started
        self._startup_seconds: float | None = None
        self._staff = start_staff(
            self.settings.environment,
            spec,
            MOST_AT_ONCE,
            overlap=self.settings.training.overlap,
        )
        self._envs = make_vector(self.settings.environment, spec, self.seed, self._staff.training)
        self._evaluator = Evaluator(spec, self._staff.evaluation)
        self._network = HostNetwork(initial_network(self.settings, spec, self.seed))
        self._journal = Journal(self.settings)
        self._lock: RunLock | None = None
        self._saver: Saver
        self._versions, self._machine = versions(), machine_facts()
        self._inexact: tuple[Inexact, ...] = ()
        self._solved: Solved | None = None
        self._solving: Evaluation | None = None
        self._best = BestAgent(description, spec)
        self._evaluation_due = False
        """Whether the evaluation that belongs to this env step is still to be played."""
        self._stop_requested: Callable[[], bool] = lambda: False
        self._stand_at(init_train_state(self.settings, spec, self.seed))

    @classmethod
    def begin(
        cls,
        path: Path,
        description: RunDescription,
        spec: EnvironmentSpec,
        *,
        overwrite: bool = False,
        started: float | None = None,
    ) -> "Training":
        """Begin a run; its folder appears only once everything else has been made.

        Raises:
            RunFolderError: the folder cannot be made.
            EnvironmentFailedError: an environment does not even begin.
        """
        training = cls(description, spec, started)
        try:
            folder = RunFolder.create(path, description, overwrite=overwrite)
            training._write_into(folder, path)
            training._journal.open(folder)
        except BaseException:
            training.close()
            raise
        return training

    @classmethod
    def resume(
        cls,
        folder: RunFolder,
        settings: Settings,
        spec: EnvironmentSpec,
        *,
        started: float | None = None,
    ) -> "Training":
        """Take up a run at its newest checkpoint that is intact.

        Args:
            folder: the run's.
            settings: its own, but for what may change within a run.
            spec: its environment.
            started: as in `__init__`.

        Raises:
            RunFolderError: there is no usable checkpoint.
            SettingError: the run is beyond its budget already.
        """
        description = dataclasses.replace(folder.description, settings=settings)
        training = cls(description, spec, started)
        try:
            training._write_into(folder, folder.path)
            training._go_back(description)
        except BaseException:
            training.close()
            raise
        return training

    def _write_into(self, folder: RunFolder, shown: Path) -> None:
        """Become the folder's only writer."""
        self._lock = RunLock(folder.path, shown)
        self.folder = folder
        self._saver = Saver(folder, self.settings.saving.keep_checkpoints)

    def _go_back(self, description: RunDescription) -> None:
        """Stand where the newest checkpoint that is intact says; nothing is written before."""
        folder, like = self.folder, self.state()
        most = most_bytes(self.settings, like, description.settings.training.total_env_steps)
        loaded, damaged = load_newest(folder.checkpoints, most, optional=(BEST_FILE,))
        check_same_environment(folder, loaded.info)
        standing = Standing.from_info(loaded.info, self.settings)
        if self.settings.training.total_env_steps < standing.env_steps:
            raise SettingError(
                f"the run has already done {standing.env_steps:,} env steps: total_env_steps "
                f"cannot be {self.settings.training.total_env_steps:,}"
            )
        tensors, env_steps = loaded.tensors, standing.env_steps
        state, logs, interval = from_tensors(tensors, like, env_steps, standing.updates)
        self._best.take_up(standing.best, tensors.get(BEST_FILE))
        for error in damaged:
            warn(f"{error}; this checkpoint is set aside, the one before it is used")
        reasons = differences(standing.versions | standing.machine, self._versions | self._machine)
        different = self._envs.restore(logs)
        if different:
            # What such an environment had not yet stored cannot be completed.
            filled = np.array(state.window.filled)
            filled[:, different] = False
            state = state._replace(window=state.window._replace(filled=filled))
            which = ", ".join(map(str, different))
            reasons.append(f"environment {which} did not replay to the same bits")
        new = [Inexact(env_steps, reason) for reason in reasons]
        for mark in new:
            warn(f"not bit-exact from env step {env_steps:,}, because {mark.reason}")
        self._inexact = (*standing.inexact, *new)
        self._stand_at(state)
        self._solved = standing.solved
        self._evaluation_due = standing.evaluation_due
        self._started -= standing.seconds
        tidy_checkpoints(folder.checkpoints, [e.checkpoint for e in damaged if e.checkpoint])
        self._best.save(folder)
        self._journal.go_back(folder, env_steps, standing.episodes, interval)
        self._journal.note_inexact(new)
        self.folder = folder.with_description(description)

    def state(self) -> TrainState:
        """Everything that training has changed; read it before the next event."""
        return self._state()

    def events(self, stop_requested: Callable[[], bool] = lambda: False) -> Iterator[Event]:
        """Train to the end of the budget, or until solved or asked to stop.

        Args:
            stop_requested: asked after every round; when true the run is saved and ends.

        Raises:
            DivergedError: a loss, gradient or weight stopped being finite.
            EnvironmentFailedError: an environment failed. In both cases the last
                checkpoint stays.
        """
        saving, evaluation = self.settings.saving, self.settings.evaluation
        self._stop_requested = stop_requested
        tried_at = self.env_steps or None
        if self._evaluation_due:
            yield from self._evaluate()
        results = rounds(self.settings, self.seed, self._envs, self.state())
        while not stop_requested() and not self._is_over():
            before = self.env_steps
            self._take(next(results))
            if self._crossed(before, saving.log_every_env_steps):
                yield self._journal.log(self.env_steps, self.updates, self._seconds())
                yield from self._save_metrics()
            if (
                self._crossed(before, evaluation.evaluate_every_env_steps)
                and self.env_steps >= evaluation.evaluation_starts_env_steps
            ):
                yield from self._evaluate()
            if self._crossed(before, saving.checkpoint_every_env_steps):
                yield from self._checkpoint()
                tried_at = self.env_steps
        if tried_at != self.env_steps or self._saver.unsaved:
            yield from self._checkpoint()
        yield self._finish()
        yield from self._saver.attempt("metrics", self.env_steps, self._journal.make_durable)

    @property
    def unsaved(self) -> str:
        """What could not be written, and why; empty if all is."""
        return self._saver.unsaved

    def close(self) -> None:
        """Close environments and files."""
        self._envs.close()
        self._evaluator.close()
        self._staff.close()
        self._journal.close()
        if self._lock is not None:
            self._lock.release()

    def _is_over(self) -> bool:
        solved = self.settings.evaluation.until_solved and self._solved is not None
        return solved or self.env_steps >= self.settings.training.total_env_steps

    def _seconds(self) -> float:
        return time.perf_counter() - self._started

    def _crossed(self, before: int, every: int) -> bool:
        return self.env_steps // every > before // every

    def _stand_at(self, state: TrainState) -> None:
        self.env_steps, self.updates = state.env_steps, state.updates
        self._playing: Float[Array, " weight"] = state.playing
        self._state: Callable[[], TrainState] = lambda: state

    def _take(self, result: Round) -> None:
        if self._startup_seconds is None:
            self._startup_seconds = time.perf_counter() - self._clock_began
        updates_before = self.updates
        self.env_steps, self.updates = result.env_steps, result.updates
        self._playing, self._state = result.playing, result.state
        self._journal.take(result, updates_before)

    def _evaluate(self) -> Iterator[Event]:
        """A short evaluation; where it is promising, the long one that proves it solved."""
        settings, threshold = self.settings.evaluation, self.spec.reward_threshold
        self._evaluation_due = True
        look = self._play(settings.evaluation_episodes, Use.EVALUATION_RESET, self.env_steps)
        if look is None:
            return
        yield self._evaluated(look, "progress")
        self._best.consider(look, self.env_steps, np.asarray(self._playing))
        yield from self._save_best()
        if self._solved is None and threshold is not None and look.mean_return >= threshold:
            proof = self._proof(self.env_steps)
            if proof is None:
                return
            yield self._evaluated(proof, "solved")
            if proof.mean_return >= threshold:
                self._solved = Solved(self.env_steps, self._seconds(), proof.mean_return)
                self._solving = proof
                yield self._solved
        self._evaluation_due = False

    def _proof(self, env_steps: int) -> Evaluation | None:
        """The long evaluation that may prove the policy of an env step solved."""
        episodes = self.settings.evaluation.final_evaluation_episodes
        threshold = self.spec.reward_threshold
        assert threshold is not None
        return self._play(episodes, Use.SOLVED_RESET, env_steps, threshold)

    def _evaluated(self, evaluation: Evaluation, purpose: str) -> Evaluated:
        self._journal.log_evaluation(self.env_steps, self.updates, purpose, evaluation)
        return Evaluated(self.env_steps, evaluation, purpose)

    def _play(
        self, episodes: int, use: Use, number: int, hopeless_below: float = -math.inf
    ) -> Evaluation | None:
        """Greedy episodes with the weights that play; none if asked to stop meanwhile."""
        self._check_finite()
        network = self._network.set(self._playing)
        try:
            return self._evaluator.evaluate(
                network,
                episodes,
                use,
                self.seed,
                number,
                self._stop_requested,
                hopeless_below,
            )
        except EvaluationStopped:
            return None

    def _check_finite(self) -> None:
        """Raise where an update's figures, or the weights after it, are not finite."""
        self._journal.check()
        if not np.isfinite(np.asarray(self._playing)).all():
            raise DivergedError(
                f"training diverged by update {self.updates:,} (env step {self.env_steps:,}): "
                "a weight is not finite; try a lower learning_rate"
            )

    def _checkpoint(self) -> Iterator[Checkpointed | SavingFailed]:
        self._check_finite()
        interval = self._journal.interval()
        standing = Standing(
            self.spec.env_id,
            self.env_steps,
            self.updates,
            self._journal.episodes,
            self._evaluation_due,
            self._seconds(),
            self._solved,
            self._best.best,
            self._inexact,
            self._versions,
            self._machine,
        )
        yield from self._save_best()
        yield from self._saver.checkpoint(
            self.env_steps,
            to_tensors(self.state(), self._envs.logs(), interval) | self._best.for_checkpoint(),
            standing.info(),
            self._journal.make_durable,
        )

    def _save_metrics(self) -> Iterator[SavingFailed]:
        return self._saver.attempt("metrics", self.env_steps, self._journal.save)

    def _save_best(self) -> Iterator[SavingFailed]:
        return self._saver.attempt(
            "best agent", self.env_steps, lambda: self._best.save(self.folder)
        )

    def _finish(self) -> Finished:
        """Play the final evaluation, if the run is over and nobody asks it to stop."""
        evaluation = None
        if self._is_over() and not self._evaluation_due:
            if self._solved is not None and self._solved.env_steps == self.env_steps:
                # This policy has passed a long evaluation already; a resumed run repeats it.
                evaluation = self._solving or self._proof(self._solved.env_steps)
            else:
                episodes = self.settings.evaluation.final_evaluation_episodes
                evaluation = self._play(episodes, Use.EVALUATION_RESET, 0)
        if evaluation is not None:
            self._journal.log_evaluation(self.env_steps, self.updates, "final", evaluation)
        return Finished(
            self.env_steps,
            self.updates,
            self._seconds(),
            self._startup_seconds or 0.0,
            self._solved,
            self._best.best,
            evaluation,
            self._inexact,
        )
