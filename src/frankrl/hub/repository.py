"""Writes the repository of a run to a folder, as it is then on the Hub."""

import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from frankrl.agent import Agent
from frankrl.core.errors import DamagedError, FrankError, warn
from frankrl.core.local_paths import without_paths
from frankrl.hub.card import card
from frankrl.hub.layout import CARD, FILM, RESULTS, SETTINGS, write_manifest
from frankrl.hub.privacy import public_description, public_metadata
from frankrl.hub.results import Result, final_evaluation, results_of, settings_of
from frankrl.opening import open_agent
from frankrl.runs import (
    PLAYING,
    MetricsReader,
    RunFolder,
    check_code,
    check_settings_code,
    list_checkpoints,
    read_newest,
)
from frankrl.runs.checkpoint import copy_checkpoint, load_newest
from frankrl.runs.chunks import CHUNK_SUFFIX
from frankrl.runs.initial import INITIAL, check_initial
from frankrl.runs.layout import CONFIG, METRICS, REPORT
from frankrl.runs.no_checkpoint import no_checkpoint
from frankrl.runs.report import Report, read_report
from frankrl.training.checkpoint_metadata import CheckpointMetadata
from frankrl.training.evaluation import Evaluation
from frankrl.training.replay_codec import DEMONSTRATIONS, REPLAY
from frankrl.video.film import write_film

DEFAULT_EPISODES = 100
_SEED = 0
"""Of the episodes that are played, or filmed, for the Hub."""


class Wanted(NamedTuple):
    """What is put into a repository."""

    best: bool
    """Evaluate and film the agent with the best evaluation, not the newest one."""
    episodes: int | None
    """Episodes to play; None: the run's final evaluation, and else `DEFAULT_EPISODES`."""
    with_replay: bool
    film: bool


class Built(NamedTuple):
    """A repository that has been written to a folder."""

    result: Result
    size: int
    """Of all its files. [bytes]"""
    filmed: bool


def build(
    folder: RunFolder,
    target: Path,
    repository: str,
    wanted: Wanted,
    play: Callable[..., Evaluation],
) -> Built:
    """Write the repository of a run to an empty folder.

    Args:
        folder: the run; it is only read.
        target: an empty folder.
        repository: name of the repository, for the card.
        wanted: what is put in.
        play: plays episodes of an agent, as `frankrl.evaluate` does.

    Raises:
        FrankError: the run has no usable checkpoint, or its environment cannot be made.
    """
    if wanted.best and not list_checkpoints(folder.best):
        raise no_checkpoint(folder, best=True)
    public = public_description(folder.description)
    (target / CONFIG).write_text(public.to_toml(), "utf-8")
    check_initial(folder.path, public.origin)
    if public.origin is not None:
        shutil.copyfile(folder.path / INITIAL, target / INITIAL)
    # The copy is evaluated and filmed, because the run itself may go on.
    copied = RunFolder(target, folder.description, folder.permission)
    _copy_checkpoints(folder, copied, with_replay=wanted.with_replay)
    _copy_metrics(folder, target / METRICS)
    report = read_report(folder.path)
    if report is not None:
        _write_json(target / REPORT, {**without_paths(report.plain), "run": repository})
    # The copy lies elsewhere, and no module of the run's own folder is ever imported.
    check_settings_code(folder, ("network", "torso"))
    agent, info = open_agent(copied, best=wanted.best)
    found = load_newest(copied.checkpoints, {})[0].info
    newest = CheckpointMetadata.from_info(found, folder.description.settings).info()
    result = _result(folder, agent, info["env_steps"], newest, report, wanted, play)
    filmed = wanted.film and _filmed(folder, agent, info["env_steps"], target / FILM)
    _write_json(target / RESULTS, results_of(public, result))
    _write_json(target / SETTINGS, settings_of(public))
    (target / CARD).write_text(card(repository, public, result, filmed=filmed), "utf-8")
    return Built(result, write_manifest(target), filmed)


def _copy_checkpoints(folder: RunFolder, copied: RunFolder, *, with_replay: bool) -> None:
    if not list_checkpoints(folder.checkpoints):
        raise no_checkpoint(folder)

    def leave_out(name: str) -> bool:
        held = (f"{REPLAY}.safetensors", f"{DEMONSTRATIONS}.safetensors")
        return not with_replay and (name in held or name.endswith(CHUNK_SUFFIX))

    def edited(info: dict[str, Any]) -> dict[str, Any]:
        held = info.get("holds_replay") and with_replay
        return public_metadata(info) | {"holds_replay": bool(held)}

    def copy(checkpoint: Path) -> None:
        shutil.rmtree(copied.checkpoints, ignore_errors=True)
        target = copied.checkpoints / checkpoint.name
        copy_checkpoint(checkpoint, target, edited, leave_out=leave_out)

    _, damaged = read_newest(folder.checkpoints, copy)
    for error in damaged:
        warn(f"{error}; the checkpoint before it is pushed")
    for checkpoint in list_checkpoints(folder.best):
        copy_checkpoint(checkpoint, copied.best / checkpoint.name, public_metadata)


def _copy_metrics(folder: RunFolder, target: Path) -> None:
    reader = MetricsReader(folder.metrics)
    try:
        reader.copy_to(target, without_paths)
    finally:
        reader.close()


def _result(
    folder: RunFolder,
    agent: Agent,
    env_steps: int,
    newest: dict[str, Any],
    report: Report | None,
    wanted: Wanted,
    play: Callable[..., Evaluation],
) -> Result:
    """The evaluation of the agent: the run's own if there is one and no other is wanted."""
    name = "best" if wanted.best else "newest"
    found, clock = None, folder.description.settings.clock
    if not wanted.best and wanted.episodes is None:
        found = final_evaluation(report, env_steps)
    if found is not None:
        when = datetime.fromtimestamp(os.stat(folder.path / REPORT).st_mtime, UTC)
        seed, played = folder.description.seed, "at the end of the training"
        return Result(found, seed, played, when, name, env_steps, newest, clock)
    check_code(folder, PLAYING)
    episodes = DEFAULT_EPISODES if wanted.episodes is None else wanted.episodes
    summary = play(agent, episodes=episodes, seed=_SEED).summary()
    return Result(summary, _SEED, "for the Hub", datetime.now(UTC), name, env_steps, newest, clock)


def _filmed(folder: RunFolder, agent: Agent, env_steps: int, path: Path) -> bool:
    """Film one episode if the environment can be filmed; else a warning says why not."""
    try:
        check_code(folder, PLAYING)
        agent = agent.allowed()
        write_film(
            agent.evaluation_spec,
            agent.batch_q_values,
            path,
            episodes=1,
            seed=_SEED,
            caption=f"{agent.spec.env_id} after {agent.trained_for()}",
        )
    except FrankError as error:
        warn(f"the repository holds no film: {error}")
        return False
    return True


def _write_json(path: Path, content: dict[str, Any]) -> None:
    try:
        text = json.dumps(content, indent=2, allow_nan=False)
    except ValueError as error:
        raise DamagedError(f"{path.name} of the run is damaged: {error}") from error
    path.write_text(f"{text}\n", "utf-8")
