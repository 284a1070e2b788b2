"""The journal of a run: episodes, statistics of updates, rows of metrics."""

import collections
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from frankrl.config import Settings
from frankrl.core.errors import DivergedError, warn
from frankrl.environments import SUCCESS
from frankrl.experience.exploration import mean_epsilon
from frankrl.learning import learning_rate_at, metrics_of
from frankrl.runs import MetricsReader, MetricsWriter, Row, RunFolder
from frankrl.training.evaluation import Evaluation
from frankrl.training.events import EnvironmentRestarted, NotReproducible, Progress
from frankrl.training.interval import MAX_ROUNDS, STATISTICS, Interval
from frankrl.training.rounds import Round

RECENT_EPISODES = 100
_DIGEST_BYTES = 4
"""Of each environment's digest, in a row of metrics."""


class Journal:
    """Collects the results of rounds, checks them, and writes them to the run's metrics."""

    def __init__(self, settings: Settings) -> None:
        self.episodes = 0
        self.on_own_metrics: Callable[[int, Mapping[str, float]], None] = lambda *_: None
        """Called with each of them as it is recorded."""
        self._settings = settings
        self._metrics: MetricsWriter | None = None
        self._unwritten: list[Row] = []
        self._recent: collections.deque[tuple[float, int]] = collections.deque(
            maxlen=RECENT_EPISODES
        )
        self._successes: collections.deque[float] = collections.deque(maxlen=RECENT_EPISODES)
        self._statistics: list[np.ndarray] = []
        self._td_errors: collections.deque[np.ndarray] = collections.deque(maxlen=MAX_ROUNDS)
        self._unchecked: collections.deque[tuple[Round, int]] = collections.deque()
        self._last_row = (0, time.perf_counter())

    def open(self, folder: RunFolder) -> None:
        """Open the metrics of a run folder for writing."""
        self._metrics = MetricsWriter(folder.metrics)

    def go_back(
        self,
        folder: RunFolder,
        ticks: int,
        episodes: int,
        interval: Interval,
    ) -> int:
        """Restore the metrics of a run to an earlier point, and remove later rows.

        Returns:
            How many episodes are missing in the metrics.
        """
        self.open(folder)
        there = self._writer.go_back(ticks)
        self.stand_at(folder, ticks, episodes, interval)
        return max(0, episodes - there)

    def stand_at(self, folder: RunFolder, ticks: int, episodes: int, interval: Interval) -> None:
        """Go on from an earlier point of a run without changing its metrics."""
        self.episodes = episodes
        self._statistics = [interval.statistics]
        self._td_errors.extend(interval.td_errors)
        self._last_row = (ticks, time.perf_counter())
        reader = MetricsReader(folder.metrics)
        self._recent.extend(reader.last_episodes(RECENT_EPISODES, ticks))
        self._successes.extend(reader.last_own(SUCCESS, RECENT_EPISODES, ticks))
        reader.close()

    def take(self, result: Round, updates_before: int) -> None:
        """Record the results of a round, and check the metrics that are available by now."""
        episodes = result.collected.episodes
        self._unwritten += [("episodes", episode) for episode in episodes]
        if result.collected.arrival is not None:
            self._unwritten.append(("arrivals", result.collected.arrival))
        self._recent.extend((e.episode_return, e.length) for e in episodes)
        self.episodes += len(episodes)
        for env_steps, info in result.collected.final_infos.items():
            self.note_own_metrics(env_steps, info.values)
            if SUCCESS in info.values:
                self._successes.append(info.values[SUCCESS])
        self._unchecked.append((result, updates_before))
        self.check(leave=1 if self._settings.training.overlap else 0)

    def check(self, leave: int = 0) -> None:
        """Check the metrics of all updates, except those of the last `leave` rounds.

        Raises:
            DivergedError: a metric is not finite; the message names the first such update.
        """
        while len(self._unchecked) > leave:
            result, updates_before = self._unchecked.popleft()
            output = result.output()
            values = np.asarray(output.metrics)
            if not np.isfinite(values).all():
                raise _diverged(values, updates_before, result.ticks, self._settings)
            if len(values):
                self._statistics.append(values)
                if "mean_abs_td_error" in metrics_of(self._settings.learning):
                    self._td_errors.extend(np.asarray(output.td_errors))

    def interval(self) -> Interval:
        """Metrics of the updates since the last row of metrics."""
        self.check()
        nothing = Interval.empty(self._settings.update_batch_size)
        return Interval(
            np.concatenate([nothing.statistics, *self._statistics]),
            np.stack(self._td_errors) if self._td_errors else nothing.td_errors,
        )

    def save(self) -> None:
        """Write the rows since the last write; they are kept until a write succeeds.

        Raises:
            sqlite3.Error: they cannot be written.
        """
        self._writer.write(self._unwritten)
        self._unwritten = []

    def taken_rows(self) -> list[Row]:
        """The rows since the last write, which are then forgotten instead of written."""
        rows, self._unwritten = self._unwritten, []
        return rows

    def make_durable(self) -> None:
        """Write all rows, and return once they are on the disk.

        Raises:
            OSError, sqlite3.Error: they cannot be written.
        """
        self.save()
        self._writer.make_durable()

    def note_not_reproducible(self, marks: Iterable[NotReproducible]) -> None:
        """Record from where on, and why, the run may not be bit-exact."""
        self._unwritten += [("not_reproducible", mark) for mark in marks]

    def note_restarts(self, restarts: Iterable[EnvironmentRestarted]) -> None:
        """Record that environments were made anew."""
        self._unwritten += [("environment_restarts", restart) for restart in restarts]

    def note_own_metrics(self, ticks: int, values: Mapping[str, float]) -> None:
        """Record numbers under names of the user's own."""
        self.on_own_metrics(ticks, values)
        self._unwritten += [("own_metrics", (ticks, name, value)) for name, value in values.items()]

    def log(
        self, ticks: int, updates: int, seconds: float, env_digests: Sequence[bytes]
    ) -> Progress:
        """Add a row of metrics, and return it as an event.

        Args:
            ticks: of the run's clock so far.
            updates: updates of the run so far.
            seconds: seconds since the run began.
            env_digests: fingerprint of each environment (`Source.digests`).
        """
        settings = self._settings
        interval = self.interval()
        self._statistics = []
        self._td_errors.clear()
        known = metrics_of(settings.learning)
        means = [
            mean if name in known else None
            for name, mean in zip(STATISTICS, interval.means(), strict=True)
        ]
        mean_return, mean_length = (
            (float(np.mean(column)) for column in zip(*self._recent, strict=True))
            if self._recent
            else (None, None)
        )
        epsilon = mean_epsilon(settings, ticks)
        rate = learning_rate_at(settings.learning, ticks)
        counts = (ticks, updates, self.episodes)
        last_ticks, last_time = self._last_row
        now = time.perf_counter()
        speed = (ticks - last_ticks) / max(now - last_time, 1e-9)
        self._last_row = (ticks, now)
        spread = interval.td_error_quantiles()
        row = (*counts, epsilon, rate, *means, *spread, mean_return, mean_length)
        digests = " ".join(digest[:_DIGEST_BYTES].hex() for digest in env_digests)
        self._unwritten += [
            ("training", row),
            ("digests", (ticks, digests)),
            ("timing", (ticks, seconds, speed)),
        ]
        statistics = dict(zip(STATISTICS, means, strict=True))
        return Progress(
            env_steps=ticks,
            total_env_steps=settings.budget,
            updates=updates,
            updates_since_refresh=(
                updates % settings.learning.target_period_updates
                if settings.has_target_network
                else None
            ),
            episodes=self.episodes,
            mean_return=mean_return,
            mean_length=mean_length,
            epsilon=epsilon,
            loss=statistics["loss"],
            mean_q=statistics["mean_q"],
            mean_max_q=statistics["mean_max_q"],
            mean_target=statistics["mean_target"],
            mean_abs_td_error=statistics["mean_abs_td_error"],
            gradient_norm=statistics["gradient_norm"],
            learning_rate=rate,
            env_steps_per_second=speed,
            seconds=seconds,
            success_rate=float(np.mean(self._successes)) if self._successes else None,
        )

    def log_evaluation(
        self, ticks: int, updates: int, purpose: str, evaluation: Evaluation
    ) -> None:
        """Add a row for an evaluation."""
        row = (
            ticks,
            updates,
            purpose,
            len(evaluation.returns),
            evaluation.mean_return,
            float(np.std(evaluation.returns)),
            float(np.mean(evaluation.lengths)),
            evaluation.success_rate,
        )
        self._unwritten.append(("evaluations", row))

    def close(self) -> None:
        """Close the metrics."""
        metrics, self._metrics = self._metrics, None
        if metrics is not None:
            try:
                metrics.close()
            except sqlite3.Error as error:
                warn(
                    f"the metrics' write-ahead log could not be merged into their file ({error}); "
                    "no row is lost: keep metrics.sqlite-wal next to it"
                )

    @property
    def _writer(self) -> MetricsWriter:
        if self._metrics is None:
            raise RuntimeError("the journal is not open")
        return self._metrics


def _diverged(
    values: Float[np.ndarray, "update statistic"],
    updates_before: int,
    ticks: int,
    settings: Settings,
) -> DivergedError:
    row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
    figures = zip(STATISTICS, values[row], strict=True)
    wrong = [f"{name} is {value}" for name, value in figures if not np.isfinite(value)]
    at = settings.clock.beside_update(ticks)
    at = f" ({at})" if at else ""
    return DivergedError(
        f"training diverged at update {updates_before + row + 1:,}{at}: "
        f"{', '.join(wrong)}; try a lower learning_rate, a max_gradient_norm or smaller rewards"
    )
