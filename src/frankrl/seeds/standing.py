"""Where the runs of a group stand, found out before any of them is changed."""

from pathlib import Path
from typing import NamedTuple

from frankrl.core.errors import RunFolderError
from frankrl.core.seeds import seeds_in_words
from frankrl.jobs import Job, is_done
from frankrl.runs import RunFolder, list_checkpoints, read_newest, tidy_checkpoints
from frankrl.runs.checkpoint import verify_checkpoint
from frankrl.runs.group import RunGroup
from frankrl.runs.layout import CHECKPOINTS
from frankrl.runs.lock import is_held, locked_aside
from frankrl.runs.place import others_of_run
from frankrl.training.checkpoint_metadata import count_in


class Standing(NamedTuple):
    """Where a run goes on; a smaller one is behind a larger one."""

    env_steps: int = 0
    """Of its newest intact checkpoint; 0: it has none, and begins anew."""
    updates: int = 0


def where_runs_stand(group: RunGroup) -> dict[int, Standing]:
    """The seeds of a group whose runs are not over, and where each goes on.

    Before any run is changed, everything in the places of the runs is checked to be what it must.

    Raises:
        FrankError: one is a link, another run, damaged, or is being written.
    """
    # The links of all runs first, because nothing behind one is to be read.
    group.begun()
    for seed in group.seeds:
        path = group.path_of(seed)
        if path.exists():
            _check_run(group, seed, path)
    paths, settings = {s: group.path_of(s) for s in group.seeds}, group.description.settings
    return {s: newest_intact(path) for s, path in paths.items() if not is_done(path, settings)}


def _check_run(group: RunGroup, seed: int, path: Path) -> None:
    about, program = group.description, group.program_of(seed)
    try:
        folder = RunFolder.open(path)
    except RunFolderError as error:
        raise RunFolderError(
            f"{error}; nothing in {group.path} was changed: bring this run back, or move it away, "
            "and its seed begins anew"
        ) from error
    Job(about.env_id, about.preset, about.settings, seed, path).check_same(folder)
    together = folder.description.batched_with
    if together != program:
        theirs = f"with the seeds {seeds_in_words(together)}" if together else "alone"
        raise RunFolderError(
            f"{path} was trained {theirs}, and in {group.path} it is one program with the seeds "
            f"{seeds_in_words(program)}: move it away, and its seed begins anew"
        )
    try:
        with locked_aside(path):
            pass
    except RunFolderError as error:
        if is_held(path):
            raise RunFolderError(
                f"{path} is being trained by another process: wait for it, or stop it, and go on"
            ) from error
        raise


def newest_intact(path: Path) -> Standing:
    """Where a run's newest intact checkpoint stands.

    Args:
        path: its folder, which may be missing; if not, it is the right one.

    Raises:
        DamagedError: it has checkpoints, and none of them is intact.
        RunFolderError: one is of another version; or the run would begin anew, and its folder
            holds what no run writes.
    """
    if not path.exists():
        return Standing()
    folder = RunFolder.open(path)
    # This may complete a checkpoint of a killed process.
    tidy_checkpoints(folder.checkpoints)
    newest = Standing()
    if list_checkpoints(folder.checkpoints):
        newest = read_newest(folder.checkpoints, _verified)[0]
    if not newest.env_steps and (others := others_of_run(path)):
        raise RunFolderError(
            f"{path} has no checkpoint, so its seed begins anew in its place, and it also holds "
            f"{others}: move that away"
        )
    return newest


def was_solved(path: Path) -> bool:
    """Whether a run, which may be missing, was solved by its newest intact checkpoint.

    Raises:
        DamagedError: it has checkpoints, and none of them is intact.
    """
    if not list_checkpoints(path / CHECKPOINTS):
        return False
    info, _ = read_newest(path / CHECKPOINTS, lambda checkpoint: verify_checkpoint(checkpoint).info)
    return info.get("solved") is not None


def _verified(checkpoint: Path) -> Standing:
    info = verify_checkpoint(checkpoint).info
    return Standing(count_in(info, "env_steps"), count_in(info, "updates"))
