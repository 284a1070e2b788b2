"""What a sweep has found: a table, JSON data, a file for spreadsheets, and a preset."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frankrl.config import Settings
from frankrl.config.choices import shown
from frankrl.config.presets import load_preset, preset_names
from frankrl.core.figures import counted, figure
from frankrl.core.text import shown as shown_text
from frankrl.runs.disk import replace_durably
from frankrl.runs.toml_text import toml_table
from frankrl.sweeps.definition import Definition
from frankrl.sweeps.folder import SweepFolder
from frankrl.sweeps.objectives import Objective, objective_named
from frankrl.sweeps.trial import Trial

_MAX_CELL = 80
_ORDER = ("complete", "pruned", "running", "failed")


@dataclass(frozen=True, repr=False)
class SweepResult:
    """The trials of a sweep; it prints as a table."""

    path: Path
    """The sweep's folder."""
    env_id: str
    objective: Objective
    seeds: tuple[int, ...]
    num_trials: int
    """Number of trials that were asked for."""
    names: tuple[str, ...]
    """The settings that were searched."""
    trials: list[Trial]
    """By number."""

    @classmethod
    def of_folder(cls, folder: SweepFolder) -> "SweepResult":
        """The result as it stands in a sweep's folder, which is only read.

        Raises:
            FrankError: it holds no sweep, or a damaged one.
        """
        recorded = folder.read_definition()
        return cls(
            folder.path,
            shown_text(recorded.env_id),
            objective_named(recorded.objective),
            recorded.seeds,
            recorded.trials,
            tuple(recorded.space),
            list(folder.read_trials(recorded.space).values()),
        )

    @property
    def best(self) -> Trial | None:
        """The best trial of those that had all seeds; of equal ones the first. None: no such."""
        return best_of(self.trials, self.objective)

    @property
    def is_complete(self) -> bool:
        """Whether every trial is over."""
        return sum(trial.is_over for trial in self.trials) >= self.num_trials

    def __repr__(self) -> str:
        return self.markdown()

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def markdown(self) -> str:
        """A table of the trials, the best one first."""
        unit = f"{self.objective.name} [{self.objective.unit}]"
        head = ["trial", *map(_cell, self.names), unit, "state", "each seed"]
        rows = [head, ["---"] * len(head)]
        rows += [self._row(trial) for trial in sorted(self.trials, key=self._rank)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        lines = [
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            for row in rows
        ]
        lines[1] = "|" + "|".join("-" * (width + 2) for width in widths)
        return "\n".join([*(f"{line} |" if i != 1 else f"{line}|" for i, line in enumerate(lines))])

    def summary(self) -> str:
        """The outcome in a sentence or two."""
        over = [trial for trial in self.trials if trial.is_over]
        counts = {state: sum(t.state == state for t in over) for state in _ORDER}
        parts = [f"{count} {state}" for state, count in counts.items() if count]
        text = f"{len(over)} of {counted(self.num_trials, 'trial')} over"
        text += f" ({', '.join(parts)})" if parts else ""
        if self.best is not None:
            value = figure(self.best.value or 0.0)
            text += f"; best: trial {self.best.number}, {self.objective.name} {value}"
        if not self.objective.is_repeatable:
            text += (
                f"; {self.objective.name} depends on the machine and on what else ran there, so "
                "the same sweep may end otherwise next time"
            )
        return text

    def to_plain(self) -> dict[str, Any]:
        """The result as JSON data. Without the objective seconds_to_solved it holds no time."""
        best = self.best
        return {
            "repeatable": self.objective.is_repeatable,
            "best": None if best is None else _plain(best),
            "trials": [_plain(trial) for trial in self.trials],
        }

    def _row(self, trial: Trial) -> list[str]:
        spread = max(trial.values) - min(trial.values) if len(trial.values) > 1 else 0.0
        value = "" if trial.value is None else figure(trial.value, spread / 2)
        state: str = trial.state
        if trial.state == "failed":
            state = f"failed: {_cell(trial.reason)}"
        return [
            str(trial.number),
            *(setting_shown(trial.settings.get(name)) for name in self.names),
            value,
            state,
            "; ".join(figure(each, spread / 2) for each in trial.values),
        ]

    def _rank(self, trial: Trial) -> tuple[int, float, int]:
        value = trial.value or 0.0
        better = -value if self.objective.direction == "maximize" else value
        return _ORDER.index(trial.state), better, trial.number


def setting_shown(value: Any) -> str:
    """A searched setting's value in a table."""
    if isinstance(value, float):
        return figure(value)
    return _cell(shown(tuple(value) if isinstance(value, list) else value))


def _cell(text: object) -> str:
    """A text, which a file may have from anyone, in a table."""
    return shown_text(text, _MAX_CELL).replace("|", "/")


def best_of(trials: Iterable[Trial], objective: Objective) -> Trial | None:
    """The best trial of those that had all seeds; of equal ones the first."""
    best: Trial | None = None
    for trial in trials:
        if trial.state != "complete" or trial.value is None:
            continue
        if best is None or objective.is_better(trial.value, best.value or 0.0):
            best = trial
    return best


def _plain(trial: Trial) -> dict[str, Any]:
    return {
        "number": trial.number,
        "state": trial.state,
        "value": trial.value,
        "values": list(trial.values),
        "settings": trial.settings,
        "reason": trial.reason,
    }


def write_results(folder: SweepFolder, definition: Definition, trials: Sequence[Trial]) -> None:
    """Write `trials.csv` and, if a trial is complete, `best.toml`.

    Raises:
        OSError: a file cannot be written.
    """
    replace_durably(folder.table, as_csv(definition, trials).encode())
    best = best_of(trials, definition.objective)
    if best is not None:
        replace_durably(folder.best, as_preset(definition, best).encode())


def as_csv(definition: Definition, trials: Iterable[Trial]) -> str:
    """The trials as comma-separated values, in the order of their numbers."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    seeds = [f"seed {seed}" for seed in definition.seeds]
    objective = definition.objective.name
    writer.writerow(["trial", "state", objective, *definition.space, *seeds, "reason"])
    for trial in trials:
        values = [repr(value) for value in trial.values]
        values += [""] * (len(seeds) - len(values))
        settings = [trial.settings.get(name) for name in definition.space]
        value = "" if trial.value is None else repr(trial.value)
        cells = [trial.number, trial.state, value, *settings, *values, trial.reason or ""]
        writer.writerow(["none" if cell is None else cell for cell in cells])
    return text.getvalue()


def as_preset(definition: Definition, trial: Trial) -> str:
    """A trial's settings as a preset file: the differences from a preset of Frank's."""
    settings = definition.settings.with_changes(**trial.settings)
    base = definition.preset if definition.preset in preset_names() else None
    tables = _differences(settings, None if base is None else load_preset(base))
    seeds = ", ".join(map(str, definition.seeds))
    lines = [
        f"# Trial {trial.number}: {definition.objective.name} {figure(trial.value or 0.0)} "
        f"on the seeds {seeds} of {definition.env_id}.".replace("\n", " "),
        "# Report its returns on other seeds: these were chosen among.",
        *([] if base is None else [f'base = "{base}"']),
    ]
    return "\n".join(["\n".join(lines) + "\n", *(toml_table(*table) for table in tables.items())])


def _differences(settings: Settings, base: Settings | None) -> Mapping[str, dict[str, Any]]:
    """The tables of settings that differ from a base; all of them if there is none."""
    tables = settings.to_tables()
    if base is None:
        return tables
    usual = base.values()
    kept = {
        group: {name: value for name, value in values.items() if value != usual[name]}
        for group, values in tables.items()
    }
    return {group: values for group, values in kept.items() if values}
