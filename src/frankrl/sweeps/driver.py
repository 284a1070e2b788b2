"""The order of a sweep's work: which run is to be done next, and what a trial has come to.

Everything follows from the trials' files and the run folders. So a sweep that was killed at any
moment goes on as if it had not been.
"""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from frankrl.config import Settings
from frankrl.core.errors import FrankError, SettingError
from frankrl.jobs import EarlierRun, Ended, Job, Outcome, PruningRule, outcome_as
from frankrl.sweeps import racing
from frankrl.sweeps.definition import Definition
from frankrl.sweeps.folder import SweepFolder
from frankrl.sweeps.sampling import drawn
from frankrl.sweeps.trial import Trial, write_trial


class SweepDriver:
    """Gives the jobs of a sweep one by one, and takes their ends."""

    def __init__(
        self,
        folder: SweepFolder,
        definition: Definition,
        num_trials: int,
        *,
        on_change: Callable[[Trial], None] = lambda trial: None,
        outcome: Callable[[Job], Outcome | None] = outcome_as,
    ) -> None:
        """Reads the trials that are there.

        Args:
            folder: the sweep's folder.
            definition: what the sweep is.
            num_trials: number of its trials.
            on_change: called with each trial that has changed, after it was written.
            outcome: reads what the run of a job has given; None: it is not over.
        """
        self.definition = definition
        self.num_trials = num_trials
        self.trials = folder.read_trials(definition.space)
        self._folder = folder
        self._on_change = on_change
        self._outcome = outcome
        self._busy: dict[Path, int] = {}
        """The trials under way, by their run."""
        self._left: set[int] = set()
        """Those whose run was stopped, or whose command was printed."""

    @property
    def num_over(self) -> int:
        """How many trials are over."""
        return sum(trial.is_over for trial in self.trials.values())

    def next_job(self) -> Job | None:
        """The next run to do; None if none can begin before another one has ended.

        Raises:
            FrankError: another run lies in a run folder of the sweep.
        """
        under_way = {*self._busy.values(), *self._left}
        for number in range(self.num_trials):
            if number in under_way:
                continue
            trial = self.trials.get(number)
            if trial is None:
                if not self._earlier_are_over(number):
                    return None
                trial = self._begin(number)
            job = None if trial.is_over else self._advance(trial)
            if job is not None:
                self._busy[job.run] = number
                return job
        return None

    def take(self, ended: Ended) -> None:
        """Take the end of a job.

        Raises:
            FrankError: it ended for a reason that lies in the machine.
        """
        number = self._busy.pop(ended.job.run)
        if ended.error and not ended.fails_again:
            raise FrankError(ended.error)
        if ended.error:
            self._save(
                replace(self.trials[number], state="failed", reason=self._reason(ended.error))
            )
        elif not ended.is_done:
            self._left.add(number)

    def _reason(self, error: str) -> str:
        """An error without the sweep's own path, since the same sweep may lie elsewhere."""
        return error.replace(f"{self._folder.path.absolute()}/", "")

    def _earlier_are_over(self, number: int) -> bool:
        last = number - self.definition.lag
        return all(n in self.trials and self.trials[n].is_over for n in range(last + 1))

    def _earlier(self, number: int) -> list[Trial]:
        """The trials whose results a trial may follow from."""
        return [self.trials[n] for n in range(number - self.definition.lag + 1)]

    def _begin(self, number: int) -> Trial:
        """Draw a trial's settings, and write them."""
        definition = self.definition
        chosen = drawn(
            definition.sampler,
            definition.space,
            definition.objective.direction,
            definition.sweep_seed,
            number,
            self._earlier(number),
        )
        # As its file gives them back.
        trial = Trial(number, json.loads(json.dumps(chosen)))
        try:
            self._settings_of(trial)
        except SettingError as error:
            trial = replace(trial, state="failed", reason=str(error))
        return self._save(trial)

    def _settings_of(self, trial: Trial) -> Settings:
        return self.definition.settings.with_changes(**trial.settings).resolved()

    def _advance(self, trial: Trial) -> Job | None:
        """Bring a trial up to what its runs have given; its next run, if one is left to do."""
        definition = self.definition
        settings, earlier = self._settings_of(trial), self._earlier(trial.number)
        trial = replace(trial, values=(), runs=(), intermediate=())
        for index, seed in enumerate(definition.seeds):
            name = f"runs/{trial.number:04d}-s{seed}"
            run = self._folder.path.absolute() / name
            trial = replace(trial, runs=(*trial.runs, name))
            job = Job(definition.env_id, definition.preset, settings, seed, run)
            outcome = self._outcome(job)
            if outcome is None:
                self._save(trial)
                return replace(job, pruning=self._rule(trial.number, index, earlier))
            trial = self._with_run(trial, outcome, settings, earlier)
            if trial.is_over:
                break
        if not trial.is_over:
            trial = replace(trial, state="complete", value=_mean(trial.values))
        self._save(trial)
        return None

    def _with_run(
        self, trial: Trial, outcome: Outcome, settings: Settings, earlier: list[Trial]
    ) -> Trial:
        """A trial with one more run that is over; perhaps it ends the trial."""
        definition = self.definition
        value = definition.objective.value_of(outcome, settings)
        if value is None or not math.isfinite(value):
            reason = f"its run {trial.runs[-1]} has no {definition.objective.name}"
            return replace(trial, state="failed", reason=reason)
        curves = (*trial.intermediate, outcome.evaluations)
        values = (*trial.values, value)
        reason = outcome.stop_reason
        if reason is None and definition.pruner == "racing":
            reason = racing.reason_to_stop(
                definition.objective, earlier, values, len(definition.seeds)
            )
        trial = replace(trial, values=values, intermediate=curves)
        if reason is None:
            return trial
        return replace(trial, state="pruned", value=_mean(values), reason=reason)

    def _rule(self, number: int, index: int, earlier: list[Trial]) -> PruningRule | None:
        """When the run of one seed should end before its end."""
        pruner = self.definition.pruner
        if pruner != "median" and pruner != "hyperband":
            return None
        runs = []
        for trial in earlier:
            curve = trial.intermediate[index] if index < len(trial.intermediate) else ()
            state = trial.state if trial.state != "running" else "failed"
            runs.append(EarlierRun(state, tuple(mean for _, mean in curve)))
        return PruningRule(pruner, number, self.definition.num_evaluations, tuple(runs))

    def _save(self, trial: Trial) -> Trial:
        """Write a trial, if it has changed."""
        if trial != self.trials.get(trial.number):
            write_trial(self._folder.trials, trial)
            self.trials[trial.number] = trial
            self._on_change(trial)
        return trial


def _mean(values: tuple[float, ...]) -> float:
    return sum(values) / len(values)
