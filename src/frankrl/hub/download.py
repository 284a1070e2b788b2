"""Pulls a run from the Hub, and trusts nothing of it."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from frankrl.core.errors import FrankError, HubError, RunFolderError, check_type
from frankrl.core.figures import counted
from frankrl.core.paths import given_path
from frankrl.core.system import rename
from frankrl.core.wording import option
from frankrl.display.progress_bar import progress_bar
from frankrl.hub.client import check_repository, client, hub_errors
from frankrl.hub.layout import (
    ABOUT,
    CARD,
    FILM,
    MAX_MANIFEST_BYTES,
    RESULTS,
    SETTINGS,
    SOURCE,
    check_file,
    described_in,
)
from frankrl.runs import RunFolder, check_same_environment, list_checkpoints, load_checkpoint
from frankrl.runs.checkpoint import MANIFEST
from frankrl.runs.disk import flush_folder, read_regular, write_durably
from frankrl.runs.initial import check_initial
from frankrl.runs.place import put_in_place, refuse_existing, temporary_for

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_FREE_BYTES = 1 << 28
"""Left on the disk after a download."""


def pull(
    repository: str,
    *,
    out: str | os.PathLike[str] | None = None,
    revision: str | None = None,
    overwrite: bool = False,
    progress: bool = True,
    on_file: Callable[[int, int], None] = lambda done, of: None,
) -> Path:
    """Pull a run from the Hub; nothing that it names is imported, and nothing of it is run.

    Args:
        repository: USER/NAME.
        out: the run folder to make; None: `runs/USER/NAME`.
        revision: a branch, tag or commit; None: the newest commit of the main branch.
        overwrite: replace a run that is there.
        progress: as for `frankrl.train`.
        on_file: called as files arrive, with their number and the number of files.

    Raises:
        HubError: the Hub cannot be reached or refuses, or the repository holds no run.
        RunFolderError: the folder exists, or a file differs from the manifest.
        MissingExtraError: the extra `hub` is not installed.

    Returns:
        The run folder. It appears completely or not at all.
    """
    check_type(overwrite, "overwrite", bool, "True or False")
    check_type(progress, "progress", bool, "True or False")
    if revision is not None:
        check_type(revision, "revision", str, "a branch, a tag or a commit, or None")
    api = client()
    check_repository(repository)
    path = Path("runs", *repository.split("/")) if out is None else given_path(out, option("out"))
    path = path.absolute()
    refuse_existing(path, overwrite=overwrite)
    listed = _listed(api, repository, revision)
    temporary = temporary_for(path)
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        with progress_bar("pulling", "files", progress=progress) as show:

            def shown(done: int, of: int) -> None:
                show(done, of)
                on_file(done, of)

            _download(api, repository, listed, temporary, shown)
        _check_run(temporary, repository)
        _set_apart(temporary, repository, listed.commit)
        put_in_place(temporary, path)
    except OSError as error:
        raise RunFolderError(f"cannot make the run folder {path}: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return path


class _Listed(NamedTuple):
    """A commit of a repository."""

    commit: str
    sizes: dict[str, int | None]
    """Of its files, by name. [bytes]"""


def _listed(api: "HfApi", repository: str, revision: str | None) -> _Listed:
    with hub_errors(api, repository):
        info = api.model_info(repository, revision=revision, files_metadata=True)
    sizes = {file.rfilename: file.size for file in info.siblings or ()}
    if MANIFEST not in sizes or not info.sha:
        raise HubError(
            f"{api.endpoint}/{repository} holds no run of Frank: it has no {MANIFEST} as "
            "`frank hub push` writes it"
        )
    if not 0 < (sizes[MANIFEST] or 0) <= MAX_MANIFEST_BYTES:
        raise HubError(f"the {MANIFEST} of {repository} is damaged: it has an impossible size")
    return _Listed(info.sha, sizes)


def _download(
    api: "HfApi",
    repository: str,
    listed: _Listed,
    folder: Path,
    on_file: Callable[[int, int], None],
) -> None:
    """Download the manifest, then the files that it names; each is compared with it."""
    _fetch(api, repository, listed.commit, MANIFEST, folder)
    described = described_in(read_regular(folder / MANIFEST, MAX_MANIFEST_BYTES), repository)
    _check_sizes(described, listed, repository, folder)
    for done, (name, entry) in enumerate(described.items()):
        on_file(done, len(described))
        _fetch(api, repository, listed.commit, name, folder)
        check_file(folder / name, entry, f"{name} of {repository}")
    on_file(len(described), len(described))


def _check_sizes(
    described: dict[str, dict[str, Any]], listed: _Listed, repository: str, folder: Path
) -> None:
    """Refuse a repository whose files have other sizes than its manifest says, or too large ones.

    Raises:
        HubError: it is one.
    """
    for name, entry in described.items():
        size = listed.sizes.get(name)
        if size != entry["bytes"]:
            there = "is missing" if name not in listed.sizes else f"has {size} bytes"
            raise HubError(
                f"{repository} is damaged: {name} {there}, its {MANIFEST} says {entry['bytes']:,}"
            )
    total, free = sum(e["bytes"] for e in described.values()), shutil.disk_usage(folder).free
    if total + _FREE_BYTES > free:
        raise HubError(
            f"{repository} takes {total:,} bytes and {free:,} are free on the disk of "
            f"{folder.parent}: choose an {option('out')} on another disk"
        )


def _fetch(api: "HfApi", repository: str, commit: str, name: str, folder: Path) -> None:
    with hub_errors(api, repository):
        api.hf_hub_download(repository, name, revision=commit, local_dir=folder)


def _check_run(folder: Path, repository: str) -> None:
    """Refuse a download that is no run; reads data and runs no code.

    Raises:
        HubError: it is none.
    """
    try:
        run = RunFolder.open(folder)
        if run.description.mark:
            raise RunFolderError("its config.toml has a mark, which `frank hub push` never writes")
        if not list_checkpoints(run.checkpoints):
            raise RunFolderError("it has no checkpoint")
        check_initial(folder, run.description.origin)
        for checkpoint in (*list_checkpoints(run.checkpoints), *list_checkpoints(run.best)):
            check_same_environment(run, load_checkpoint(checkpoint, {}).info)
    except FrankError as error:
        reason = str(error).replace(str(folder), repository)
        raise HubError(f"{repository} holds no run that this Frank reads: {reason}") from error


def _set_apart(folder: Path, repository: str, commit: str) -> None:
    """Put the files for people into a folder of their own, so that what is left is a run."""
    # The client keeps its notes there.
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    about = folder / ABOUT
    about.mkdir()
    for name in (CARD, RESULTS, SETTINGS, FILM, MANIFEST):
        if (folder / name).exists():
            rename(folder / name, about / name)
    source = {"repository": repository, "commit": commit}
    write_durably(about / SOURCE, (json.dumps(source, indent=2) + "\n").encode())
    flush_folder(folder)


def size_of(path: Path) -> str:
    """The number of files of a folder and their size, in words."""
    files = [file for file in path.rglob("*") if file.is_file()]
    total = sum(file.stat().st_size for file in files)
    return f"{counted(len(files), 'file')}, {total / 1e6:,.1f} MB"
