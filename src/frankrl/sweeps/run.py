"""A sweep from its arguments to its result."""

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from frankrl.cluster import check_engine, engine_for
from frankrl.config import Settings
from frankrl.config.presets import default_preset, load_preset
from frankrl.core.errors import FrankError, RunFolderError, SettingError, check_type
from frankrl.core.figures import counted
from frankrl.core.paths import given_path
from frankrl.core.wording import option
from frankrl.display.progress_bar import progress_bar
from frankrl.environments import exists_already, named_env
from frankrl.jobs import Driver, Engine
from frankrl.jobs.pruning import PRUNERS as PRUNERS_WITHIN_A_RUN
from frankrl.runs import check_preset
from frankrl.sweeps.definition import Definition
from frankrl.sweeps.driver import SweepDriver
from frankrl.sweeps.folder import SweepFolder
from frankrl.sweeps.journal import Journal
from frankrl.sweeps.options import TUNING_SEED, SweepOptions, defined, path_of
from frankrl.sweeps.results import SweepResult, best_of, write_results
from frankrl.sweeps.trial import Trial
from frankrl.training.preparing import file_name_of

OnTrial = Callable[[Trial, int, int, "Trial | None"], None]
"""Takes a trial that is over, how many are, the number of all, and the best one so far."""


def sweep(
    env: Any,
    *,
    space: Mapping[str, Mapping[str, Any]] | str | os.PathLike[str],
    trials: int = 20,
    seeds: int = 3,
    seed: int = TUNING_SEED,
    preset: str | None = None,
    out: str | os.PathLike[str] | None = None,
    sampler: str = "tpe",
    pruner: str = "racing",
    objective: str = "final_return",
    lag: int = 0,
    processes: int = 0,
    ray: str = "",
    publish: str | os.PathLike[str] = "",
    progress: bool = True,
    on_trial: OnTrial = lambda trial, done, of, best: None,
    **settings: Any,
) -> SweepResult:
    """Search settings: try some over several seeds each, and find the best ones.

    The same call continues a sweep that was interrupted, and ends with the same trials.

    Args:
        env: an environment, as for `train`, that other processes can make: by its name, or a
            module's class or function.
        space: what to search: for each setting a table with `low`, `high` and perhaps `log` or
            `step`, or with `choices`. Or the path of a TOML file with these tables.
        trials: number of trials. A sweep continues with more if a later call asks for more.
        seeds: number of runs of each trial, which differ in their seeds alone.
        seed: the first seed; the others follow it. It decides the search, too.
        preset: as for `train`.
        out: the sweep's folder; None: `sweeps/<env>-<name of the file>`.
        sampler: how settings are drawn: `tpe` (Tree-structured Parzen Estimator), `random`, or
            `grid` for every combination in turn.
        pruner: what ends a trial early: `none`; `racing`, seed by seed; `median` or `hyperband`,
            within a run.
        objective: what is improved: `final_return`, `mean_return`, `env_steps_to_solved` or
            `seconds_to_solved`.
        lag: trials under way at once: each one follows from the results of those so many before
            it. It decides the trials; 0: the number of processes when the sweep begins.
        processes: number of runs in parallel, which changes no result; 0: one per processor core.
        ray: address of a Ray cluster for the runs, `HOST:PORT` or `auto`; empty: this machine.
        publish: shared storage for the runs on a cluster while they go on: a folder that its
            machines share, or an address such as `s3://bucket/folder`, so that `out` may be a
            folder of this machine; empty: in `out`, which they must share.
        progress: as for `train`.
        on_trial: called for each trial that is over, with the number of those, the number of all,
            and the best trial so far.
        **settings: settings by their names, for all trials.

    Raises:
        FrankError: an argument is not allowed, the machine fails, or every trial fails.
    """
    options = SweepOptions(
        trials=trials,
        seeds=seeds,
        seed=seed,
        sampler=sampler,
        pruner=pruner,
        objective=objective,
        lag=lag,
        processes=processes,
        ray=ray,
        publish=publish,
    )
    env_id, env_kwargs = named_env(env)
    if exists_already(env_id):
        raise SettingError(
            f"{env_id} is one environment, which exists already, and a sweep needs one for each "
            "run: give its class, or a function that makes it, from a module"
        )
    if preset is not None:
        check_type(preset, "preset", str, "the name of a preset or of a TOML file, or None")
    check_type(progress, "progress", bool, "True or False")
    preset = preset or default_preset(env_id, settings.get("q_function", "network"))
    check_preset(preset, settings)
    base = load_preset(preset).with_changes(**settings)
    if env_kwargs:
        base = base.with_changes(env_kwargs=env_kwargs | base.environment.env_kwargs)
    return run_sweep(
        env_id,
        preset,
        base,
        settings,
        space,
        out,
        options,
        progress=progress,
        on_trial=on_trial,
    )


def run_sweep(
    env_id: str,
    preset: str,
    base: Settings,
    fixed: Mapping[str, Any],
    space: Any,
    out: str | os.PathLike[str] | None,
    options: SweepOptions,
    *,
    progress: bool = True,
    on_trial: OnTrial = lambda trial, done, of, best: None,
    on_begin: Callable[[str], None] = lambda plan: None,
    print_command: Callable[[str], None] | None = None,
) -> SweepResult:
    """Do a sweep; arguments and errors as for `sweep`.

    Args:
        env_id: name of the environment.
        preset: name of the preset.
        base: the preset's settings with the fixed ones.
        fixed: the settings that were given, by name.
        space: as for `sweep`.
        out: likewise.
        options: how the sweep is done.
        progress: as for `sweep`.
        on_trial: likewise.
        on_begin: called before the first run, with what will be done, in words.
        print_command: called with the command line of each run that can be done now, instead of
            doing them here; call the function again when they have been done.
    """
    options.check()
    check_engine(options.ray, options.publish, printed=print_command is not None)
    definition, num_trials = defined(env_id, preset, base, fixed, space, options)
    folder = SweepFolder(_place(env_id, space, out))
    make_engine = functools.partial(
        engine_for,
        options.processes,
        folder.path,
        ray=options.ray,
        publish=options.publish,
        prunes=options.pruner in PRUNERS_WITHIN_A_RUN,
        print_command=print_command,
    )
    engine = None
    with contextlib.ExitStack() as stack:
        if options.asks_cluster and not folder.definition.exists():
            folder.check_free()
            engine = stack.enter_context(contextlib.closing(make_engine()))
            definition = dataclasses.replace(definition, lag=engine.slots)
        definition, claim = stack.enter_context(
            folder.opened(definition, num_trials, lag_given=options.lag > 0)
        )
        on_begin(
            f"{counted(num_trials, 'trial')} of {counted(len(definition.seeds), 'run')} each, "
            f"{definition.lag} at a time {options.in_words(definition.lag)}: {folder.path}"
        )
        show = stack.enter_context(progress_bar("training", "trials", progress=progress))
        make_known = (lambda: engine) if engine is not None else make_engine
        _search(folder, definition, num_trials, claim, make_known, show, on_trial)
    result = SweepResult.of_folder(folder)
    if result.is_complete and all(trial.state == "failed" for trial in result.trials):
        raise FrankError(
            f"every trial of {folder.path} has failed; the first one: {result.trials[0].reason}"
        )
    return result


def _search(
    folder: SweepFolder,
    definition: Definition,
    num_trials: int,
    claim: Driver,
    make_engine: Callable[[], Engine],
    show: Callable[[int, int], None],
    on_trial: OnTrial,
) -> None:
    """Do the trials of a sweep that are not over, and keep its files up to date meanwhile."""

    def changed(trial: Trial) -> None:
        journal.take(trial)
        if trial.is_over:
            there = list(driver.trials.values())
            write_results(folder, definition, there)
            show(driver.num_over, num_trials)
            on_trial(trial, driver.num_over, num_trials, best_of(there, definition.objective))

    driver = SweepDriver(folder, definition, num_trials, on_change=changed)
    journal = Journal(folder, definition, driver.trials.values())
    with contextlib.closing(journal):
        show(driver.num_over, num_trials)
        try:
            if driver.num_over < num_trials:
                claim.run(make_engine(), driver.next_job, driver.take)
            write_results(folder, definition, list(driver.trials.values()))
        except OSError as error:
            raise RunFolderError(
                f"the sweep {folder.path} cannot be written: {error.strerror or error}; the same "
                "command continues"
            ) from error


def _place(env_id: str, space: Any, out: str | os.PathLike[str] | None) -> Path:
    """The folder of a sweep; the same one for the same command."""
    if out is not None:
        return given_path(out, option("out")).absolute()
    name = file_name_of(env_id)
    if not isinstance(space, Mapping):
        name = f"{name}-{file_name_of(path_of(space).stem)}"
    return (Path("sweeps") / name).absolute()
