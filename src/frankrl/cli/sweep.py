"""`frank sweep`: search settings over several seeds."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tyro

from frankrl.cli.output import print_result
from frankrl.cli.parsing import named_settings, parse, say
from frankrl.cli.setting_flags import SettingFlags
from frankrl.config.answers import taken_apart
from frankrl.config.presets import default_preset, load_preset
from frankrl.core.errors import FrankError
from frankrl.core.figures import figure
from frankrl.display.terminal import can_redraw

if TYPE_CHECKING:
    from frankrl.sweeps.results import SweepResult
    from frankrl.sweeps.trial import Trial

_DESCRIPTION = (
    "Search settings: draw some for each trial, train with several seeds, and keep the best ones "
    "as a preset. The flag of any setting fixes it for all trials. The same command continues a "
    "sweep that was interrupted."
)


@dataclass(frozen=True)
class SweepFlags(SettingFlags):
    """Options of `frank sweep`."""

    env: tyro.conf.Positional[str] = ""
    """Environment, as for `frank train`."""
    space: str = ""
    """TOML file with a table for each setting to search: low and high, perhaps log or step; or
    choices."""
    trials: int = 20
    """Number of trials. With more than before, the same command goes on. [trials]"""
    seeds: int = 3
    """Number of runs of each trial, which differ in their seeds alone. [seeds]"""
    seed: int = 100
    """The first seed; the others follow it. It decides the search, too."""
    preset: str = ""
    """Settings of every trial, as for `frank train`."""
    out: str = ""
    """Folder of the sweep; empty: `sweeps/<env>-<name of the space's file>`."""
    sampler: str = "tpe"
    """How settings are drawn: tpe (Tree-structured Parzen Estimator), random, or grid for every
    combination in turn."""
    pruner: str = "racing"
    """What ends a trial early: none; racing, seed by seed; median or hyperband, within a run."""
    objective: str = "final_return"
    """What is improved: final_return, mean_return (over the whole training), env_steps_to_solved,
    or seconds_to_solved, which depends on the machine."""
    lag: int = 0
    """Trials under way at once: each one follows from the results of those so many before it. 0:
    the number of processes when the sweep begins."""
    processes: int = 0
    """Number of runs in parallel. It changes no result, but it is the lag of a new sweep for which
    `--lag` is not given. 0: one per processor core."""
    ray: str = ""
    """Train on this Ray cluster: HOST:PORT of its head, or auto. All its machines must share the
    folder `--out`, or see the storage of `--publish`."""
    publish: str = ""
    """With `--ray`: shared storage for the runs while they go on, a folder or an address such as
    `s3://bucket/folder`, so that `--out` may be a folder of this machine; empty: in `--out`."""
    print: bool = False
    """Print a command for each run that can be done now instead of training here, one line each,
    for a batch system; the same command then continues."""
    show: str = ""
    """Show the trials of this sweep's folder as they stand; nothing is trained."""
    json: bool = False
    """End with one JSON line on standard output: the best trial, and all trials."""


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    words, foreign = taken_apart(arguments)
    flags = parse(SweepFlags, words, "sweep", _DESCRIPTION)
    if flags.show:
        return _show(flags, words)
    if not flags.env or not flags.space:
        raise FrankError(
            "name an environment and a space, for example: frank sweep CartPole-v1 --space "
            "space.toml (or a sweep's folder with --show FOLDER)"
        )
    if flags.print and flags.json:
        raise FrankError(
            "--print ends before there are results, so there is nothing for --json: give it with "
            "the command that continues"
        )
    preset = flags.preset or default_preset(flags.env, flags.network.q_function)
    named = flags.values_of(named_settings(words))
    base = load_preset(preset).with_changes(**named, **foreign)

    from frankrl.environments.preprocessing import refuse_settings_of_atari
    from frankrl.runs import check_preset
    from frankrl.sweeps.options import SweepOptions
    from frankrl.sweeps.run import run_sweep

    check_preset(preset, named)
    refuse_settings_of_atari(flags.env, named)
    names = SweepOptions.__dataclass_fields__
    options = SweepOptions(**{name: getattr(flags, name) for name in names})
    result = run_sweep(
        flags.env,
        preset,
        base,
        named,
        flags.space,
        flags.out or None,
        options,
        on_trial=_say_trial,
        on_begin=say,
        print_command=print_result if flags.print else None,
    )
    _end(result, as_json=flags.json, printed=flags.print)
    return 0


def _show(flags: SweepFlags, words: Sequence[str]) -> int:
    if flags != SweepFlags(show=flags.show, json=flags.json) or named_settings(words):
        raise FrankError("--show FOLDER reads a sweep as it is: give nothing but --json with it")

    from frankrl.core.paths import given_path
    from frankrl.sweeps.folder import SweepFolder
    from frankrl.sweeps.results import SweepResult

    result = SweepResult.of_folder(SweepFolder(given_path(flags.show, "--show").absolute()))
    _end(result, as_json=flags.json, printed=False)
    return 0


def _end(result: "SweepResult", *, as_json: bool, printed: bool) -> None:
    """Show what there is. Of printed commands the standard output holds nothing else."""
    if printed and not result.is_complete:
        say(f"{result.summary()}; when these commands are done, the same command continues")
        return
    print_result(result.markdown())
    say(result.summary())
    if result.best is not None:
        from frankrl.sweeps.folder import SweepFolder

        say(f"the best settings: {SweepFolder(result.path).best}")
    if as_json:
        print_result(json.dumps(result.to_plain(), allow_nan=False))


def _say_trial(trial: "Trial", done: int, of: int, best: "Trial | None") -> None:
    """A line for each trial that is over, where no bar can be drawn."""
    if can_redraw(sys.stderr):
        return
    value = "" if trial.value is None else f" {figure(trial.value)}"
    so_far = "" if best is None else f", best so far: trial {best.number}"
    reason = f" ({trial.reason})" if trial.state == "failed" else ""
    say(f"trial {trial.number}, {done} of {of} over: {trial.state}{value}{reason}{so_far}")
