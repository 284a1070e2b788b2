"""Some runs side by side: the settings in which they differ, their results, their machines."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from frankrl.config import Clock
from frankrl.core.errors import FrankError, SettingError
from frankrl.core.figures import figure
from frankrl.core.text import shown
from frankrl.listing.columns import NOTHING, aligned
from frankrl.listing.listed_run import ListedRun
from frankrl.listing.run_list import list_runs
from frankrl.listing.run_settings import settings_side_by_side
from frankrl.runs.folder import RunFolder
from frankrl.runs.metrics import MetricsReader

MAX_COMPARED = 24
"""Number of runs that are compared at most."""
_AT_LEAST = 2
_Row = tuple[Any, ...]
"""A value for each run."""


@dataclass(frozen=True, repr=False)
class RunComparison:
    """Some runs side by side; it prints as a table.

    Each table has rows by their name, and in a row a value for each run, None where it has none.
    """

    runs: tuple[Path, ...]
    settings: Mapping[str, _Row]
    """What was chosen and differs, as text: environment, preset, seed and settings."""
    results: Mapping[str, _Row]
    """`state`, `clock` (what the run counts: `env steps`, or `updates` of a run that does not act),
    `env_steps`, `mean_return` (of the last 100 training episodes), `best_return`,
    `final_return` and half the width of its 95 % interval, `solved_at`, `seconds`,
    `env_steps_per_second`, and in `not_reproducible` why a run may differ from an uninterrupted one
    in its bits; empty: it does not."""
    versions: Mapping[str, _Row]
    """Versions that differ."""
    machine: Mapping[str, _Row]
    """Facts about the machines that differ."""

    def __repr__(self) -> str:
        head = [f"{number}  {shown(run)}" for number, run in enumerate(self.runs, 1)]
        return "\n".join([*head, "", *aligned(list(self.rows()))])

    def _repr_html_(self) -> str:
        """The table in a notebook."""
        items = "".join(f"<li>{escape(shown(run))}</li>" for run in self.runs)
        rows = "".join(
            f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in self.rows()
        )
        return f"<ol>{items}</ol><table>{rows}</table>"

    def tables(self) -> dict[str, Mapping[str, _Row]]:
        """The tables by their titles."""
        return {
            "settings": self.settings,
            "results": self.results,
            "versions": self.versions,
            "machine": self.machine,
        }

    def rows(self) -> Iterator[list[str]]:
        """The rows of the table as text: a head, then a row for each name."""
        yield ["", *map(str, range(1, len(self.runs) + 1))]
        for title, table in self.tables().items():
            if table:
                yield [f"[{title}]", *[""] * len(self.runs)]
            named = _result_rows(table) if title == "results" else table.items()
            for name, values in named:
                yield [shown(name), *(_text(name, value) for value in values)]


def compare_runs(runs: Sequence[str | os.PathLike[str]]) -> RunComparison:
    """Some runs side by side. Nothing is changed.

    Args:
        runs: two run folders or more.

    Raises:
        RunFolderError: one is no run.
        SettingError: too few or too many are named.
    """
    runs = [runs] if isinstance(runs, str | os.PathLike) else runs
    if not _AT_LEAST <= len(runs) <= MAX_COMPARED:
        raise SettingError(
            f"{_AT_LEAST} to {MAX_COMPARED} runs can be compared, got {len(runs)}: name their "
            "folders"
        )
    folders = [RunFolder.open(run) for run in runs]
    results = [_results(folder, list_runs(folder.path)[0]) for folder in folders]
    tables: dict[str, dict[str, _Row]] = {"settings": {}, "versions": {}, "machine": {}}
    for row in settings_side_by_side([folder.description for folder in folders]):
        if row["differs"]:
            group = row["group"] if row["group"] in tables else "settings"
            tables[group][row["name"]] = tuple(row["values"])
    return RunComparison(
        runs=tuple(folder.path for folder in folders),
        results={name: tuple(result[name] for result in results) for name in results[0]},
        **tables,
    )


def _results(folder: RunFolder, run: ListedRun) -> dict[str, Any]:
    results = {
        "state": run.state,
        "clock": folder.description.settings.clock,
        "env_steps": run.env_steps,
        "mean_return": run.mean_return,
        "best_return": run.best_return,
        "final_return": run.final_return,
        "final_return_spread": run.final_return_spread or None,
        "solved_at": run.solved_at,
        "seconds": None,
        "env_steps_per_second": None,
        "not_reproducible": None,
    }
    try:
        return results | _of_metrics(folder)
    except FrankError:
        return results


def _of_metrics(folder: RunFolder) -> dict[str, Any]:
    """Speed and marks of a run; a speed counts evaluations and checkpoints in."""
    reader, clock = MetricsReader(folder.metrics), folder.description.settings.clock
    try:
        timing = reader.columns("timing", "env_steps = (SELECT max(env_steps) FROM timing)")
        marks = reader.columns("not_reproducible")
    finally:
        reader.close()
    found: dict[str, Any] = {
        "not_reproducible": "; ".join(
            f"from {clock.at(int(step))} on: {shown(reason)}"
            for step, reason in zip(marks["env_steps"], marks.get("reason", ()), strict=True)
        )
    }
    if len(timing["env_steps"]):
        seconds = float(timing["seconds"][0])
        found["seconds"] = seconds
        found["env_steps_per_second"] = (
            float(timing["env_steps"][0]) / seconds if seconds > 0 else None
        )
    return found


def _result_rows(results: Mapping[str, _Row]) -> Iterator[tuple[str, _Row]]:
    """The results by the names that people read: what a run counts stands in its own unit."""
    clocks: tuple[Clock, ...] = results["clock"]
    for name, values in results.items():
        shown_name = name.replace("_", " ")
        if name in ("env_steps", "env_steps_per_second"):
            for clock in dict.fromkeys(clocks):
                yield (
                    shown_name.replace(Clock.ENV_STEPS, clock),
                    tuple(
                        value if own is clock else None
                        for value, own in zip(values, clocks, strict=True)
                    ),
                )
        elif name == "solved_at" and len(set(clocks)) > 1:
            yield (
                shown_name,
                tuple(
                    None if value is None else clock.at(value)
                    for value, clock in zip(values, clocks, strict=True)
                ),
            )
        elif name != "clock":
            yield shown_name, values


def _text(name: str, value: Any) -> str:
    if value is None:
        return NOTHING
    if name == "not reproducible":
        return value or "no"
    if isinstance(value, float):
        return figure(value)
    return f"{value:,}" if isinstance(value, int) else shown(value)
