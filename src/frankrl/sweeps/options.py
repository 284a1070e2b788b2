"""What a sweep is asked for, checked before anything is written."""

import importlib.metadata
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frankrl.cluster import check_processes
from frankrl.config import Settings
from frankrl.core.backend import visible_cpus
from frankrl.core.errors import SettingError, nearest
from frankrl.core.figures import counted
from frankrl.core.paths import given_path
from frankrl.core.seeds import seeds_from
from frankrl.core.text import given
from frankrl.core.wording import option
from frankrl.environments import describe_for
from frankrl.jobs import Job
from frankrl.jobs.optuna_in_memory import check_optuna
from frankrl.jobs.pruning import MAX_EARLIER_EVALUATIONS
from frankrl.jobs.pruning import PRUNERS as PRUNERS_WITHIN_A_RUN
from frankrl.sweeps.definition import PRUNERS, Definition
from frankrl.sweeps.objectives import Objective, check_objective, objective_named
from frankrl.sweeps.sampling import SAMPLERS, num_points
from frankrl.sweeps.space import check_fits, load_space, space_of

MAX_TRIALS = 10_000
TUNING_SEED = 100
"""Seeds that settings were chosen on say nothing about others, so sweeps begin with this one, and
seeds for reports with 0."""
_OF_EVALUATIONS = (
    "total_env_steps",
    "total_updates",
    "evaluate_every_env_steps",
    "evaluate_every_updates",
    "evaluation_starts_env_steps",
)
"""Settings that decide at which env steps a run is evaluated."""


@dataclass(frozen=True)
class SweepOptions:
    """How a sweep searches, and where."""

    trials: int = 20
    seeds: int = 3
    seed: int = TUNING_SEED
    sampler: str = "tpe"
    pruner: str = "racing"
    objective: str = "final_return"
    lag: int = 0
    processes: int = 0
    ray: str = ""
    publish: str | os.PathLike[str] = ""

    def check(self) -> None:
        """Refuse options that are not allowed.

        Raises:
            SettingError: one is not.
        """
        for name, least, most in (("trials", 1, MAX_TRIALS), ("lag", 0, MAX_TRIALS)):
            value = getattr(self, name)
            is_whole = isinstance(value, int) and not isinstance(value, bool)
            if not is_whole or not least <= value <= most:
                raise SettingError(
                    f"{option(name)} must be a whole number from {least} to {most:,}, got "
                    f"{given(value)}"
                )
        for name, allowed in (("sampler", SAMPLERS), ("pruner", PRUNERS)):
            value = getattr(self, name)
            if value not in allowed:
                raise SettingError(
                    f"{option(name)} must be one of {', '.join(allowed)}, got {given(value)}"
                    f"{nearest(str(value), allowed)}"
                )
        check_processes(self.processes)

    @property
    def local_processes(self) -> int:
        """The number of processes on this machine."""
        return self.processes or visible_cpus()

    @property
    def asks_cluster(self) -> bool:
        """Whether the lag of a new sweep is the number of CPUs of a cluster."""
        return bool(self.ray) and not self.lag and not self.processes

    def in_words(self, lag: int) -> str:
        """Where the runs are done, of so many trials at once."""
        if self.ray and not self.processes:
            return "on the cluster"
        return f"in {counted(min(self.local_processes, lag), 'process', 'processes')}"


def defined(
    env_id: str,
    preset: str,
    base: Settings,
    fixed: Mapping[str, Any],
    space: Any,
    options: SweepOptions,
) -> tuple[Definition, int]:
    """The definition of a sweep and its number of trials, after all that can be checked.

    Raises:
        FrankError: something is not allowed; nothing has been written.
    """
    check_optuna()
    options.check()
    seeds = seeds_from(options.seed, options.seeds)
    objective = objective_named(options.objective)
    searched = space_of(space) if isinstance(space, Mapping) else load_space(path_of(space))
    check_fits(searched, base, fixed)
    settings = _with_objective(base, objective, {*fixed, *searched})
    # Before anything is written, whether another process can do it.
    Job(env_id, preset, settings.resolved(), seeds[0], Path("/")).to_json()
    check_objective(objective, describe_for(env_id, settings), settings)
    definition = Definition(
        env_id,
        preset,
        settings,
        {name: base.values()[name] for name in fixed},
        searched,
        objective,
        seeds,
        options.sampler,
        options.pruner,
        options.lag or options.local_processes,
        {name: importlib.metadata.version(name) for name in ("frankrl", "optuna")},
    )
    num_trials = _num_trials(definition, options.trials)
    _check_pruner(definition, num_trials)
    return definition, num_trials


def _with_objective(settings: Settings, objective: Objective, named: set[str]) -> Settings:
    """The settings of every trial: what counts is when a run is solved, so it ends then."""
    if not objective.needs_threshold or "until_solved" in named:
        return settings
    if settings.evaluate_every is None:
        return settings
    return settings.with_changes(until_solved=True)


def _check_pruner(definition: Definition, num_trials: int) -> None:
    """Refuse a pruner that has nothing to compare, or too much."""
    if definition.pruner not in PRUNERS_WITHIN_A_RUN:
        return
    if searched := [name for name in _OF_EVALUATIONS if name in definition.space]:
        raise SettingError(
            f"{option('pruner')} {definition.pruner} compares runs at the same env steps, so "
            f"{', '.join(searched)} cannot be searched with it: use the pruner racing or none"
        )
    if definition.num_evaluations < 2:
        raise SettingError(
            f"{option('pruner')} {definition.pruner} needs at least 2 evaluations in a run, and "
            f"here there {'is' if definition.num_evaluations == 1 else 'are'} "
            f"{definition.num_evaluations}: lower evaluate_every_env_steps"
        )
    if num_trials * definition.num_evaluations > MAX_EARLIER_EVALUATIONS:
        raise SettingError(
            f"{option('pruner')} {definition.pruner} compares at most "
            f"{MAX_EARLIER_EVALUATIONS:,} evaluations of all trials, and {num_trials:,} trials "
            f"with {definition.num_evaluations:,} evaluations in a run have more: raise "
            f"evaluate_every_env_steps, lower {option('trials')}, or use the pruner racing"
        )


def _num_trials(definition: Definition, wanted: int) -> int:
    """The number of trials; of a grid no more than its points."""
    if definition.sampler != "grid":
        return wanted
    points, endless = num_points(definition.space)
    if points is None:
        raise SettingError(
            f"a grid needs numbers that can be counted: give {', '.join(endless)} a step or "
            "choices, or use another sampler"
        )
    return min(wanted, points)


def path_of(space: Any) -> Path:
    """The file of a space.

    Raises:
        SettingError: it is no path.
    """
    if not isinstance(space, str | os.PathLike):
        raise SettingError(
            f"space must be a table for each setting, or the path of a TOML file, got "
            f"{given(space)}"
        )
    return given_path(space, option("space"))
