"""Frank's Python interface: train, resume, load, evaluate, explain, export."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gymnasium.envs.registration import EnvSpec

from frankrl.agent import Agent, Trained, check_code_names, permitted_env
from frankrl.config import MAX_EPISODES, MAX_EVALUATION_ENVS, EvaluationSettings, Settings
from frankrl.config.presets import default_preset, load_preset
from frankrl.core.errors import SettingError, check_type, warn
from frankrl.core.numerics import own_numerics
from frankrl.core.paths import given_path
from frankrl.core.random import Use, check_seed
from frankrl.core.stopping import stop_signals
from frankrl.core.text import given
from frankrl.core.types import Observation
from frankrl.core.wording import option
from frankrl.display.choice import display_in_python
from frankrl.display.progress_bar import progress_bar
from frankrl.display.training import STOPPING
from frankrl.environments import exists_already, named_env
from frankrl.experience import NormalisedQValues, linear_epsilon, make_policy
from frankrl.runs import RunFolder, check_preset, load_checkpoint, permission_of
from frankrl.training import Event, Stop, Trainer
from frankrl.training.checkpoint_metadata import count_in, replay_start_in
from frankrl.training.evaluation import Evaluation, Evaluator
from frankrl.training.in_words import outcome_lines
from frankrl.training.initial import initial_source
from frankrl.training.opened import OpenedNetwork
from frankrl.training.opened import open_network as open_network
from frankrl.training.replay_codec import REPLAY, most_replay_bytes, some_states
from frankrl.training.session import (
    Metrics,
    TrainingResult,
    prepare,
    prepare_resume,
    run_to_end,
)

if TYPE_CHECKING:
    from frankrl.explaining import UpdateRecord


def train(
    env: Any,
    *,
    preset: str | None = None,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    init_from: str | os.PathLike[str] | None = None,
    init_best: bool = False,
    progress: bool = True,
    on_event: Callable[[Event], Stop | None] = lambda event: None,
    metrics: Metrics | None = None,
    **settings: Any,
) -> TrainingResult:
    """Train a Deep Q-Network.

    Args:
        env: an environment with a `Discrete` action space: its name, as for `gymnasium.make`, an
            `EnvSpec`, a class, a function that makes one, or an environment itself. That one stays
            open, and is the only one: `num_envs` is 1, and evaluations are played in it.
        preset: name of a preset; None: that of the environment, or `default`.
        seed: the same seed and settings give the same bits.
        out: the run folder; None: `runs/<env>/<preset>-s<seed>-<time>`.
        overwrite: replace an existing run.
        init_from: take the initial weights from there: a run folder, a DQN that Stable-Baselines3
            saved (`.zip`), or a `.safetensors` file; None: draw them by the seed.
        init_best: take those of a run's agent with the best evaluation, not of its newest one.
        progress: show a progress bar in a notebook and on a terminal.
        on_event: called with every event of the training; a `Stop` that it returns ends the run,
            which is saved.
        metrics: called with every event of the training itself, that is all but `Checkpointed`,
            `SavingFailed` and `Finished`; it returns numbers by name, which are recorded, or None.
        **settings: any setting by its name (`frank train --help` lists them).

    Raises:
        FrankError: an argument is not allowed, or training cannot go on.
    """
    env_id, env_kwargs = named_env(env)
    if preset is not None:
        check_type(preset, "preset", str, "the name of a preset or of a TOML file, or None")
    check_seed(seed)
    out = None if out is None else given_path(out, option("out"))
    check_type(overwrite, "overwrite", bool, "True or False")
    check_type(init_best, "init_best", bool, "True or False")
    check_type(progress, "progress", bool, "True or False")
    _check_callback(on_event)
    _check_metrics(metrics)
    source = initial_source(init_from, best=init_best)
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
    training = prepare(env_id, preset, chosen, int(seed), out, initial=source, overwrite=overwrite)
    return _run_or_raise(training, on_event, metrics, progress=progress)


def resume(
    run: Agent | TrainingResult | str | os.PathLike[str],
    *,
    progress: bool = True,
    on_event: Callable[[Event], Stop | None] = lambda event: None,
    metrics: Metrics | None = None,
    env: Any = "",
    allow_code: bool = False,
    **settings: Any,
) -> TrainingResult:
    """Continue a run from its newest checkpoint.

    Args:
        run: the run, by its folder, its result or its agent.
        progress: as for `train`.
        on_event: as for `train`.
        metrics: as for `train`.
        env: the run's environment once more. Its name, if the run was written by somebody else and
            its environment is in a module: that module is then imported. The same object, if the
            run was made from one that has no name.
        allow_code: import whatever module the run names.
        **settings: settings to change, for example a larger `total_env_steps`; and the objects
            with which the run was made, such as `network`, if they have no name to import them by.

    Raises:
        FrankError: the run cannot be continued, or not with these settings.
    """
    check_type(progress, "progress", bool, "True or False")
    _check_callback(on_event)
    _check_metrics(metrics)
    folder = open_run(run, env, allow_code, settings)
    again = folder.description.as_stored(settings)
    chosen = folder.description.settings.with_changes(**settings | again)
    return _run_or_raise(prepare_resume(folder, chosen), on_event, metrics, progress=progress)


def open_run(
    run: Agent | TrainingResult | str | os.PathLike[str],
    env: Any,
    allow_code: bool,
    code: Mapping[str, Any],
) -> RunFolder:
    """A run's folder, with what the user allows it to name and the objects that it was made from.

    Args:
        run: the run folder.
        env: as for `resume`.
        allow_code: as for `resume`.
        code: values of settings, among them code.

    Raises:
        FrankError: there is no run, or an argument is not allowed.
    """
    name = permitted_env(env)
    folder = RunFolder.open(path_of(run), permission_of(name, allow_code, code))
    return folder.with_objects(name if isinstance(env, EnvSpec) else env, code)


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
    return open_agent(open_run(run, "", allow_code, code), best=best)[0]


def path_of(run: Agent | TrainingResult | str | os.PathLike[str]) -> str | os.PathLike[str]:
    """The folder of a run that is given by its folder, its result or its agent.

    Raises:
        SettingError: an agent is of no run.
    """
    if isinstance(run, TrainingResult):
        return run.run
    if not isinstance(run, Agent):
        return run
    if run.run is None:
        raise SettingError(f"{run!r} is of no run: give a run folder")
    return run.run.path


@own_numerics()
def open_agent(folder: RunFolder, *, best: bool = False) -> tuple[Agent, dict[str, Any]]:
    """The agent of a run, and the metadata of its checkpoint.

    Raises:
        RunFolderError: there is no usable checkpoint.
    """
    opened = open_network(folder, best=best)
    return agent_of(folder, opened), opened.info


@own_numerics()
def agent_of(folder: RunFolder, opened: OpenedNetwork) -> Agent:
    """The agent of a run that acts by the Q-network of one of its checkpoints."""
    (experiment, params, info, scales) = opened
    settings, network = experiment.settings, experiment.network
    policy = make_policy(settings.training.acting, network)
    policy.load(network.layout.flatten(params))
    env_steps = count_in(info, "env_steps")
    epsilon = float(linear_epsilon(settings.exploration, env_steps))
    q_values = policy.q_values if scales is None else NormalisedQValues(policy.q_values, scales)
    return Agent(experiment.spec, q_values, epsilon, folder, Trained(policy, env_steps))


def drawable_transitions(opened: OpenedNetwork) -> tuple[int, int]:
    """The transitions in the replay buffer at the checkpoint of a Q-network.

    Args:
        opened: the network, from `open_network`.

    Returns:
        The env step at which the oldest begins, and the one after that of the newest.
    """
    experiment = opened.experiment.with_replay_start(replay_start_in(opened.info))
    return experiment.replay.drawable(count_in(opened.info, "env_steps"))


def open_states(folder: RunFolder, opened: OpenedNetwork, most: int) -> Observation:
    """Some states in the replay buffer at the checkpoint of a Q-network, as NumPy arrays, in the
    form in which the network gets them.

    There are none if the checkpoint does not hold the buffer.

    Args:
        folder: the run's folder.
        opened: the network, from `open_network`.
        most: number of states, at most.

    Raises:
        RunFolderError: the checkpoint is damaged, or gone.
    """
    experiment = opened.experiment.with_replay_start(replay_start_in(opened.info))
    largest = {REPLAY: most_replay_bytes(experiment)}
    checkpoint = folder.checkpoints / f"{count_in(opened.info, 'env_steps'):012d}"
    loaded = load_checkpoint(checkpoint, largest, optional=(REPLAY,))
    states = some_states(loaded, experiment, most)
    return states if opened.scales is None else opened.scales.of_observation(states)


def evaluate(
    agent: Agent,
    *,
    episodes: int = 100,
    seed: int = 0,
    evaluation_envs: int = MAX_EVALUATION_ENVS,
    evaluation_max_episode_steps: int = EvaluationSettings.evaluation_max_episode_steps,
    env: Any = "",
    allow_code: bool = False,
    progress: bool = True,
    on_episode: Callable[[int, int], None] = lambda done, of: None,
    **code: Any,
) -> Evaluation:
    """Play greedy episodes in new environments, with seeds that training never uses.

    They are made with the run's `evaluation_env_kwargs` and `evaluation_wrappers`, if it has any.

    Args:
        agent: the agent, from `load`.
        episodes: number of episodes.
        seed: decides the reset seeds of the episodes.
        evaluation_envs: most environments that are made; the result does not depend on it.
        evaluation_max_episode_steps: an episode is ended after so many steps. [env steps]
        env: as for `resume`.
        allow_code: as for `resume`.
        progress: as for `train`.
        on_episode: called as episodes end, with their number and the number of episodes.
        **code: objects that the run was made from, by the names of their settings.

    Raises:
        FrankError: an argument is not allowed, or the environment cannot be made or fails.
    """
    check_type(agent, "agent", Agent, "an agent, as frankrl.load(run) returns it")
    whole = isinstance(episodes, int) and not isinstance(episodes, bool)
    if not whole or not 1 <= episodes <= MAX_EPISODES:
        raise SettingError(
            f"episodes must be a whole number from 1 to {MAX_EPISODES:,}, got {episodes!r}"
        )
    check_seed(seed)
    settings = EvaluationSettings(
        evaluation_envs=evaluation_envs, evaluation_max_episode_steps=evaluation_max_episode_steps
    )
    check_type(progress, "progress", bool, "True or False")
    spec = agent.allowed(env, allow_code, **code).evaluation_spec
    if exists_already(spec.env_id):
        settings = replace(settings, evaluation_envs=1)
    evaluator = Evaluator(spec, settings=settings)
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


def explain(
    run: Agent | TrainingResult | str | os.PathLike[str],
    *,
    update: int,
    transition: int = 0,
    env: Any = "",
    allow_code: bool = False,
    progress: bool = True,
    **code: Any,
) -> "UpdateRecord":
    """Every number of one update of a run, recomputed from the nearest checkpoint.

    Args:
        run: the run, by its folder, its result or its agent.
        update: number of the update, from 1.
        transition: position in the batch of the transition that its `document` follows, from 0.
        env: as for `resume`.
        allow_code: as for `resume`.
        progress: as for `train`.
        **code: objects that the run was made from, by the names of their settings, such as
            `network`.

    Raises:
        FrankError: the run has no such update, or it cannot be recomputed exactly.
    """
    from frankrl.explaining import origins, reopen
    from frankrl.explaining.narrative import about_run, narrate

    check_code_names(code)
    check_type(progress, "progress", bool, "True or False")
    folder = open_run(run, env, allow_code, code)
    settings, seed = folder.description.settings, folder.description.seed
    size = settings.replay.batch_size
    if not isinstance(transition, int) or not 0 <= transition < size:
        raise SettingError(f"transition must be from 0 to {size - 1}, got {given(transition)}")
    with progress_bar("repeating", "env steps", progress=progress) as show:
        reopened = reopen(folder, update, show)
    record = reopened.record
    came_from = origins(folder, settings, seed, record.transition_env_steps)
    document = narrate(record, came_from, transition, reopened.spec, settings, about_run(folder))
    return dataclasses.replace(record, document=document)


def export(
    agent: Agent | str | os.PathLike[str],
    *,
    onnx: str | os.PathLike[str] | None = None,
    safetensors: str | os.PathLike[str] | None = None,
    best: bool = False,
    overwrite: bool = False,
) -> list[Path]:
    """Write an agent to files that other programs read. It needs no environment.

    Args:
        agent: an agent, from `load`, or a run folder.
        onnx: a file `….onnx` with a graph from observations to Q-values and actions; needs
            `frankrl[onnx]`.
        safetensors: a file `….safetensors` with the network's parameters by name.
        best: of a run folder, the agent that `load` returns with `best=True`.
        overwrite: replace existing files.

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
        agent = load(agent, best=best)
    elif best:
        raise SettingError("best chooses an agent of a run folder: pass the folder, not an agent")
    if agent.trained is None or agent.run is None:
        raise SettingError("the agent was not trained by Frank: pass one that frankrl.load returns")
    if isinstance(agent.batch_q_values, NormalisedQValues):
        raise SettingError(
            "the agent normalises observations by the running statistics of its training "
            "(normalize_observations, normalize_rewards), which an exported network does not hold"
        )
    check_files(files, agent.run.path, overwrite=overwrite)
    policy, env_steps = agent.trained
    export_network(
        TrainedNetwork(policy.network, policy.params, agent.spec, agent.run, env_steps), files
    )
    return list(files.values())
