"""The run folder on this machine of a run that moves: made, restored, or continued."""

import contextlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from frankrl.core.errors import RunFolderError, StorageError
from frankrl.core.paths import given_path
from frankrl.core.wording import option
from frankrl.runs import RunDescription, RunFolder, list_checkpoints, permission_of
from frankrl.runs.lock import locked
from frankrl.runs.place import refuse_existing
from frankrl.runs.publishing import Claim, Log, Ownership, Saved, noted_claim, restore_newest
from frankrl.runs.same_run import unlike
from frankrl.training.initial import InitialSource
from frankrl.training.preparing import prepare, prepare_resume
from frankrl.training.remote import MakeSource
from frankrl.training.trainer import Trainer


class AskedRun(NamedTuple):
    """What was asked for."""

    description: RunDescription
    initial: InitialSource | None
    overwrite: bool
    started: float | None
    make_source: MakeSource | None


@dataclass
class LocalFolder:
    """The run folder on this machine."""

    path: Path
    is_kept: bool = False
    """Whether it holds what nothing else holds."""


@contextlib.contextmanager
def local_folder(local: str | os.PathLike[str] | None) -> Iterator[LocalFolder]:
    """The run folder on this machine; a temporary one is removed if nothing else is said."""
    if local is not None:
        yield LocalFolder(given_path(local, option("out")).absolute())
        return
    folder = Path(tempfile.mkdtemp(prefix="frank-"))
    place = LocalFolder(folder / "run")
    try:
        yield place
    finally:
        if not place.is_kept:
            shutil.rmtree(folder, ignore_errors=True)


def check_local(path: Path, run: AskedRun) -> None:
    """Refuse a local folder that holds something else than this run.

    Raises:
        RunFolderError: it does, or a process is writing it.
    """
    there = _local_run(path, run)
    if there is None:
        refuse_existing(path, overwrite=run.overwrite)
        return
    with locked(path, path):
        pass
    different = unlike(run.description, there.description)
    if different and not run.overwrite:
        raise RunFolderError(
            f"{path} holds another run: {'; '.join(different)}; choose another {option('out')}, or "
            f"replace it with {option('overwrite', True)}"
        )


def _local_run(path: Path, run: AskedRun) -> RunFolder | None:
    """The run in the local folder, with the objects of this call; None if there is none."""
    try:
        there = path.is_dir() and any(path.iterdir())
    except OSError:
        there = False
    if not there:
        return None
    description = run.description
    values = description.settings.values()
    permission = permission_of(str(description.env_id), False, values)
    with contextlib.suppress(RunFolderError):
        return RunFolder.open(path, permission)
    return None


def local_training(
    ownership: Ownership, path: Path, run: AskedRun, say: Callable[[str], None]
) -> tuple[Trainer, Saved | None]:
    """The training, from the beginning or from where it stands, and the state it was restored from.

    Raises:
        FrankError: it cannot begin or continue.
    """
    log, local = ownership.log, _local_run(path, run)
    saved = log.newest_saved()
    restored = None
    if not _continues(log, saved, local, run):
        local = None
        if saved is not None:
            if path.exists():
                refuse_existing(path, overwrite=True)
            restored = restore_newest(log, path)
            local = _restored(log, path, run)
    if local is None:
        description = run.description
        training = prepare(
            description.env_id, description.preset, description.settings, description.seed, path,
            initial=run.initial, overwrite=path.exists(), started=run.started,
            make_source=run.make_source,
        )  # fmt: skip
        return training, None
    if (local.description.origin is None) != (run.initial is None):
        began = "drawn by its seed" if local.description.origin is None else "given"
        raise StorageError(
            f"the weights that the run of {log.storage.address} began with were {began}: give the "
            f"same {option('init_from')}"
        )
    if restored is not None:
        at = run.description.settings.clock.at(restored.env_steps)
        say(f"continuing from the checkpoint at {at} that it published")
    # Every name in it was given in this very call, so it is this user's own from now on.
    local = local.with_description(local.description)
    values = run.description.settings.values()
    local = local.with_objects(run.description.env_id, values)
    settings = local.description.settings
    resumed = prepare_resume(local, settings, started=run.started, make_source=run.make_source)
    return resumed, restored


def _restored(log: Log, path: Path, run: AskedRun) -> RunFolder | None:
    """The folder that was just restored.

    Raises:
        StorageError: it names other things than this call does, and than the claim of its owner.
    """
    local = _local_run(path, run)
    if local is not None and (different := unlike(run.description, local.description)):
        shutil.rmtree(path, ignore_errors=True)
        raise StorageError(
            f"a state of {log.storage.address} is of another run than its owner has claimed: "
            f"{'; '.join(different)}"
        )
    return local


def _continues(log: Log, saved: Saved | None, local: RunFolder | None, run: AskedRun) -> bool:
    """Whether the local folder goes on where the published history ends.

    Raises:
        RunFolderError: it has gone further, under a claim that is not part of that history.
    """
    if local is None or unlike(run.description, local.description):
        return False
    there = list_checkpoints(local.checkpoints)
    if not there:
        return False
    if saved is None:
        return True
    env_steps = int(there[-1].name)
    note = noted_claim(local.path)
    since = itertools.takewhile(lambda record: record.number >= saved.fence, log.history())
    if any(isinstance(record, Claim) and record.sha256 == note for record in since):
        return env_steps >= saved.env_steps
    if env_steps > saved.env_steps and not run.overwrite:
        raise RunFolderError(
            f"{local.path} is at env step {env_steps:,}, and {log.storage.address} is at "
            f"{saved.env_steps:,}, written by another process: choose another {option('out')}, or "
            f"replace it with {option('overwrite', True)}"
        )
    return False
