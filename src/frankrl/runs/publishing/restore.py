"""Makes a run folder out of a published run, and trusts nothing of it."""

import itertools
import os
import shutil
from pathlib import Path

from frankrl.core.errors import DamagedError, FrankError, RunFolderError, StorageError, warn
from frankrl.core.paths import given_path
from frankrl.core.wording import option
from frankrl.runs.checkpoint import load_checkpoint
from frankrl.runs.checkpoint_folder import list_checkpoints
from frankrl.runs.disk import flush_folder
from frankrl.runs.folder import RunFolder, check_same_environment
from frankrl.runs.initial import check_initial
from frankrl.runs.layout import CHECKPOINTS, METRICS
from frankrl.runs.place import put_in_place, refuse_existing, temporary_for
from frankrl.runs.publishing.log import Log
from frankrl.runs.publishing.opened_storage import open_storage
from frankrl.runs.publishing.publisher import BLOBS, KEPT_RECORDS
from frankrl.runs.publishing.records import Saved

_FREE_BYTES = 1 << 26
"""Left on the disk after a restore."""


def fetch(
    address: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    overwrite: bool = False,
) -> Path:
    """Copy the newest state of a published run into a run folder that every command reads.

    Nothing that the run names is imported, and nothing of it is run. The run itself may go on.

    Args:
        address: the folder of shared storage, or an address such as `s3://bucket/folder`.
        out: the run folder to make.
        overwrite: replace a run that is there.

    Returns:
        The run folder. It appears completely or not at all.

    Raises:
        DamagedError: a file is missing or differs from its record.
        MissingExtraError: a package for the address is not installed.
        RunFolderError: the folder exists, or cannot be written.
        StorageError: the storage cannot be reached, or holds no state of a run.
    """
    path = given_path(out, option("out")).absolute()
    refuse_existing(path, overwrite=overwrite)
    log = Log(open_storage(address))
    if restore_newest(log, path) is None:
        raise StorageError(
            f"{log.storage.address} holds no state of a run yet: "
            f"{option('publish', log.storage.address)} of a training writes one at each checkpoint"
        )
    return path


def restore_newest(log: Log, path: Path) -> Saved | None:
    """Make a run folder out of the newest published state that is intact.

    Args:
        log: the log of the run.
        path: the folder; one that is there is replaced.

    Returns:
        The state; None if none was published yet.

    Raises:
        DamagedError: there are states, but none is intact.
        RunFolderError: the folder cannot be written.
        StorageError: the storage cannot be reached.
    """
    damaged: list[str] = []
    newest = None
    # Older records are read only if the newest state is damaged, or not at all.
    for saved in itertools.islice(log.states(), KEPT_RECORDS):
        newest = newest or saved
        try:
            restore(log, saved, path)
        except DamagedError as error:
            damaged.append(str(error))
            continue
        for reason in damaged:
            warn(f"{reason}; the state before it is used")
        return saved
    if newest is None:
        return None
    if log.newest_saved() != newest:
        # Its owner has published newer ones and removed these in the meantime.
        return restore_newest(log, path)
    raise DamagedError(f"{damaged[0]}; no other state of the run is intact")


def restore(log: Log, saved: Saved, path: Path) -> None:
    """Make a run folder out of one published state; it appears completely or not at all.

    Raises:
        DamagedError: a file is missing, differs from its record, or is none of a run.
        RunFolderError: the folder cannot be written.
        StorageError: the storage cannot be reached.
    """
    temporary = temporary_for(path)
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        (temporary / CHECKPOINTS).mkdir(parents=True)
        _check_room(path.parent, saved)
        for name, file in saved.files.items():
            target = temporary / name
            target.parent.mkdir(parents=True, exist_ok=True)
            entry = {"bytes": file.bytes, "sha256": file.sha256}
            log.storage.get_file(f"{BLOBS}/{file.blob}", target, entry)
        _check_run(temporary, log, saved)
        for folder in {(temporary / name).parent for name in saved.files}:
            flush_folder(folder)
        put_in_place(temporary, path)
    except OSError as error:
        raise RunFolderError(f"cannot make the run folder {path}: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_room(folder: Path, saved: Saved) -> None:
    """Refuse a disk that is too small."""
    wanted = sum(file.bytes for file in saved.files.values())
    free = shutil.disk_usage(folder).free
    if free < wanted + _FREE_BYTES:
        raise RunFolderError(
            f"the run takes {wanted / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free in {folder}: "
            f"choose an {option('out')} on another disk"
        )


def _check_run(folder: Path, log: Log, saved: Saved) -> None:
    """Refuse files that are no run, or another one than its owner has claimed.

    Raises:
        DamagedError: they are.
    """
    place = f"record {saved.number} of {log.storage.address}"
    try:
        run = RunFolder.open(folder)
        there, claimed = run.description, log.claim_of(saved).description
        if (there.env_id, there.seed) != (claimed.env_id, claimed.seed):
            raise RunFolderError("it is of another run than the one that was claimed")
        newest = [int(checkpoint.name) for checkpoint in list_checkpoints(run.checkpoints)][-1:]
        if newest != [saved.env_steps] or METRICS not in saved.files:
            raise RunFolderError("it lacks its checkpoint or its metrics")
        check_initial(folder, there.origin)
        for checkpoint in (*list_checkpoints(run.checkpoints), *list_checkpoints(run.best)):
            check_same_environment(run, load_checkpoint(checkpoint, {}).info)
    except DamagedError:
        raise
    except FrankError as error:
        reason = str(error).replace(str(folder), place)
        raise DamagedError(f"{place} holds no run that this Frank reads: {reason}") from error
