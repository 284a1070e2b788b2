"""Frank's Python interface: train, resume, load, evaluate, explain, export, export_dataset."""

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from frankrl.actors import source_in_actors
from frankrl.agent import Agent
from frankrl.config import MAX_EPISODES, EvaluationSettings, Settings, check_code_names
from frankrl.config.presets import default_preset, load_preset
from frankrl.core.errors import SettingError, check_type, warn
from frankrl.core.paths import given_path
from frankrl.core.random import Use, check_seed
from frankrl.core.stopping import stop_signals
from frankrl.core.text import given
from frankrl.core.wording import option
from frankrl.display.choice import display_in_python
from frankrl.display.progress_bar import progress_bar
from frankrl.display.training import STOPPING
from frankrl.environments import exists_already, named_env
from frankrl.opening import agent_of, check_transition, open_agent, open_run, open_update
from frankrl.runs import check_preset
from frankrl.runs.group import RunGroup
from frankrl.seeds.evaluation import SeedsEvaluation, evaluate_group
from frankrl.seeds.from_python import (
    group_path,
    names_group,
    refuse_for_seeds,
    resume_seeds_of,
    train_seeds_of,
)
from frankrl.seeds.result import SeedsResult
from frankrl.seeds.train import HowToTrain
from frankrl.training import Event, Stop, Trainer
from frankrl.training.data import in_any_folder, refuse_evaluations
from frankrl.training.estimate import (
    ESTIMATE_UPDATES,
    MAX_ESTIMATE_UPDATES,
    Estimate,
    fitted_q_evaluation,
)
from frankrl.training.evaluation import Evaluation
from frankrl.training.evaluator import Evaluator
from frankrl.training.in_words import outcome_lines
from frankrl.training.initial import initial_source
from frankrl.training.opened import open_network as open_network
from frankrl.training.preparing import prepare, prepare_resume
from frankrl.training.published import LEASE_SECONDS, publish_or_take_over
from frankrl.training.result import TrainingResult
from frankrl.training.session import Metrics, run_to_end

if TYPE_CHECKING:
    from frankrl.datasets import DataSet
    from frankrl.explaining import CloningRecord, UpdateRecord


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
        processes: with `seeds`: number of runs in parallel, which changes no result; 0: one per
            processor core.
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
    if seeds is not None:
        others = {
            "seed": seed,
            "overwrite": overwrite,
            "init_from": init_from,
            "init_best": init_best,
            "actors": actors,
            "metrics": metrics,
            "on_event": None if on_event is _no_event else on_event,
        }
        refuse_for_seeds({name: value for name, value in others.items() if value})
        how = HowToTrain(processes, ray or "", publish or "", progress)
        return train_seeds_of(env, preset, seeds, out, settings, how)
    _check_alone(processes)
    is_alone = env is None and bool(settings.get("dataset")) and publish is None
    env_id, env_kwargs = ("", {}) if is_alone else named_env(env)
    if is_alone:
        refuse_evaluations(settings)
    if preset is not None:
        check_type(preset, "preset", str, "the name of a preset or of a TOML file, or None")
    check_seed(seed)
    out = None if out is None else given_path(out, option("out"))
    check_type(overwrite, "overwrite", bool, "True or False")
    check_type(init_best, "init_best", bool, "True or False")
    check_type(progress, "progress", bool, "True or False")
    _check_callback(on_event)
    _check_metrics(metrics)
    source = initial_source(init_from, best=init_best, allow_code=allow_code, given=settings)
    preset = preset or default_preset(env_id, settings.get("q_function", "network"))
    base = load_preset(preset)
    check_preset(preset, settings)
    if exists_already(env_id):
        settings = _for_the_only_one(env_id, base, settings)
    chosen = base.with_changes(**settings)
    if env_kwargs:
        chosen = chosen.with_changes(env_kwargs=env_kwargs | chosen.environment.env_kwargs)
    if source is not None:
        chosen = source.completed(chosen, settings)
    make_source = source_in_actors(chosen, actors, ray)
    if publish is not None:
        return _publish_or_raise(
            functools.partial(
                publish_or_take_over, env_id, preset, chosen, int(seed), publish, local=out,
                lease_seconds=lease_seconds, initial=source, overwrite=overwrite, metrics=metrics,
                make_source=make_source,
            ),
            on_event, progress=progress,
        )  # fmt: skip
    training = prepare(
        *(env_id, preset, chosen, int(seed), out),
        initial=source,
        overwrite=overwrite,
        make_source=make_source,
    )
    return _run_or_raise(training, on_event, metrics, progress=progress)


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
        **settings: settings to change, for example a larger `total_env_steps`; and the objects
            with which the run was made, such as `network`, if they have no name to import them by.

    Raises:
        FrankError: the run cannot be continued, or not with these settings.
    """
    check_type(progress, "progress", bool, "True or False")
    if isinstance(run, SeedsResult) or names_group(run):
        how = HowToTrain(processes, ray or "", progress=progress)
        return resume_seeds_of(run, env, allow_code, settings, how)
    _check_alone(processes)
    _check_callback(on_event)
    _check_metrics(metrics)
    folder = open_run(run, env, allow_code, settings)
    again = folder.description.as_stored(settings)
    chosen = folder.description.settings.with_changes(**settings | again)
    training = prepare_resume(
        folder,
        chosen,
        make_source=source_in_actors(chosen, actors, ray),
        names_dataset="dataset" in settings,
    )
    return _run_or_raise(training, on_event, metrics, progress=progress)


def _for_the_only_one(env_id: str, base: Settings, named: dict[str, Any]) -> dict[str, Any]:
    """The settings that are named, with those for an environment of which there is no other."""
    wanted = {"num_envs": 1, "evaluation_on": "training"}
    for name, value in wanted.items():
        if name in named and named[name] != value:
            raise SettingError(
                f"{env_id} is one environment, which exists already, so {name} must be {value}, "
                f"got {given(named[name])}: give its class, or a function that makes it, to have "
                "several"
            )
    usual = base.values()
    changed = [name for name in wanted if name not in named and usual[name] != wanted[name]]
    if changed:
        said = " and ".join(f"{name} {wanted[name]}" for name in changed)
        warn(
            f"{env_id} is one environment, which exists already, so this run has {said}; give its "
            "class, or a function that makes it, to have several"
        )
    return wanted | named


def _check_alone(processes: Any) -> None:
    if processes != 0:
        raise SettingError(
            f"processes is the number of runs in parallel, and this is one run, got "
            f"{given(processes)}: give seeds, too"
        )


def _check_callback(on_event: Any) -> None:
    if not callable(on_event):
        raise SettingError(
            f"on_event must be a function of one event, got {given(on_event)}; "
            "leave it out for none"
        )


def _check_metrics(metrics: Any) -> None:
    if metrics is not None and not callable(metrics):
        raise SettingError(
            f"metrics must be a function of one event that returns numbers by name, got "
            f"{given(metrics)}; leave it out for none"
        )


def _run_or_raise(
    training: Trainer,
    on_event: Callable[[Event], Stop | None],
    metrics: Metrics | None,
    *,
    progress: bool,
) -> TrainingResult:
    """Train to the end; a stop signal is raised as `KeyboardInterrupt` once the run is saved."""
    with (
        # Also if the display cannot be shown.
        contextlib.closing(training),
        stop_signals() as stop_requested,
        display_in_python(progress=progress) as display,
    ):
        stop_requested.on_first_signal = lambda: display.note(STOPPING)
        training.watch_episodes(display.show_episodes)
        display.begin(training)

        def show(event: Event) -> Stop | None:
            display.show(event)
            return on_event(event)

        result = run_to_end(training, show, stop_requested, metrics)
        display.end(outcome_lines(result))
    if result.stopped and stop_requested():
        raise KeyboardInterrupt(f"the run is saved; frankrl.resume({str(result.run)!r}) continues")
    return result


def _publish_or_raise(
    publish: Callable[..., TrainingResult | None],
    on_event: Callable[[Event], Stop | None],
    *,
    progress: bool,
) -> TrainingResult:
    """Train and publish; a stop signal is raised as `KeyboardInterrupt` once the run is saved.

    Args:
        publish: `publish_or_take_over` of the run.
        on_event: the user's function.
        progress: whether a display is wanted.
    """
    with stop_signals() as stop_requested, display_in_python(progress=progress) as display:
        stop_requested.on_first_signal = lambda: display.note(STOPPING)

        def begin(training: Trainer) -> None:
            training.watch_episodes(display.show_episodes)
            display.begin(training)

        def show(event: Event) -> Stop | None:
            display.show(event)
            return on_event(event)

        result = publish(
            stop_requested=stop_requested, on_event=show, on_begin=begin, say=display.log
        )
        if result is not None:
            display.end(outcome_lines(result))
    if result is None or (result.stopped and stop_requested()):
        raise KeyboardInterrupt("the run is published as far as it went; the same call continues")
    return result


def load(
    run: Agent | TrainingResult | str | os.PathLike[str],
    *,
    best: bool = False,
    allow_code: bool = False,
    **code: Any,
) -> Agent:
    """The agent of a run. It needs no environment, and imports nothing that the run names but a
    network or a torso of the user's own.

    Args:
        run: the run, by its folder or its result.
        best: load the agent with the best evaluation during training instead of the newest
            checkpoint. That evaluation is short, so evaluate the agent again on other seeds.
        allow_code: import whatever network or torso the run names, although somebody else wrote it.
        **code: `network` or `torso`, as it was given to `train`. It is needed if it has no name to
            import it by, or if somebody else wrote the run.

    Raises:
        RunFolderError: there is no run, or it holds no usable checkpoint, or it names code of
            somebody else.
        SettingError: the network or the torso is not that of the run, or cannot be used.
    """
    check_type(best, "best", bool, "True or False")
    check_code_names(code)
    return open_agent(open_run(run, None, allow_code, code), best=best)[0]


@overload
def evaluate(agent: SeedsResult, **how: Any) -> SeedsEvaluation: ...
@overload
def evaluate(agent: Agent | TrainingResult, **how: Any) -> Evaluation: ...
@overload
def evaluate(agent: str | os.PathLike[str], **how: Any) -> Any: ...
def evaluate(
    agent: Agent | TrainingResult | SeedsResult | str | os.PathLike[str],
    *,
    episodes: int = 100,
    seed: int = 0,
    best: bool = False,
    evaluation_envs: int | None = None,
    evaluation_max_episode_steps: int | None = None,
    env: Any = None,
    allow_code: bool = False,
    progress: bool = True,
    on_episode: Callable[[int, int], None] = lambda done, of: None,
    **code: Any,
) -> Evaluation | SeedsEvaluation:
    """Play greedy episodes in new environments, with seeds that training never uses.

    They are made with the run's `evaluation_env_kwargs` and `evaluation_wrappers`, if it has any.

    Args:
        agent: an agent, from `load`; or a run, by its folder or its result; or the folder or the
            result of a training with `seeds`, whose agents are evaluated one after the other.
        episodes: number of episodes.
        seed: decides the reset seeds of the episodes.
        best: of a run, evaluate the agent that `load` returns with `best=True`.
        evaluation_envs: most environments that are made; the result does not depend on it. None:
            as the run's own evaluations.
        evaluation_max_episode_steps: an episode is ended after so many steps; None: as in the run's
            own evaluations. [env steps]
        env: as for `resume`.
        allow_code: as for `resume`.
        progress: as for `train`.
        on_episode: called as episodes end, with their number and the number of episodes.
        **code: objects that the run was made from, by the names of their settings.

    Raises:
        FrankError: an argument is not allowed, or the environment cannot be made or fails.
    """
    whole = isinstance(episodes, int) and not isinstance(episodes, bool)
    if not whole or not 1 <= episodes <= MAX_EPISODES:
        raise SettingError(
            f"episodes must be a whole number from 1 to {MAX_EPISODES:,}, got {episodes!r}"
        )
    check_seed(seed)
    check_type(progress, "progress", bool, "True or False")
    check_type(best, "best", bool, "True or False")
    if isinstance(agent, SeedsResult) or names_group(agent):

        def of_run(run: Path) -> Evaluation:
            return evaluate(
                run, episodes=episodes, seed=seed, best=best, evaluation_envs=evaluation_envs,
                evaluation_max_episode_steps=evaluation_max_episode_steps, env=env,
                allow_code=allow_code, progress=progress, on_episode=on_episode, **code,
            )  # fmt: skip

        return evaluate_group(RunGroup.open(group_path(agent)), of_run)
    if not isinstance(agent, Agent):
        check_code_names(code)
        agent = open_agent(open_run(agent, env, allow_code, code), best=best)[0]
    elif best:
        raise SettingError("best chooses an agent of a run: give its folder instead of an agent")
    agent = agent.allowed(env, allow_code, **code)
    settings = _evaluation_of(agent, evaluation_envs, evaluation_max_episode_steps)
    evaluator = Evaluator(agent.evaluation_spec, settings=settings)
    with progress_bar("evaluating", "episodes", progress=progress) as show:

        def shown(done: int, of: int) -> None:
            show(done, of)
            on_episode(done, of)

        try:
            return evaluator.evaluate(
                agent.batch_q_values, episodes, Use.EVALUATION_RESET, seed, on_episode=shown
            )
        finally:
            evaluator.close()


def estimate(
    run: Agent | TrainingResult | str | os.PathLike[str],
    dataset: "DataSet | str | os.PathLike[str]",
    *,
    updates: int = ESTIMATE_UPDATES,
    seed: int = 0,
    best: bool = False,
    env: Any = None,
    allow_code: bool = False,
    progress: bool = True,
    **code: Any,
) -> Estimate:
    """Estimate the discounted return of a run's greedy policy from a data set, by fitted Q
    evaluation; nothing is played and no environment is made.

    A network like the run's learns what the policy is worth in the states of the data. The result
    can be far off where the policy does what the data lack: compare policies with it, and play them
    where that is possible (`evaluate`).

    Args:
        run: the run, by its folder, its result or its agent.
        dataset: a data set of the same observations and actions, or its name or folder.
        updates: number of updates. [updates]
        seed: decides the network's initial parameters and its batches.
        best: the agent that `load` returns with `best=True`.
        env: as for `resume`.
        allow_code: as for `resume`.
        progress: as for `train`.
        **code: objects that the run was made from, by the names of their settings.

    Raises:
        FrankError: an argument is not allowed, the data set cannot be read or does not fit, the
            agent has a memory, or the Q-values grow without bound.
    """
    from frankrl.datasets import DataSet as Opened
    from frankrl.datasets import open_dataset

    whole = isinstance(updates, int) and not isinstance(updates, bool)
    if not whole or not 1 <= updates <= MAX_ESTIMATE_UPDATES:
        raise SettingError(
            f"{option('updates')} must be a whole number from 1 to {MAX_ESTIMATE_UPDATES:,}, got "
            f"{given(updates)}"
        )
    check_seed(seed)
    check_type(progress, "progress", bool, "True or False")
    check_type(best, "best", bool, "True or False")
    check_code_names(code)
    data = dataset if isinstance(dataset, Opened) else open_dataset(dataset)
    opened = open_network(open_run(run, env, allow_code, code), best=best)
    with progress_bar("estimating", "updates", progress=progress) as show:
        return fitted_q_evaluation(
            opened.experiment, opened.params, opened.scales, data,
            updates=updates, seed=seed, on_update=show,
        )  # fmt: skip


def _evaluation_of(
    agent: Agent, most_envs: int | None, most_steps: int | None
) -> EvaluationSettings:
    """How an agent is evaluated: as in its training where nothing else is asked for."""
    settings = EvaluationSettings()
    if agent.run is not None:
        settings = agent.run.description.settings.evaluation
    is_only_one = exists_already(agent.spec.env_id)
    if is_only_one or (most_envs is None and settings.evaluation_on != "own"):
        most_envs = 1
    changes = {"evaluation_envs": most_envs, "evaluation_max_episode_steps": most_steps}
    given = {name: value for name, value in changes.items() if value is not None}
    return replace(settings, **given)


def explain(
    run: Agent | TrainingResult | str | os.PathLike[str],
    *,
    update: int,
    transition: int = 0,
    sequence: int | None = None,
    env: Any = None,
    allow_code: bool = False,
    progress: bool = True,
    **code: Any,
) -> "UpdateRecord | CloningRecord":
    """Every number of one update of a run, recomputed from the nearest checkpoint.

    Args:
        run: the run, by its folder, its result or its agent.
        update: number of the update, from 1.
        transition: position in the batch of the transition that its `document` follows, from 0; of
            a run with memory, position of a learned step in its sequence.
        sequence: of a run with memory, position of that sequence in the batch; None: the first.
        env: as for `resume`.
        allow_code: as for `resume`.
        progress: as for `train`.
        **code: objects that the run was made from, by the names of their settings, such as
            `network`.

    Raises:
        FrankError: the run has no such update, or it cannot be recomputed exactly.
    """
    from frankrl.explaining.narrative import about_run, narrate

    check_code_names(code)
    check_type(progress, "progress", bool, "True or False")
    folder = open_run(run, env, allow_code, code)
    check_transition(folder, transition, sequence)
    reopened, came_from = open_update(folder, update, progress=progress)
    record, settings = reopened.record, folder.description.settings
    index = record.followed(transition, sequence)
    document = narrate(record, came_from, index, reopened.spec, settings, about_run(folder))
    return dataclasses.replace(record, document=document)


def export(
    agent: Agent | TrainingResult | str | os.PathLike[str],
    *,
    onnx: str | os.PathLike[str] | None = None,
    safetensors: str | os.PathLike[str] | None = None,
    best: bool = False,
    overwrite: bool = False,
    allow_code: bool = False,
    **code: Any,
) -> list[Path]:
    """Write an agent to files that other programs read. It needs no environment.

    Args:
        agent: an agent, from `load`; or a run, by its folder or its result.
        onnx: a file `….onnx` with a graph from observations to Q-values and actions; needs
            `frankrl[onnx]`.
        safetensors: a file `….safetensors` with the network's parameters by name.
        best: of a run, the agent that `load` returns with `best=True`.
        overwrite: replace existing files.
        allow_code: of a run, as for `load`.
        **code: of a run, `network` or `torso` as for `load`.

    Returns:
        The files that were written.

    Raises:
        FrankError: a file cannot be written, or the agent has a network that cannot be exported.
    """
    from frankrl.exporting import TrainedNetwork, check_files, export_network

    check_type(best, "best", bool, "True or False")
    check_type(overwrite, "overwrite", bool, "True or False")
    given = {"onnx": onnx, "safetensors": safetensors}
    files = {
        name: given_path(file, option(name)) for name, file in given.items() if file is not None
    }
    if not isinstance(agent, Agent):
        agent = load(agent, best=best, allow_code=allow_code, **code)
    elif best or allow_code or code:
        raise SettingError(
            "best, allow_code and objects are for the folder of a run: pass that, not an agent"
        )
    if agent.trained is None or agent.run is None:
        raise SettingError("the agent was not trained by Frank: pass one that frankrl.load returns")
    check_files(files, agent.run.path, overwrite=overwrite)
    trained, policy = agent.trained, agent.trained.policy
    written = TrainedNetwork(
        policy.network, policy.params, trained.scales, agent.spec, agent.run, trained.env_steps
    )
    export_network(written, files)
    return list(files.values())


def export_dataset(
    run: Agent | TrainingResult | str | os.PathLike[str],
    name: str,
    *,
    out: str | os.PathLike[str] | None = None,
    evaluation_episodes: int | None = None,
    evaluation_env_steps: int | None = None,
    epsilon: float = 0.0,
    seed: int = 0,
    best: bool = False,
    author: str = "",
    env: Any = None,
    allow_code: bool = False,
    progress: bool = True,
    **code: Any,
) -> "DataSet":
    """Write episodes of a run as a Minari data set; needs `frankrl[minari]`.

    They are the whole episodes in the replay buffer of its newest checkpoint, or fresh ones that
    its agent plays in the environment of its training. Rewards are the environment's own.

    Args:
        run: the run, by its folder, its result or its agent.
        name: the data set's name, such as lander/medium-v0.
        out: a folder of data sets, in which it gets the folder of its name; None: Minari's own,
            `MINARI_DATASETS_PATH` or `~/.minari/datasets`.
        evaluation_episodes: play so many fresh episodes. [episodes]
        evaluation_env_steps: play fresh episodes until they have so many steps together; the last
            one is whole, too. [env steps]
        epsilon: probability of a random action in fresh episodes: 0 greedy, 1 all at random.
        seed: decides the reset seeds of fresh episodes and their random actions. Evaluations never
            use these reset seeds.
        best: fresh episodes of the agent with the best evaluation instead of the newest.
        author: who made the data set.
        env: as for `resume`.
        allow_code: as for `resume`.
        progress: as for `train`.
        **code: objects that the run was made from, by the names of their settings.

    Returns:
        The data set, read from its files and checked.

    Raises:
        FrankError: an argument is not allowed, the data set exists already or cannot be written,
            there are no whole episodes, or the environment cannot be made or fails.
    """
    from frankrl.datasets import open_dataset
    from frankrl.exporting.to_dataset import DataSetOptions, write_episodes

    check_type(progress, "progress", bool, "True or False")
    check_code_names(code)
    options = DataSetOptions(
        *(name, None if out is None else given_path(out, option("out"))),
        *(evaluation_episodes, evaluation_env_steps, epsilon, seed, best, author),
    )
    options.check()
    folder = open_run(run, env, allow_code, code)
    opened = open_network(folder, best=best)
    agent = agent_of(folder, opened)
    if options.is_fresh:
        agent = agent.allowed(env, allow_code, **code)
    settings = _evaluation_of(agent, None, None)
    unit = "env steps" if evaluation_episodes is None else "episodes"
    with progress_bar("writing", unit, progress=progress) as show:
        written = write_episodes(folder, opened, agent, settings, options, show)
    return open_dataset(written)
