"""`frankrl.train` and `frankrl.resume`: begin runs, and continue them."""

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any, overload

from frankrl.actors import source_in_actors
from frankrl.agent import Agent
from frankrl.api.arguments import check_alone, check_callback, check_metrics, check_switches
from frankrl.api.chosen_settings import chosen_settings
from frankrl.api.running import publish_or_raise, run_or_raise
from frankrl.config.presets import default_preset
from frankrl.core.errors import check_type
from frankrl.core.paths import given_path
from frankrl.core.random import check_seed
from frankrl.core.wording import option
from frankrl.environments import named_env
from frankrl.opening import open_run
from frankrl.seeds.from_python import (
    names_group,
    refuse_for_seeds,
    resume_seeds_of,
    train_seeds_of,
)
from frankrl.seeds.result import SeedsResult
from frankrl.seeds.train import HowToTrain
from frankrl.training import Event, Stop
from frankrl.training.data import in_any_folder, refuse_evaluations
from frankrl.training.initial import initial_source
from frankrl.training.preparing import prepare, prepare_resume
from frankrl.training.published import LEASE_SECONDS, publish_or_take_over
from frankrl.training.result import TrainingResult
from frankrl.training.session import Metrics


def _no_event(event: Event) -> Stop | None:
    """What is called with events if nothing else is given."""


@overload
def train(env: Any, *, seeds: None = None, **how: Any) -> TrainingResult: ...
@overload
def train(env: Any, *, seeds: Sequence[int], **how: Any) -> SeedsResult: ...
def train(
    env: Any,
    *,
    preset: str | None = None,
    seed: int = 0,
    seeds: Sequence[int] | None = None,
    processes: int = 0,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    init_from: str | os.PathLike[str] | None = None,
    init_best: bool = False,
    allow_code: bool = False,
    actors: int | None = None,
    ray: str | None = None,
    publish: str | os.PathLike[str] | None = None,
    lease_seconds: float = LEASE_SECONDS,
    progress: bool = True,
    on_event: Callable[[Event], Stop | None] = _no_event,
    metrics: Metrics | None = None,
    **settings: Any,
) -> TrainingResult | SeedsResult:
    """Train a Deep Q-Network, or with `seeds` several that differ in their seeds alone.

    Args:
        env: an environment with a `Discrete` action space: its name, as for `gymnasium.make`, an
            `EnvSpec`, a class, a function that makes one, or an environment itself. That one stays
            open, and is the only one: `num_envs` is 1, and evaluations are played in it. A
            functional environment, or a class of them, is one too, of which there are as many as
            wanted. None: there is none, and the run learns from a `dataset` alone.
        preset: name of a preset; None: that of the environment, or `default`.
        seed: the same seed and settings give the same bits.
        seeds: the seeds of several runs, such as `range(64)`, instead of one `seed`. The result is
            then a `SeedsResult`, and the environment must have a name.
        processes: with `seeds`: number of processes in parallel, which changes no result; 0: one
            per processor core, and all seeds of a functional environment are one program, whose
            runs differ from those of processes in rounding.
        out: the run folder; None: `runs/<env>/<preset>-s<seed>-<time>`. With `seeds`: the folder
            of the run folders `s<seed>`.
        overwrite: replace an existing run.
        init_from: take the initial weights from there: a run folder, a DQN that Stable-Baselines3
            saved (`.zip`), or a `.safetensors` file; None: draw them by the seed.
        init_best: take those of a run's agent with the best evaluation, not of its newest one.
        allow_code: import the network or torso of the run that `init_from` names, although somebody
            else wrote it.
        actors: number of processes that step the environments and act, which changes no bit; None:
            this process does.
        ray: address of the Ray cluster on which the actors are, `HOST:PORT` of its head or `auto`;
            None: they are on this machine. With `seeds`: the runs are there.
        publish: shared storage: a folder, or an address such as `s3://bucket/folder`. The run
            begins there, or is taken over from a process that has died, and is published at each
            checkpoint. `out` is then a folder on this machine's own disk; None: a temporary one.
            With `seeds` and `ray`: where the runs are published while they go on.
        lease_seconds: with `publish`: after so long without a sign of life from this process,
            another one may take the run over. [s]
        progress: show a progress bar in a notebook and on a terminal.
        on_event: called with every event of the training; a `Stop` that it returns ends the run,
            which is saved.
        metrics: called with every event of the training itself, that is all but `Checkpointed`,
            `SavingFailed` and `Finished`; it returns numbers by name, which are recorded, or None.
        **settings: any setting by its name (`frank train --help-all` lists them).

    Raises:
        FrankError: an argument is not allowed, or training cannot go on.
    """
    if isinstance(settings.get("dataset"), str):
        settings["dataset"] = in_any_folder(settings["dataset"])
    check_switches(progress=progress, overwrite=overwrite, init_best=init_best)
    if seeds is not None:
        refuse_for_seeds(
            {
                "seed": seed,
                "overwrite": overwrite,
                "init_from": init_from,
                "init_best": init_best,
                "actors": actors,
                "metrics": metrics,
                "on_event": None if on_event is _no_event else on_event,
            }
        )
        how = HowToTrain(processes, ray or "", publish or "", progress)
        return train_seeds_of(env, preset, seeds, out, settings, how)
    check_alone(processes)
    is_alone = env is None and bool(settings.get("dataset")) and publish is None
    env_id, env_kwargs = ("", {}) if is_alone else named_env(env)
    if is_alone:
        refuse_evaluations(settings)
    if preset is not None:
        check_type(preset, "preset", str, "the name of a preset or of a TOML file, or None")
    check_seed(seed)
    out = None if out is None else given_path(out, option("out"))
    check_callback(on_event)
    check_metrics(metrics)
    source = initial_source(init_from, best=init_best, allow_code=allow_code, given=settings)
    preset = preset or default_preset(env_id, settings.get("q_function", "network"))
    chosen = chosen_settings(env_id, env_kwargs, preset, settings)
    if source is not None:
        chosen = source.completed(chosen, settings)
    run = (env_id, preset, chosen, int(seed))
    options: dict[str, Any] = {
        "initial": source,
        "overwrite": overwrite,
        "make_source": source_in_actors(chosen, actors, ray),
    }
    if publish is None:
        return run_or_raise(prepare(*run, out, **options), on_event, metrics, progress=progress)
    publishing = functools.partial(
        publish_or_take_over,
        *run,
        publish,
        local=out,
        lease_seconds=lease_seconds,
        metrics=metrics,
        **options,
    )
    return publish_or_raise(publishing, on_event, progress=progress)


@overload
def resume(run: SeedsResult, **how: Any) -> SeedsResult: ...
@overload
def resume(run: Agent | TrainingResult, **how: Any) -> TrainingResult: ...
@overload
def resume(run: str | os.PathLike[str], **how: Any) -> Any: ...
def resume(
    run: Agent | TrainingResult | SeedsResult | str | os.PathLike[str],
    *,
    progress: bool = True,
    processes: int = 0,
    on_event: Callable[[Event], Stop | None] = _no_event,
    metrics: Metrics | None = None,
    env: Any = None,
    allow_code: bool = False,
    actors: int | None = None,
    ray: str | None = None,
    **settings: Any,
) -> TrainingResult | SeedsResult:
    """Continue a run from its newest checkpoint, or the runs of several seeds.

    Args:
        run: the run, by its folder, its result or its agent; or the folder or the result of a
            training with `seeds`.
        processes: with several seeds: as for `train`.
        progress: as for `train`.
        on_event: as for `train`.
        metrics: as for `train`.
        env: the run's environment once more. Its name, if the run was written by somebody else and
            its environment is in a module: that module is then imported. The same object, if the
            run was made from one that has no name.
        allow_code: import whatever module the run names.
        actors: as for `train`; another number than before, or none, gives the same bits.
        ray: as for `train`.
        **settings: settings to change, for example a larger `total_env_steps` (of several seeds
            this alone); and the objects with which the run was made, such as `network`, if they
            have no name to import them by.

    Raises:
        FrankError: the run cannot be continued, or not with these settings.
    """
    check_switches(progress=progress)
    if isinstance(run, SeedsResult) or names_group(run):
        refuse_for_seeds(
            {
                "actors": actors,
                "metrics": metrics,
                "on_event": None if on_event is _no_event else on_event,
            }
        )
        how = HowToTrain(processes, ray or "", progress=progress)
        return resume_seeds_of(run, env, allow_code, settings, how)
    check_alone(processes)
    check_callback(on_event)
    check_metrics(metrics)
    folder = open_run(run, env, allow_code, settings)
    again = folder.description.as_stored(settings)
    chosen = folder.description.settings.with_changes(**settings | again)
    training = prepare_resume(
        folder,
        chosen,
        make_source=source_in_actors(chosen, actors, ray),
        names_dataset="dataset" in settings,
    )
    return run_or_raise(training, on_event, metrics, progress=progress)
