"""Frank from Python: train, resume, load, evaluate."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frankrl.agent import Agent
from frankrl.backend import start_backend
from frankrl.config import MOST_EPISODES, Settings
from frankrl.environments import describe
from frankrl.errors import RunFolderError, SettingError, warn
from frankrl.evaluation import Evaluation, Evaluator
from frankrl.exploration import linear_epsilon
from frankrl.networks import QNetwork
from frankrl.preflight import (
    check_agent,
    check_disk,
    check_memory,
    check_network,
    check_threshold,
)
from frankrl.presets import default_preset, load_preset
from frankrl.randomness import Use, check_seed
from frankrl.runs import (
    RunDescription,
    RunFolder,
    check_same_environment,
    list_checkpoints,
    load_newest,
    machine_facts,
    versions,
)
from frankrl.runs.folder import refuse_existing
from frankrl.stopping import stop_signals
from frankrl.training import Event, Finished, Training
from frankrl.training.saver import WRITE_ERRORS
from frankrl.training.saving import filled, named, playing_file
from frankrl.training.standing import count_in
from frankrl.training.state import initial_network

if TYPE_CHECKING:
    from frankrl.explaining import UpdateRecord


@dataclass(frozen=True)
class TrainingResult:
    """How a run came out."""

    run: Path
    """The run folder."""
    env_steps: int
    updates: int
    seconds: float
    """Since the run's clock began; on the command line since the process started."""
    startup_seconds: float
    """Part of it until the first round was done: imports, environments, compilation."""
    solved: dict[str, Any] | None
    """`env_steps` and `seconds` of the first policy that reached the reward threshold."""
    best: dict[str, Any] | None
    """`env_steps` and `mean_return` of the best look while training: `load(run, best=True)`."""
    evaluation: dict[str, Any] | None
    """Greedy episodes of the final policy; none if the run was stopped before its end."""
    inexact: list[dict[str, Any]]
    """`env_steps` from where on the run may have other bits than an uninterrupted one, and
    the `reason`; empty for nearly every run."""
    stopped: bool = False
    """Whether it was asked to stop before its end."""

    def report(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "run": str(self.run),
            "env_steps": self.env_steps,
            "updates": self.updates,
            "seconds": round(self.seconds, 3),
            "startup_seconds": round(self.startup_seconds, 3),
            "solved": self.solved,
            "best": self.best,
            "evaluation": self.evaluation,
            "inexact": self.inexact,
            "stopped": self.stopped,
        }


def train(
    env_id: str,
    *,
    preset: str | None = None,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    on_event: Callable[[Event], None] = lambda event: None,
    **settings: Any,
) -> TrainingResult:
    """Train a Deep Q-Network.

    Args:
        env_id: a Gymnasium environment with a `Discrete` action space.
        preset: named settings; none: the environment's own, or `default`.
        seed: the same seed and settings give the same bits.
        out: the run folder; none: `runs/<env>/<preset>-s<seed>-<time>`.
        overwrite: replace a run that is already there.
        on_event: called with every event of the training.
        **settings: any setting by its name (`frank train --help` lists them).

    Raises:
        FrankError: something given is not allowed, or training cannot go on.
    """
    preset = preset or default_preset(env_id, settings.get("agent", "network"))
    chosen = load_preset(preset).with_changes(**settings)
    training = prepare(env_id, preset, chosen, seed, out, overwrite=overwrite)
    return _run_or_raise(training, on_event)


def resume(
    run: str | os.PathLike[str],
    *,
    on_event: Callable[[Event], None] = lambda event: None,
    **settings: Any,
) -> TrainingResult:
    """Continue a run from its newest checkpoint.

    Args:
        run: the run folder.
        on_event: called with every event of the training.
        **settings: settings to change, a larger `total_env_steps` for example.

    Raises:
        FrankError: the run cannot be continued so.
    """
    folder = RunFolder.open(run)
    chosen = folder.description.settings.with_changes(**settings)
    return _run_or_raise(prepare_resume(folder, chosen), on_event)


def _run_or_raise(training: Training, on_event: Callable[[Event], None]) -> TrainingResult:
    """Drive a run to its end; an interruption is raised once the run is saved."""
    with stop_signals() as stop_requested:
        result = run_to_end(training, on_event, stop_requested)
    if result.stopped:
        raise KeyboardInterrupt(f"the run is saved; frankrl.resume({str(result.run)!r}) continues")
    return result


def load(run: str | os.PathLike[str], *, best: bool = False) -> Agent:
    """The agent of a run.

    Args:
        run: the run folder.
        best: not the agent of the newest checkpoint, but the one whose look while
            training was the best. A look is short, so evaluate it again on other seeds.

    Raises:
        RunFolderError: there is no run, or it holds no usable checkpoint.
    """
    return open_agent(RunFolder.open(run), best=best)[0]


def open_agent(folder: RunFolder, *, best: bool = False) -> tuple[Agent, dict[str, Any]]:
    """The agent of a run, and what its checkpoint says of itself.

    Raises:
        RunFolderError: there is no usable checkpoint.
    """
    if best and not list_checkpoints(folder.best):
        raise RunFolderError(
            f"{folder.path} holds no best agent: no evaluation was played while it trained"
        )
    description = folder.description
    spec = describe(description.env_id, description.settings.environment.env_kwargs)
    file = playing_file(description.settings.learning)
    check_network(description.settings, spec)
    like = initial_network(description.settings, spec, description.seed)
    checkpoints = folder.best if best else folder.checkpoints
    most = sum(array.nbytes for array in named(like).values())
    loaded, damaged = load_newest(checkpoints, {file: most})
    for error in damaged:
        warn(f"{error}; the checkpoint before it is used")
    check_same_environment(folder, loaded.info)
    env_steps = count_in(loaded.info, "env_steps")
    network: QNetwork = filled(like, loaded.tensors[file])
    epsilon = float(linear_epsilon(description.settings.exploration, env_steps))
    return Agent(spec, network, epsilon), loaded.info


def evaluate(agent: Agent, *, episodes: int = 100, seed: int = 0) -> Evaluation:
    """Greedy episodes in fresh environments, on seeds never used in training."""
    whole = isinstance(episodes, int) and not isinstance(episodes, bool)
    if not whole or not 1 <= episodes <= MOST_EPISODES:
        raise SettingError(
            f"episodes must be a whole number from 1 to {MOST_EPISODES:,}, got {episodes!r}"
        )
    check_seed(seed)
    evaluator = Evaluator(agent.spec)
    try:
        return evaluator.evaluate(agent.network, episodes, Use.EVALUATION_RESET, seed)
    finally:
        evaluator.close()


def explain(run: str | os.PathLike[str], *, update: int) -> "UpdateRecord":
    """Open one update of a run: every number of it, computed again from the nearest checkpoint.

    Args:
        run: the run folder.
        update: the update's number, from 1.

    Raises:
        FrankError: the run has no such update, or it cannot be come back to exactly.
    """
    from frankrl.explaining import reopen

    return reopen(RunFolder.open(run), update).record


def prepare(
    env_id: str,
    preset: str,
    settings: Settings,
    seed: int,
    out: str | os.PathLike[str] | None,
    *,
    overwrite: bool = False,
    started: float | None = None,
) -> Training:
    """Check everything that can be checked, then begin a run.

    Raises:
        FrankError: something is not allowed; then nothing has been written.
    """
    check_seed(seed)
    start_backend()
    seed, settings = int(seed), settings.resolved()
    path = Path(out).expanduser() if out is not None else _default_folder(env_id, preset, seed)
    refuse_existing(path, overwrite=overwrite)
    spec = describe(env_id, settings.environment.env_kwargs)
    check_agent(settings, spec)
    check_memory(settings, spec)
    check_disk(path, settings, spec)
    check_threshold(settings, spec)
    description = RunDescription(env_id, preset, seed, settings, versions(), machine_facts())
    return Training.begin(path, description, spec, overwrite=overwrite, started=started)


def prepare_resume(
    folder: RunFolder, settings: Settings, *, started: float | None = None
) -> Training:
    """Take up a run with the given settings.

    Raises:
        FrankError: a setting cannot change within a run, or the run is damaged.
    """
    before = folder.description.settings
    kept_budget = replace(
        settings,
        environment=replace(
            settings.environment, worker_processes=before.environment.worker_processes
        ),
        training=replace(settings.training, total_env_steps=before.training.total_env_steps),
        evaluation=before.evaluation,
        saving=before.saving,
    )
    if kept_budget != before:
        raise SettingError(
            "a run that continues keeps its settings: only total_env_steps, worker_processes and "
            "those of [evaluation] and [saving] may change; for others begin a new run"
        )
    start_backend()
    spec = describe(folder.description.env_id, settings.environment.env_kwargs)
    check_memory(settings, spec)
    there = len(list_checkpoints(folder.checkpoints))
    check_disk(folder.path, settings, spec, already=there)
    check_threshold(settings, spec)
    try:
        return Training.resume(folder, settings, spec, started=started)
    except WRITE_ERRORS as error:
        raise RunFolderError(
            f"the run folder {folder.path} cannot be written: {error}; its last checkpoint stays"
        ) from error


def run_to_end(
    training: Training,
    on_event: Callable[[Event], None],
    stop_requested: Callable[[], bool] = lambda: False,
) -> TrainingResult:
    """Drive a run to its end and write its report.

    Raises:
        FrankError: training cannot go on, or its folder cannot be written; the last
            checkpoint stays.
    """
    try:
        finished = None
        for event in training.events(stop_requested):
            on_event(event)
            if isinstance(event, Finished):
                finished = event
        assert finished is not None
        solved = finished.solved
        result = TrainingResult(
            run=training.folder.path,
            env_steps=finished.env_steps,
            updates=finished.updates,
            seconds=finished.seconds,
            startup_seconds=finished.startup_seconds,
            solved=solved and {"env_steps": solved.env_steps, "seconds": round(solved.seconds, 3)},
            best=finished.best and finished.best._asdict(),
            evaluation=finished.evaluation and finished.evaluation.summary(),
            inexact=[mark._asdict() for mark in finished.inexact],
            stopped=finished.evaluation is None,
        )
        unsaved = training.unsaved
        try:
            training.folder.write_report(result.report())
        except OSError as error:
            unsaved = unsaved or f"report: {error}"
        if unsaved:
            raise RunFolderError(_unsaved(training.folder, result, unsaved))
        return result
    finally:
        training.close()


def _unsaved(folder: RunFolder, result: TrainingResult, reasons: str) -> str:
    there = list_checkpoints(folder.checkpoints)
    figure = ""
    if result.evaluation:
        figure = f" (mean return {result.evaluation['mean_return']:.1f})"
    then = "it has no checkpoint, so begin it again"
    if there:
        then = (
            f"its newest checkpoint is {there[-1]}. Mend that, then: "
            f"frank train --resume {folder.path}"
        )
    return (
        f"training went to env step {result.env_steps:,}{figure}, but not all of it could be "
        f"saved: {reasons}; {then}"
    )


def _default_folder(env_id: str, preset: str, seed: int) -> Path:
    moment = datetime.now().strftime("%Y%m%d-%H%M%S")
    name = "".join(c if c.isalnum() or c in "-._" else "-" for c in env_id)
    preset = Path(preset).stem if preset.endswith(".toml") else preset
    path = Path("runs") / name / f"{preset}-s{seed}-{moment}"
    while path.exists():
        time.sleep(0.1)
        path = path.with_name(f"{preset}-s{seed}-{datetime.now().strftime('%Y%m%d-%H%M%S-%f')}")
    return path
