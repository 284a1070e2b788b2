"""A run from its settings to its first round: everything that can be checked is checked."""

import contextlib
import functools
import os
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from frankrl.config import Settings
from frankrl.config.choices import shown
from frankrl.core.absent import is_absent
from frankrl.core.backend import prepared, start_backend
from frankrl.core.errors import RunFolderError, SettingError
from frankrl.core.numerics import own_numerics
from frankrl.core.paths import given_path
from frankrl.core.random import check_seed
from frankrl.core.wording import option
from frankrl.environments import EnvironmentSpec, describe_for
from frankrl.runs import (
    LEARNING,
    DataOrigin,
    RunDescription,
    RunFolder,
    all_versions,
    check_code,
    list_checkpoints,
)
from frankrl.runs.disk import refuse_shared
from frankrl.runs.lock import LOCK
from frankrl.runs.metrics import metrics_files
from frankrl.runs.place import refuse_existing
from frankrl.trackers import check_permitted, check_trackers
from frankrl.training import Experiment, Trainer
from frankrl.training.checkpoint_writer import WRITE_ERRORS
from frankrl.training.data import (
    check_same_in_group,
    open_data,
    origin_of,
    read_data,
    same_data,
    without_environment,
)
from frankrl.training.initial import InitialSource
from frankrl.training.memory import check_memory
from frankrl.training.preflight import (
    check_agent,
    check_device,
    check_disk,
    check_threshold,
)
from frankrl.training.remote import MakeSource
from frankrl.training.replay_place import check_place, machine_facts_of, with_place
from frankrl.training.resuming import newest_spec
from frankrl.training.update_time import belongs_on_cpu
from frankrl.training.where import with_source
from frankrl.training.with_symmetry import with_symmetry

_MAX_NAME = 60
"""Characters that a default folder takes from the names of environment and preset, so that they
fit into a file name, which takes 255 bytes."""


@own_numerics()
def prepare(
    env_id: str,
    preset: str,
    settings: Settings,
    seed: int,
    out: str | os.PathLike[str] | None,
    *,
    initial: InitialSource | None = None,
    overwrite: bool = False,
    started: float | None = None,
    make_source: MakeSource | None = None,
) -> Trainer:
    """Check everything that can be checked, then begin a run.

    Args:
        env_id: name of the environment; empty: there is none, and the run learns from a data set.
        preset: name of the preset.
        settings: the run's settings.
        seed: the run's seed.
        out: the run's folder; None: one below `runs`.
        initial: where its first weights come from; None: drawn by the seed.
        overwrite: replace an existing run.
        started: as for `Trainer`.
        make_source: likewise.

    Raises:
        FrankError: something is not allowed; nothing has been written.
    """
    check_seed(seed)
    dataset, spec = open_data(settings), None
    if not env_id:
        env_id, settings, spec = without_environment(dataset, settings)
    seed, settings = int(seed), settings.resolved()
    path = _default_folder(env_id, preset, seed) if out is None else given_path(out, option("out"))
    # Before foreign code runs, which may change the working directory.
    path = path.absolute()
    refuse_existing(path, overwrite=overwrite)
    if dataset is not None:
        check_same_in_group(path, dataset)
    check_trackers(settings.saving.log)
    if settings.is_offline and make_source is not None:
        raise SettingError(
            "a run that learns from a data set alone has no environments for actors to step: leave "
            f"{option('actors')} out"
        )
    experiment = checked_experiment(
        env_id,
        settings,
        seed,
        in_actors=make_source is not None,
        data=dataset and origin_of(dataset),
        spec=spec,
    )
    experiment, note = with_place(experiment)
    check_memory(experiment)
    check_disk(path, experiment)
    check_threshold(settings, experiment.spec)
    weights = initial and initial.weights(experiment)
    description = RunDescription(
        env_id,
        preset,
        seed,
        experiment.settings,
        all_versions(settings),
        machine_facts_of(experiment),
        origin=weights and weights.origin,
        data=experiment.data,
    )
    begin = functools.partial(
        Trainer.begin,
        path,
        description,
        experiment,
        initial=weights,
        overwrite=overwrite,
        started=started,
    )
    if dataset is None:
        training = begin(make_source=make_source)
        training.notes += [note] * bool(note)
        return training
    data = read_data(dataset, experiment)
    if settings.is_offline:
        make_source = data.make_source
    training = begin(make_source=make_source, make_state=data.make_state)
    training.notes += [*[note] * bool(note), data.note]
    if is_absent(env_id) and settings.sequences is not None:
        training.notes.append(
            "nothing will tell what the policy is worth: a network with memory is not estimated "
            "from data, and there is no environment to play it in"
        )
    training.dataset = dataset
    training.notes += _whole_rounds(settings)
    return training


def _whole_rounds(settings: Settings) -> list[str]:
    """A line on updates beyond the budget of a run without acting; none if there are none."""
    end = settings.last_tick
    if not settings.is_offline or end == settings.budget:
        return []
    return [
        f"it ends after {end:,} updates: updates_per_round, {settings.round_ticks:,}, is one call, "
        "and the budget is no multiple of it"
    ]


@own_numerics()
def prepare_resume(
    folder: RunFolder,
    settings: Settings,
    *,
    started: float | None = None,
    make_source: MakeSource | None = None,
    names_dataset: bool = False,
) -> Trainer:
    """Prepare to continue a run with the given settings.

    Args:
        folder: the run's folder.
        settings: the run's settings, with those that change.
        started: as for `Trainer`.
        make_source: likewise.
        names_dataset: whether this command names the data set among the settings. It must then hold
            the run's data, whatever its name.

    Raises:
        FrankError: a setting cannot change within a run, or the run is damaged.
    """
    evaluated = folder.description.settings.evaluation.evaluation_wrappers
    # Others for evaluations were given in this very command.
    is_kept = settings.evaluation.evaluation_wrappers == evaluated
    check_code(folder, (*LEARNING, *(("evaluation_wrappers",) if is_kept else ())))
    check_permitted(folder, settings.saving.log)
    check_trackers(settings.saving.log)
    for file in (folder.path / LOCK, *metrics_files(folder.metrics)):
        refuse_shared(file)
    before = folder.description.settings
    # A run goes on as it began.
    settings = settings.decided_as(before)
    named, dataset = settings.data.dataset, None
    if names_dataset or named != before.data.dataset:
        dataset = same_data(folder.description, named)
        settings = settings.with_changes(dataset=before.data.dataset)
    if settings.data != before.data:
        share = shown(settings.data.demonstration_share)
        raise SettingError(
            f"a run that continues keeps its settings, here demonstration_share "
            f"{shown(before.data.demonstration_share)} (given {share}): begin a new run for others"
        )
    kept_budget = replace(
        settings,
        environment=replace(
            settings.environment,
            worker_processes=before.environment.worker_processes,
            restart_failed_envs=before.environment.restart_failed_envs,
            info_metrics=before.environment.info_metrics,
        ),
        training=replace(
            settings.training,
            total_env_steps=before.training.total_env_steps,
            total_updates=before.training.total_updates,
            device=before.training.device,
            replay_device=before.training.replay_device,
        ),
        evaluation=before.evaluation,
        saving=before.saving,
    )
    if kept_budget != before:
        changed = ", ".join(_changes(before, kept_budget))
        raise SettingError(
            f"a run that continues keeps its settings, here {changed}: only {before.budget_name}, "
            "worker_processes, restart_failed_envs, info_metrics, device, replay_device and those "
            "of [evaluation] and [saving] may change; begin a new run for others"
        )
    description = folder.description
    in_actors = make_source is not None
    experiment = checked_experiment(
        description.env_id,
        settings,
        description.seed,
        in_actors=in_actors,
        data=description.data,
        spec=newest_spec(folder) if is_absent(description.env_id) else None,
    )
    check_memory(experiment)
    there = len(list_checkpoints(folder.checkpoints))
    check_disk(folder.path, experiment, already=[there])
    check_threshold(settings, experiment.spec)
    try:
        training = Trainer.resume(folder, experiment, started=started, make_source=make_source)
    except WRITE_ERRORS as error:
        raise RunFolderError(
            f"the run folder {folder.path} cannot be written: {error}; its last checkpoint stays"
        ) from error
    training.dataset = dataset
    training.notes += _whole_rounds(settings)
    return training


def _changes(before: Settings, after: Settings) -> list[str]:
    """What was given otherwise than before, in words; not what only follows from it."""
    ours, theirs = after.values(), before.values()
    changed = [name for name in theirs if ours[name] != theirs[name]]
    for name in changed:
        with contextlib.suppress(SettingError):
            if before.with_changes(**{name: ours[name]}) == after:
                changed = [name]
                break
    return [f"{name} {shown(theirs[name])} (given {shown(ours[name])})" for name in changed]


def checked_experiment(
    env_id: str,
    settings: Settings,
    seed: int,
    *,
    in_actors: bool = False,
    num_seeds: int = 1,
    data: DataOrigin | None = None,
    spec: EnvironmentSpec | None = None,
) -> Experiment:
    """The experiment; also starts JAX, on the CPU if updates are faster there.

    Args:
        env_id: name of the environment.
        settings: the run's resolved settings.
        seed: the run's seed.
        in_actors: whether actors elsewhere step the environments.
        num_seeds: number of runs that are one program.
        data: the data set that the run learns from; None: from what it collects alone.
        spec: the environment as it is known without one; None: it is made to see.

    Raises:
        FrankError: the environment cannot be made, or the requested device is not available.
    """
    with prepared():
        if settings.training.device == "cpu":
            # Before code of the user's own can start JAX elsewhere.
            start_backend(on_cpu=True)
        spec = describe_for(env_id, settings) if spec is None else spec
        settings = with_source(settings, spec, in_actors=in_actors)
        check_agent(settings, spec)
        # The check of a symmetry computes, so the device is chosen before it, and whatever comes of
        # it: a run that goes on chooses the same.
        has_symmetry = settings.network.symmetry is not False
        without = settings.with_changes(symmetry=False) if has_symmetry else settings
        plain = Experiment.of(without, spec, seed, data)
        start_backend(on_cpu=belongs_on_cpu(plain, num_seeds))
        experiment = Experiment.of(with_symmetry(settings, spec), spec, seed, data)
    check_device(settings)
    check_place(experiment)
    return experiment


def file_name_of(name: str) -> str:
    """The name of a folder for an environment or a preset."""
    return "".join(c if c.isalnum() or c in "-._" else "-" for c in name)[:_MAX_NAME]


def _default_folder(env_id: str, preset: str, seed: int) -> Path:
    moment = datetime.now().strftime("%Y%m%d-%H%M%S")
    preset = (Path(preset).stem if preset.endswith(".toml") else preset)[:_MAX_NAME]
    path = Path("runs") / file_name_of(env_id) / f"{preset}-s{seed}-{moment}"
    while path.exists():
        time.sleep(0.1)
        path = path.with_name(f"{preset}-s{seed}-{datetime.now().strftime('%Y%m%d-%H%M%S-%f')}")
    return path
