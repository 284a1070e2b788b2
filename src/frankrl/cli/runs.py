"""`frank runs`: list, filter, compare and remove runs."""

import dataclasses
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import tyro

from frankrl.cli.output import print_result
from frankrl.cli.parsing import parse, say
from frankrl.cli.tables import print_table
from frankrl.core.errors import FrankError, RunFolderError, SettingError, nearest
from frankrl.core.figures import counted
from frankrl.core.paths import given_path
from frankrl.core.text import shown

SUBCOMMANDS = ("compare", "remove")
"""What `frank runs` does besides listing."""
_DEFAULT = "runs"
_Several = tyro.conf.UseAppendAction[tuple[str, ...]]
_DESCRIPTION = (
    "List runs with their state, returns and size. Only reads. `frank runs compare RUN RUN …` lays "
    "runs side by side; `frank runs remove RUN …` removes runs, or their older checkpoints."
)


@dataclass(frozen=True)
class RunsOptions:
    """Options of `frank runs`."""

    folders: tyro.conf.Positional[tuple[str, ...]] = (_DEFAULT,)
    """Folders that contain runs, or runs. The runs of several seeds that were trained together are
    one line, unless their folder is named."""
    env: _Several = ()
    """Only runs in this environment; may be given several times, as may --preset, --state and
    --seed."""
    preset: _Several = ()
    """Only runs of this preset."""
    state: _Several = ()
    """Only runs in this state: not started, running, finished, stopped, pruned, broken off,
    unreadable."""
    seed: tyro.conf.UseAppendAction[tuple[int, ...]] = ()
    """Only runs with this seed."""
    where: _Several = ()
    """Only runs of which this holds: a setting or a result (seed, env_steps, updates, mean_return,
    best_return, final_return, solved_at, size), one of = != < <= > >=, and a value. Given several
    times, all must hold. Example: 'learning_rate>0.001'"""
    sort: str = "run"
    """Order: run, env, preset, state, written, a result as for --where, or a setting. Texts are in
    order of the alphabet, numbers from the largest, times from the newest."""
    reverse: bool = False
    """Turn the order round; runs without a value stay last."""
    limit: int | None = None
    """Show the first so many only."""
    json: bool = False
    """Print one JSON object for each run, a line each."""


@dataclass(frozen=True)
class CompareOptions:
    """Options of `frank runs compare`."""

    runs: tyro.conf.Positional[tuple[str, ...]]
    """Run folders, two or more."""
    json: bool = False
    """Print one JSON object instead of a table."""


@dataclass(frozen=True)
class RemoveOptions:
    """Options of `frank runs remove`."""

    runs: tyro.conf.Positional[tuple[str, ...]]
    """Run folders, or folders of runs with several seeds, all of whose runs are meant."""
    checkpoints: bool = False
    """Keep the runs, and of their checkpoints the newest; the best agent stays too."""
    yes: Annotated[bool, tyro.conf.arg(aliases=("-y",))] = False
    """Remove without being asked; needed where nobody can be asked."""


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    if arguments and arguments[0] in SUBCOMMANDS:
        return (_compare if arguments[0] == "compare" else _remove)(arguments[1:])
    options = parse(RunsOptions, arguments, "runs", _DESCRIPTION)
    return _list(options)


def _list(options: RunsOptions) -> int:
    from frankrl.listing.columns import NUMBERS, table_rows
    from frankrl.listing.conditions import condition, ordered
    from frankrl.listing.run_list import unreadable_lines
    from frankrl.listing.selection import Selection, selected

    if options.limit is not None and options.limit < 1:
        raise SettingError(f"limit must be at least 1, got {options.limit}")
    conditions = [condition(text) for text in options.where]
    ordered([], options.sort)
    listed = _listed(options.folders or (_DEFAULT,))
    states = [state.replace("-", " ") for state in options.state]
    wanted = Selection(options.env, options.preset, states, options.seed, conditions)
    runs = ordered(selected(listed, wanted), options.sort, reverse=options.reverse)
    runs = runs[: options.limit]
    if options.json:
        for each in runs:
            print_result(json.dumps(_as_json(each), allow_nan=False))
        return 0
    if not runs:
        say("no run is of this kind" if listed else "no runs; `frank train ENV` makes one")
        return 0
    print_table(table_rows(runs), NUMBERS)
    for line in unreadable_lines(runs):
        say(line)
    return 0


def _listed(folders: Sequence[str]) -> list[Any]:
    """The runs below folders, each once, by the paths that other commands take."""
    from frankrl.listing.run_list import list_runs

    found = {}
    for folder in folders:
        root = given_path(folder, "the folder of runs")
        if not root.is_dir():
            if folder == _DEFAULT:
                continue
            raise RunFolderError(
                f"there is no folder {shown(folder)}{nearest(folder, SUBCOMMANDS)}: name one that "
                "contains runs"
            )
        for each in list_runs(root):
            name = root / each.path.relative_to(root.resolve())
            found.setdefault(each.path, dataclasses.replace(each, name=str(name)))
    return list(found.values())


def _as_json(run: Any) -> dict[str, Any]:
    """A run as JSON data, without its settings."""
    values = {
        field.name: getattr(run, field.name)
        for field in dataclasses.fields(run)
        if field.name not in ("name", "settings")
    }
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    """A value as JSON data; a number that is not finite, which a foreign file may hold, as null."""
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _compare(arguments: Sequence[str]) -> int:
    description = "Lay runs side by side: the settings in which they differ, results, machines."
    options = parse(CompareOptions, arguments, "runs compare", description)

    from frankrl.listing.comparison import compare_runs

    comparison = compare_runs(options.runs)
    if options.json:
        tables = {
            title: {name: [_plain(value) for value in row] for name, row in table.items()}
            for title, table in comparison.tables().items()
        }
        print_result(json.dumps({"runs": [str(run) for run in comparison.runs]} | tables))
        return 0
    for number, each in enumerate(options.runs, 1):
        print_result(f"{number}  {shown(each)}")
    print_result("")
    print_table(list(comparison.rows()))
    return 0


def _remove(arguments: Sequence[str]) -> int:
    description = "Remove runs from the disk, or their older checkpoints."
    options = parse(RemoveOptions, arguments, "runs remove", description)
    if not options.runs:
        raise FrankError("name at least one run folder, as `frank runs` shows them")

    from frankrl.listing.columns import size_text
    from frankrl.runs.disk_usage import disk_usage
    from frankrl.runs.removal import finish_removals, remove_older_checkpoints, remove_runs
    from frankrl.runs.remove import remove_group

    going = _going(options)
    if not going.folders and not going.half:
        say("nothing to remove: no run has more than one checkpoint")
        return 0
    for name, folders in going.folders.items():
        what = f"{counted(len(folders), 'checkpoint')}, " if options.checkpoints else ""
        what = f"{counted(len(going.groups[name]), 'run')}, " if name in going.groups else what
        say(f"{shown(name)}: {what}{size_text(disk_usage(folders).total)}")
    for name in going.half:
        say(f"{shown(name)}: what a removal that was interrupted has left")
    every = [folder for folders in going.folders.values() for folder in folders]
    freed = size_text(disk_usage(every).freed)
    of = "the older checkpoints of " if options.checkpoints else ""
    which = f"{of}{counted(going.num_runs + len(going.half), 'run')}"
    if not options.yes and not _agreed(f"Remove {which} ({freed})?"):
        say("nothing was removed")
        return 0
    if options.checkpoints:
        for path in going.runs:
            remove_older_checkpoints(path)
    else:
        remove_runs(going.runs)
        for group in going.groups:
            remove_group(given_path(group, "the run folder").absolute())
        finish_removals(going.half.values())
    print_result(f"removed {which}, which frees {freed}")
    return 0


class _Going(NamedTuple):
    """What a removal is of, by the names on the command line."""

    folders: dict[str, list[Path]]
    """The folders that go: of a run or a group itself, or some of its checkpoints."""
    runs: list[Path]
    """The runs that are named themselves, or of which checkpoints go."""
    groups: dict[str, list[Path]]
    """The runs of each group that goes."""
    half: dict[str, Path]
    """Runs that an interrupted removal has left something of."""

    @property
    def num_runs(self) -> int:
        return len(self.runs) + sum(map(len, self.groups.values()))


def _going(options: RemoveOptions) -> _Going:
    """What goes; nothing is changed.

    Raises:
        RunFolderError: one of the runs cannot be removed.
    """
    from frankrl.runs.group import is_group
    from frankrl.runs.removal import is_half_removed, older_checkpoints, removable
    from frankrl.runs.remove import removable_group

    going = _Going({}, [], {}, {})
    paths = {given_path(name, "the run folder").absolute(): name for name in options.runs}
    groups = {path for path in paths if is_group(path)}
    for path, name in paths.items():
        if path.parent in groups:
            # It goes with its group.
            continue
        if not options.checkpoints and is_half_removed(path):
            going.half[name] = path
            continue
        is_one = path not in groups
        runs = [removable(path)] if is_one else removable_group(path)
        if options.checkpoints:
            runs = [run for run in runs if older_checkpoints(run)]
            going.runs.extend(runs)
            folders = [folder for run in runs for folder in older_checkpoints(run)]
            going.folders.update({name: folders} if folders else {})
            continue
        going.folders[name] = runs if is_one else [path]
        if is_one:
            going.runs.extend(runs)
        else:
            going.groups[name] = runs
    return going


def _agreed(question: str) -> bool:
    """Whether the person at the terminal agrees.

    Raises:
        FrankError: there is no terminal.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise FrankError("nobody can be asked here, so nothing was removed: say --yes to remove")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
