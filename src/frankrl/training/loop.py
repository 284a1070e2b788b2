"""The loop: rounds, and between them metrics, evaluations and checkpoints.

It is a generator of events, so whoever shows or drives a run stays outside.
"""

import collections
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Array

from frankrl.environments import EnvironmentSpec, EnvironmentVector
from frankrl.errors import DivergedError
from frankrl.evaluation import Evaluation, Evaluator
from frankrl.exploration import linear_epsilon
from frankrl.learning import UpdateStatistics, learning_rate_at
from frankrl.randomness import Use
from frankrl.records import FinishedEpisode
from frankrl.runs import (
    MetricsReader,
    MetricsWriter,
    RunDescription,
    RunFolder,
    load_tensors,
    newest_checkpoint,
    save_checkpoint,
)
from frankrl.training.round import Round, rounds
from frankrl.training.saving import FILES, from_tensors, to_tensors
from frankrl.training.state import TrainState, Unpack, init_train_state, initial_network

RECENT_EPISODES = 100


class Progress(NamedTuple):
    """Where the run stands; figures are means since the last such event."""

    env_steps: int
    total_env_steps: int
    updates: int
    updates_since_refresh: int
    """Updates since the target network was last refreshed."""
    episodes: int
    mean_return: float | None
    """Mean return of the last 100 training episodes."""
    mean_length: float | None
    epsilon: float
    loss: float | None
    mean_q: float | None
    env_steps_per_second: float
    seconds: float


class Evaluated(NamedTuple):
    """A greedy evaluation while training."""

    env_steps: int
    evaluation: Evaluation
    purpose: str


class Solved(NamedTuple):
    """The first policy whose mean return reached the environment's threshold."""

    env_steps: int
    seconds: float
    mean_return: float


class Checkpointed(NamedTuple):
    """A checkpoint was written."""

    env_steps: int
    path: Path


class Finished(NamedTuple):
    """The run is over, or was asked to stop."""

    env_steps: int
    updates: int
    seconds: float
    solved: Solved | None
    evaluation: Evaluation | None
    """Of the final policy; none when the run was asked to stop."""


Event = Progress | Evaluated | Solved | Checkpointed | Finished


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
        self.state: TrainState = init_train_state(self.settings, spec, self.seed)
        self.not_exact: list[int] = []
        """Environments that a resume could not bring back to the same bits."""
        self._started = time.perf_counter() if started is None else started
        self._envs = EnvironmentVector(spec, self.settings.environment.num_envs, self.seed)
        self._evaluator = Evaluator(spec)
        self._unpack = Unpack(initial_network(self.settings, spec, self.seed))
        self._metrics: MetricsWriter
        self._unwritten: list[FinishedEpisode] = []
        self._recent: collections.deque[tuple[float, int]] = collections.deque(
            maxlen=RECENT_EPISODES
        )
        self._episodes = 0
        self._interval: list[np.ndarray] = []
        self._unchecked: collections.deque[tuple[int, Array]] = collections.deque()
        self._solved: Solved | None = None
        self._solving: Evaluation | None = None
        self._last_log = (0, time.perf_counter())

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
        training._open(RunFolder.create(path, description, overwrite=overwrite))
        return training

    @classmethod
    def resume(
        cls, folder: RunFolder, spec: EnvironmentSpec, *, started: float | None = None
    ) -> "Training":
        """Take up a run at its newest checkpoint.

        Raises:
            RunFolderError: there is no usable checkpoint.
        """
        tensors, info = load_tensors(newest_checkpoint(folder.checkpoints), FILES)
        training = cls(folder.description, spec, started)
        training._open(folder)
        training.state, logs, interval = from_tensors(
            tensors, training.state, info["env_steps"], info["updates"]
        )
        training.not_exact = training._envs.restore(logs)
        if training.not_exact:
            # What such an environment had not yet stored cannot be completed.
            filled = np.array(training.state.window.filled)
            filled[:, training.not_exact] = False
            training.state = eqx.tree_at(lambda s: s.window.filled, training.state, filled)
        training._interval = [interval]
        training._episodes = info["episodes"]
        training._solved = Solved(**info["solved"]) if info["solved"] else None
        training._started -= info["seconds"]
        training._last_log = (training.state.env_steps, time.perf_counter())
        training._metrics.truncate(training.state.env_steps)
        reader = MetricsReader(folder.metrics)
        training._recent.extend(reader.last_episodes(RECENT_EPISODES))
        reader.close()
        return training

    def _open(self, folder: RunFolder) -> None:
        self.folder = folder
        self._metrics = MetricsWriter(folder.metrics)

    def events(self, stop_requested: Callable[[], bool] = lambda: False) -> Iterator[Event]:
        """Train to the end of the budget, or until solved or asked to stop.

        Args:
            stop_requested: asked after every round; when true the run is saved and ends.

        Raises:
            DivergedError: a loss, gradient or weight stopped being finite.
            EnvironmentFailedError: an environment failed. In both cases the last
                checkpoint stays.
        """
        settings = self.settings
        total = settings.training.total_env_steps
        checkpointed = self.state.env_steps if self.state.env_steps else None
        stopped = False
        if self.state.env_steps < total and not self._done():
            for result in rounds(settings, self.seed, self._envs, self.state):
                before = self.state.env_steps
                self._take(result)
                if self._crossed(before, settings.saving.log_every_env_steps):
                    yield self._log()
                if self._crossed(before, settings.evaluation.evaluate_every_env_steps):
                    yield from self._evaluate()
                if self._crossed(before, settings.saving.checkpoint_every_env_steps):
                    yield self._checkpoint()
                    checkpointed = self.state.env_steps
                stopped = stop_requested()
                if stopped or self.state.env_steps >= total or self._done():
                    break
        if checkpointed != self.state.env_steps:
            yield self._checkpoint()
        evaluation = None
        if not stopped:
            evaluation = self._solving or self._play(
                settings.evaluation.final_evaluation_episodes, Use.EVALUATION_RESET, 0
            )
        self._metrics.write(
            {"evaluations": self._evaluation_row(evaluation, "final")} if evaluation else {},
            self._unwritten,
        )
        yield Finished(
            self.state.env_steps, self.state.updates, self._seconds(), self._solved, evaluation
        )

    def close(self) -> None:
        """Close environments and files."""
        self._envs.close()
        self._evaluator.close()
        if hasattr(self, "_metrics"):
            self._metrics.close()

    def _done(self) -> bool:
        return self.settings.evaluation.until_solved and self._solved is not None

    def _seconds(self) -> float:
        return time.perf_counter() - self._started

    def _crossed(self, before: int, every: int) -> bool:
        return self.state.env_steps // every > before // every

    def _take(self, result: Round) -> None:
        """Note what a round did; check the updates whose figures have come in."""
        first_update = self.state.updates
        self.state = result.state
        self._unwritten += result.finished
        self._recent.extend((e.episode_return, e.length) for e in result.finished)
        self._episodes += len(result.finished)
        self._unchecked.append((first_update, result.statistics))
        self._check(leave=1 if self.settings.training.overlap else 0)

    def _check(self, leave: int) -> None:
        """Raise at the first update whose figures are not finite; `leave` calls may still run."""
        while len(self._unchecked) > leave:
            first_update, statistics = self._unchecked.popleft()
            values = np.asarray(statistics)
            if not np.isfinite(values).all():
                row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
                wrong = {
                    name: float(value)
                    for name, value in zip(UpdateStatistics._fields, values[row], strict=True)
                    if not np.isfinite(value)
                }
                raise DivergedError(
                    f"training diverged at update {first_update + row + 1:,} (about env step "
                    f"{self.state.env_steps:,}): "
                    + ", ".join(f"{name} is {value}" for name, value in wrong.items())
                    + "; try a lower learning_rate, a max_gradient_norm, or rewards of smaller size"
                )
            self._interval.append(values)

    def _log(self) -> Progress:
        """Write a row of metrics and report it."""
        self._check(leave=0)
        state, settings = self.state, self.settings
        values = np.concatenate(self._interval) if self._interval else np.zeros((0, 6))
        means = UpdateStatistics(
            *(float(v) for v in values.mean(axis=0, dtype=np.float64))
            if len(values)
            else (None,) * len(UpdateStatistics._fields)
        )
        self._interval = []
        mean_return = float(np.mean([r for r, _ in self._recent])) if self._recent else None
        mean_length = float(np.mean([n for _, n in self._recent])) if self._recent else None
        epsilon = float(linear_epsilon(settings.exploration, state.env_steps))
        rate = learning_rate_at(settings.learning, state.env_steps)
        last_steps, last_time = self._last_log
        now = time.perf_counter()
        speed = (state.env_steps - last_steps) / max(now - last_time, 1e-9)
        self._last_log = (state.env_steps, now)
        counts = (state.env_steps, state.updates, self._episodes)
        self._metrics.write(
            {
                "training": (*counts, epsilon, rate, *means, mean_return, mean_length),
                "timing": (state.env_steps, self._seconds(), speed),
            },
            self._unwritten,
        )
        self._unwritten = []
        return Progress(
            env_steps=state.env_steps,
            total_env_steps=settings.training.total_env_steps,
            updates=state.updates,
            updates_since_refresh=state.updates % settings.learning.target_period_updates,
            episodes=self._episodes,
            mean_return=mean_return,
            mean_length=mean_length,
            epsilon=epsilon,
            loss=means.loss,
            mean_q=means.mean_q,
            env_steps_per_second=speed,
            seconds=self._seconds(),
        )

    def _evaluate(self) -> Iterator[Event]:
        """A short evaluation; where it is promising, the long one that proves it solved."""
        settings, env_steps = self.settings.evaluation, self.state.env_steps
        evaluation = self._play(settings.evaluation_episodes, Use.EVALUATION_RESET, env_steps)
        self._metrics.write({"evaluations": self._evaluation_row(evaluation, "progress")})
        yield Evaluated(env_steps, evaluation, "progress")
        threshold = self.spec.reward_threshold
        if self._solved or threshold is None or evaluation.mean_return < threshold:
            return
        proof = self._play(settings.final_evaluation_episodes, Use.SOLVED_RESET, env_steps)
        self._metrics.write({"evaluations": self._evaluation_row(proof, "solved")})
        yield Evaluated(env_steps, proof, "solved")
        if proof.mean_return >= threshold:
            self._solved = Solved(env_steps, self._seconds(), proof.mean_return)
            if settings.until_solved:
                self._solving = proof
            yield self._solved

    def _play(self, episodes: int, use: Use, number: int) -> Evaluation:
        self._check(leave=0)
        network = self._unpack(self.state.newest)
        return self._evaluator.evaluate(network, episodes, use, self.seed, number)

    def _evaluation_row(self, evaluation: Evaluation, purpose: str) -> tuple:
        return (
            self.state.env_steps,
            self.state.updates,
            purpose,
            len(evaluation.returns),
            evaluation.mean_return,
            float(np.std(evaluation.returns)),
            float(np.mean(evaluation.lengths)),
        )

    def _checkpoint(self) -> Checkpointed:
        self._check(leave=0)
        self._metrics.write({}, self._unwritten)
        self._unwritten = []
        interval = np.concatenate([np.zeros((0, 6), np.float32), *self._interval])
        path = save_checkpoint(
            self.folder.checkpoints,
            self.state.env_steps,
            to_tensors(self.state, self._envs.logs(), interval),
            {
                "env_id": self.spec.env_id,
                "env_steps": self.state.env_steps,
                "updates": self.state.updates,
                "episodes": self._episodes,
                "seconds": self._seconds(),
                "solved": self._solved._asdict() if self._solved else None,
            },
            self.settings.saving.keep_checkpoints,
        )
        return Checkpointed(self.state.env_steps, path)
