"""Pushes a run to the Hub."""

import os
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from frankrl.agent import Agent
from frankrl.api import evaluate
from frankrl.config import MAX_EPISODES, check_code_names
from frankrl.core.errors import HubError, SettingError, check_type
from frankrl.core.figures import counted
from frankrl.core.paths import given_path
from frankrl.core.system import rename
from frankrl.core.wording import option
from frankrl.hub.client import check_repository, check_token, client, hub_errors
from frankrl.hub.layout import is_known
from frankrl.hub.privacy import refuse_local_paths
from frankrl.hub.repository import Built, Wanted, build
from frankrl.opening import open_run
from frankrl.runs import RunFolder
from frankrl.training.evaluation import Evaluation
from frankrl.training.result import TrainingResult

if TYPE_CHECKING:
    from huggingface_hub import HfApi


class Pushed(NamedTuple):
    """A run that is on the Hub, or written to a folder as it would be there."""

    place: str
    """Its address, or the folder."""
    commit: str | None
    """The commit of the Hub; None for a folder."""
    evaluation: dict[str, Any]
    """The evaluation that its card names."""
    size: int
    """Of all files. [bytes]"""
    filmed: bool
    """Whether there is a film."""


def push(
    run: Agent | TrainingResult | str | os.PathLike[str],
    repository: str,
    *,
    best: bool = False,
    episodes: int | None = None,
    film: bool = True,
    with_replay: bool = False,
    with_paths: bool = False,
    private: bool = False,
    revision: str | None = None,
    message: str | None = None,
    out: str | os.PathLike[str] | None = None,
    env: Any = None,
    allow_code: bool = False,
    progress: bool = True,
    on_episode: Callable[[int, int], None] = lambda done, of: None,
    **code: Any,
) -> Pushed:
    """Push a run to the Hub, as one commit.

    Args:
        run: the run, by its folder, its result or its agent; it is only read.
        repository: USER/NAME; it is made if it does not exist.
        best: evaluate and film the agent with the best evaluation during training, not the newest.
        episodes: greedy episodes to play for the card; None: the run's final evaluation, or 100
            episodes if it has none.
        film: whether to film an episode, if the environment can be filmed.
        with_replay: push the replay buffer too, so that others can continue the run exactly.
        with_paths: push settings although they name local paths.
        private: make the repository private.
        revision: branch to push to, made if it does not exist; None: the main one.
        message: the commit's message; None: one with the env steps and the mean return.
        out: write the repository to this folder and upload nothing.
        env: as for `frankrl.resume`.
        allow_code: as for `frankrl.resume`.
        progress: as for `frankrl.train`.
        on_episode: called as episodes end, with their number and the number of episodes.
        **code: objects that the run was made from, by the names of their settings.

    Raises:
        HubError: the Hub cannot be reached, or refuses.
        FrankError: an argument is not allowed, or the run cannot be opened.
        MissingExtraError: the extra `hub` is not installed.
    """
    switches = {"best": best, "film": film, "with_replay": with_replay}
    switches |= {"with_paths": with_paths, "private": private, "progress": progress}
    _check_arguments(switches, {"revision": revision, "message": message}, episodes)
    api = client()
    check_repository(repository)
    check_code_names(code)
    folder = open_run(run, env, allow_code, code)
    if not with_paths:
        refuse_local_paths(folder.description)
    wanted = Wanted(best, episodes, with_replay, film)
    play = partial(evaluate, progress=progress, on_episode=on_episode)
    if out is not None:
        target = _new_folder(given_path(out, option("out")).absolute())
        built = _built(folder, target, repository, wanted, play)
        return Pushed(str(target), None, built.result.summary, built.size, built.filmed)
    check_token(api, repository)
    with tempfile.TemporaryDirectory(prefix="frank-hub-") as temporary:
        target = Path(temporary) / "repository"
        built = _built(folder, target, repository, wanted, play)
        text = message or _message(built)
        with hub_errors(api, repository):
            place, commit = _upload(api, target, repository, text, revision, private=private)
    return Pushed(place, commit, built.result.summary, built.size, built.filmed)


def _check_arguments(switches: dict[str, Any], texts: dict[str, Any], episodes: int | None) -> None:
    for name, value in switches.items():
        check_type(value, name, bool, "True or False")
    for name, value in texts.items():
        if value is not None:
            check_type(value, name, str, "text, or None")
    whole = isinstance(episodes, int) and not isinstance(episodes, bool)
    if episodes is not None and not (whole and 1 <= episodes <= MAX_EPISODES):
        raise SettingError(
            f"episodes must be a whole number from 1 to {MAX_EPISODES:,}, or None for the run's "
            f"own evaluation, got {episodes!r}"
        )


def _new_folder(path: Path) -> Path:
    if path.is_symlink() or (path.exists() and not (path.is_dir() and not any(path.iterdir()))):
        raise SettingError(f"{path} exists already: choose another {option('out')}")
    return path


def _built(
    folder: RunFolder,
    target: Path,
    repository: str,
    wanted: Wanted,
    play: Callable[..., Evaluation],
) -> Built:
    """The repository in a new folder, which appears completely or not at all."""
    temporary = target.with_name(f".{target.name}.new-{os.getpid()}")
    try:
        temporary.mkdir(parents=True)
        built = build(folder, temporary, repository, wanted, play)
        rename(temporary, target)
    except OSError as error:
        raise HubError(f"the repository cannot be written to {target}: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return built


def _message(built: Built) -> str:
    result = built.result
    return f"{counted(result.env_steps, result.clock.unit)}, mean return {result.mean_reward}"


def _upload(
    api: "HfApi",
    folder: Path,
    repository: str,
    message: str,
    revision: str | None,
    *,
    private: bool,
) -> tuple[str, str]:
    """Upload a folder as one commit; files of an earlier push that it lacks are removed."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    place = str(api.create_repo(repository, private=private or None, exist_ok=True))
    if revision is not None:
        api.create_branch(repository, branch=revision, exist_ok=True)
    there = api.model_info(repository, revision=revision)
    if private and not there.private:
        raise HubError(
            f"{place} exists and is public, so nothing was pushed: make it private in its "
            f"settings, choose another name, or leave out {option('private', True)}"
        )
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    old = [file.rfilename for file in there.siblings or ()]
    operations = [
        *(CommitOperationDelete(name) for name in old if is_known(name) and name not in files),
        *(CommitOperationAdd(name, path) for name, path in sorted(files.items())),
    ]
    commit = api.create_commit(repository, operations, commit_message=message, revision=revision)
    return place, commit.oid
