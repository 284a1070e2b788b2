"""Frank's Python interface: train, resume, load, evaluate, explain, export."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frankrl.agent import Agent, Trained
from frankrl.config import MAX_EPISODES, MAX_EVALUATION_ENVS, EvaluationSettings
from frankrl.config.presets import default_preset, load_preset
from frankrl.core.errors import SettingError, check_type
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
from frankrl.experience import linear_epsilon, make_policy
from frankrl.runs import RunFolder, load_checkpoint, permission_of
from frankrl.training import Event, Stop, Trainer
from frankrl.training.checkpoint_metadata import count_in, replay_start_in
from frankrl.training.evaluation import Evaluation, Evaluator
from frankrl.training.in_words import outcome_lines
from frankrl.training.initial import initial_source
from frankrl.training.opened import OpenedNetwork, open_network
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
    env_id: str,
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
        env_id: a Gymnasium environment with a `Discrete` action space.
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
    _check_env_id(env_id)
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
    chosen = load_preset(preset).with_changes(**settings)
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
    env_id: str = "",
    allow_code: bool = False,
    **settings: Any,
) -> TrainingResult:
    """Continue a run from its newest checkpoint.

    Args:
        run: the run, by its folder, its result or its agent.
        progress: as for `train`.
        on_event: as for `train`.
        metrics: as for `train`.
        env_id: the environment's name, if the run was written by somebody else and its
            environment is in a module: that module is then imported.
        allow_code: import whatever module the run names.
        **settings: settings to change, for example a larger `total_env_steps`; and the objects
            with which the run was made, such as `network`, if they have no name to import them by.

    Raises:
        FrankError: the run cannot be continued, or not with these settings.
    """
    check_type(progress, "progress", bool, "True or False")
    _check_callback(on_event)
    _check_metrics(metrics)
    folder = RunFolder.open(path_of(run), permission_of(env_id, allow_code, settings))
    chosen = folder.description.settings.with_changes(**settings)
    return _run_or_raise(prepare_resume(folder, chosen), on_event, metrics, progress=progress)


def _check_env_id(env_id: Any) -> None:
    if not isinstance(env_id, str):
        raise SettingError(
            f"env_id must be the name of an environment, such as 'CartPole-v1', got {given(env_id)}"
            "; register your own with gymnasium.register(id=…, entry_point=…) and give its id"
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
    with stop_signals() as stop_requested, display_in_python(progress=progress) as display:
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
    run: TrainingResult | str | os.PathLike[str],
    *,
    best: bool = False,
    network: Any = None,
    torso: Any = None,
    allow_code: bool = False,
) -> Agent:
    """The agent of a run. It needs no environment, and imports nothing that the run names but a
    network or a torso of the user's own.

    Args:
        run: the run, by its folder or its result.
        best: load the agent with the best evaluation during training instead of the newest
            checkpoint. That evaluation is short, so evaluate the agent again on other seeds.
        network: the run's own network, as it was given to `train`. It is needed if it has no name
            to import it by, or if somebody else wrote the run.
        torso: the run's own torso, likewise.
        allow_code: import whatever network or torso the run names, although somebody else wrote it.

    Raises:
        RunFolderError: there is no run, or it holds no usable checkpoint, or it names code of
            somebody else.
        SettingError: the network or the torso is not that of the run, or cannot be used.
    """
    check_type(best, "best", bool, "True or False")
    return open_agent(_opened(run, "", allow_code, network=network, torso=torso), best=best)[0]


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


def _opened(
    run: Agent | TrainingResult | str | os.PathLike[str],
    env_id: str,
    allow_code: bool,
    **code: Any,
) -> RunFolder:
    """A run folder, with code of its settings that the user gave again; None: not given."""
    again = {setting: value for setting, value in code.items() if value is not None}
    return RunFolder.open(path_of(run), permission_of(env_id, allow_code, again)).with_code(again)


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
    (experiment, params, info) = opened
    settings, network = experiment.settings, experiment.network
    policy = make_policy(settings.training.acting, network)
    policy.load(network.layout.flatten(params))
    env_steps = count_in(info, "env_steps")
    epsilon = float(linear_epsilon(settings.exploration, env_steps))
    return Agent(experiment.spec, policy.q_values, epsilon, folder, Trained(policy, env_steps))


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
    """Some states in the replay buffer at the checkpoint of a Q-network, as NumPy arrays.

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
    return some_states(loaded, experiment, most)


def evaluate(
    agent: Agent,
    *,
    episodes: int = 100,
    seed: int = 0,
    evaluation_envs: int = MAX_EVALUATION_ENVS,
    evaluation_max_episode_steps: int = EvaluationSettings.evaluation_max_episode_steps,
    env_id: str = "",
    allow_code: bool = False,
    progress: bool = True,
    on_episode: Callable[[int, int], None] = lambda done, of: None,
) -> Evaluation:
    """Play greedy episodes in new environments, with seeds that training never uses.

    Args:
        agent: the agent, from `load`.
        episodes: number of episodes.
        seed: decides the reset seeds of the episodes.
        evaluation_envs: most environments that are made; the result does not depend on it.
        evaluation_max_episode_steps: an episode is ended after so many steps. [env steps]
        env_id: as for `resume`.
        allow_code: as for `resume`.
        progress: as for `train`.
        on_episode: called as episodes end, with their number and the number of episodes.

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
    agent.check_code(env_id, allow_code)
    evaluator = Evaluator(agent.spec, settings=settings)
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
    env_id: str = "",
    allow_code: bool = False,
    network: Any = None,
    torso: Any = None,
    optimiser: Any = None,
    progress: bool = True,
) -> "UpdateRecord":
    """Every number of one update of a run, recomputed from the nearest checkpoint.

    Args:
        run: the run, by its folder, its result or its agent.
        update: number of the update, from 1.
        transition: position in the batch of the transition that its `document` follows, from 0.
        env_id: as for `resume`.
        allow_code: as for `resume`.
        network: as for `load`.
        torso: as for `load`.
        optimiser: the run's own optimiser, likewise.
        progress: as for `train`.

    Raises:
        FrankError: the run has no such update, or it cannot be recomputed exactly.
    """
    from frankrl.explaining import origins, reopen
    from frankrl.explaining.narrative import about_run, narrate

    code = {"network": network, "torso": torso, "optimiser": optimiser}
    check_type(progress, "progress", bool, "True or False")
    folder = _opened(run, env_id, allow_code, **code)
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
    check_files(files, agent.run.path, overwrite=overwrite)
    policy, env_steps = agent.trained
    export_network(
        TrainedNetwork(policy.network, policy.params, agent.spec, agent.run, env_steps), files
    )
    return list(files.values())
