"""The trials in Optuna's own storage, which its dashboard and `optuna.load_study` read.

The file is a copy for readers: it is made anew from the trials' files when a sweep begins or
continues, and lines are appended while it goes on.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from frankrl.jobs.optuna_in_memory import quiet_optuna
from frankrl.runs.disk import replace_durably
from frankrl.sweeps.definition import Definition
from frankrl.sweeps.folder import SweepFolder
from frankrl.sweeps.sampling import distributions_of, params_of
from frankrl.sweeps.trial import Trial, file_of

_STATES = {"running": "RUNNING", "complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}


class _Lines:
    """Keeps Optuna's log in memory, and from `follow` on also in a file.

    Optuna's own backend takes a lock that outlives a process that was killed. This file has one
    writer, which drives the sweep.
    """

    def __init__(self) -> None:
        self._logs: list[dict[str, Any]] = []
        self._text = ""
        self._file: IO[str] | None = None

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The log from a line on; Optuna calls this."""
        yield from self._logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append to the log; Optuna calls this."""
        lines = [json.dumps(log, separators=(",", ":")) for log in logs]
        # As a reader of the file gets them: JSON has no numbers as keys.
        self._logs += map(json.loads, lines)
        text = "".join(f"{line}\n" for line in lines)
        if self._file is None:
            self._text += text
        else:
            self._file.write(text)
            self._file.flush()

    def follow(self, path: Path) -> None:
        """Replace a file by the log so far, and append to it from now on."""
        replace_durably(path, self._text.encode())
        self._text = ""
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


class Journal:
    """Optuna's storage of a sweep."""

    def __init__(self, folder: SweepFolder, definition: Definition, trials: Iterable[Trial]):
        """Make the file anew.

        Raises:
            MissingExtraError: Optuna is not installed.
            OSError: the file cannot be written.
        """
        self._folder, self._definition = folder, definition
        self._lines = _Lines()
        self._ids: dict[int, int] = {}
        """Optuna's number of a trial, by ours."""
        with quiet_optuna() as optuna:
            backend: Any = self._lines
            self._storage = optuna.storages.JournalStorage(backend)
            study = optuna.create_study(
                storage=self._storage,
                study_name=f"{definition.env_id} {definition.objective.name}",
                direction=definition.objective.direction,
                sampler=optuna.samplers.RandomSampler(seed=0),
                pruner=optuna.pruners.NopPruner(),
            )
            self._study_id = study._study_id
            for name in ("env_id", "preset", "objective", "seeds", "sampler", "pruner", "lag"):
                study.set_user_attr(name, definition.to_plain()[name])
            for trial in trials:
                self._add(optuna, trial)
        self._lines.follow(folder.journal)

    def take(self, trial: Trial) -> None:
        """Add a trial, or what is new of it."""
        with quiet_optuna() as optuna:
            if trial.number not in self._ids:
                self._add(optuna, trial)
                return
            number = self._ids[trial.number]
            for env_steps, mean in mean_curve(trial).items():
                self._storage.set_trial_intermediate_value(number, env_steps, mean)
            for name, value in _attributes(trial).items():
                self._storage.set_trial_user_attr(number, name, value)
            if trial.is_over:
                state = optuna.trial.TrialState[_STATES[trial.state]]
                values = None if trial.value is None else [trial.value]
                self._storage.set_trial_state_values(number, state, values)

    def close(self) -> None:
        """Close the file."""
        self._lines.close()

    def _add(self, optuna: Any, trial: Trial) -> None:
        moment = _moment(file_of(self._folder.trials, trial.number))
        template = optuna.trial.FrozenTrial(
            number=trial.number,
            trial_id=trial.number,
            state=optuna.trial.TrialState[_STATES[trial.state]],
            value=trial.value,
            datetime_start=_moment(*(self._folder.path / run for run in trial.runs)) or moment,
            datetime_complete=moment if trial.is_over else None,
            params=params_of(trial, self._definition.space),
            distributions=distributions_of(optuna, self._definition.space),
            user_attrs=_attributes(trial),
            system_attrs={},
            intermediate_values=mean_curve(trial),
        )
        self._ids[trial.number] = self._storage.create_new_trial(self._study_id, template)


def mean_curve(trial: Trial) -> dict[int, float]:
    """Mean return over the runs that are over, by env step."""
    at: dict[int, list[float]] = {}
    for curve in trial.intermediate:
        for env_steps, mean in curve:
            at.setdefault(env_steps, []).append(mean)
    return {env_steps: sum(means) / len(means) for env_steps, means in sorted(at.items())}


def _attributes(trial: Trial) -> dict[str, Any]:
    found = {"values": list(trial.values), "runs": list(trial.runs)}
    return found if trial.reason is None else found | {"reason": trial.reason}


def _moment(*paths: Path) -> datetime | None:
    """When the first of some files was written last, by the local clock."""
    times = [path.stat().st_mtime for path in paths if path.exists()]
    return datetime.fromtimestamp(min(times)) if times else None
