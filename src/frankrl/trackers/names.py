"""Which trackers there are, and whether a run may use one."""

import importlib
import importlib.metadata
import importlib.util
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from frankrl.core.errors import MissingExtraError, RunFolderError, SettingError, nearest
from frankrl.core.text import given, shown
from frankrl.core.wording import option
from frankrl.runs.description import signed_names
from frankrl.runs.folder import RunFolder
from frankrl.runs.mark import is_own
from frankrl.trackers.protocol import TrackedRun, Tracker

ENTRY_POINTS = "frankrl.trackers"
"""The group of entry points by which other packages bring trackers."""
_NAME = re.compile(r"\w[\w.-]*")


class BuiltIn(NamedTuple):
    """One of Frank's own trackers: `open_tracker` of the module of this name."""

    module: str
    """Module that it needs."""
    package: str
    """Package that holds the module."""


BUILT_IN = {
    "tensorboard": BuiltIn("tensorboardX", "tensorboardX"),
    "trackio": BuiltIn("trackio", "trackio"),
    "wandb": BuiltIn("wandb", "wandb"),
    "mlflow": BuiltIn("mlflow", "mlflow-skinny"),
}
"""Frank's own trackers by name, which is also the name of the extra."""

Opener = Callable[[TrackedRun], Tracker]


def check_trackers(names: Iterable[str]) -> None:
    """Check that trackers are there, without importing any.

    Raises:
        SettingError: there is no such tracker.
        MissingExtraError: the package that it needs is not installed.
    """
    for name in names:
        if name not in BUILT_IN:
            _entry_point(name)
        elif importlib.util.find_spec(BUILT_IN[name].module) is None:
            raise MissingExtraError(f"the tracker {name}", BUILT_IN[name].package, name)


def check_permitted(folder: RunFolder, names: Iterable[str]) -> None:
    """Refuse the code of a tracker that is not Frank's own and that only a run folder names.

    A run folder can come from anyone. So such a tracker is used only if the user's own Frank wrote
    its name there, if the user named it in this very command, or if the user allowed the run's
    code.

    Raises:
        RunFolderError: a tracker is not to be used.
    """
    description, permission = folder.description, folder.permission
    others = [name for name in names if name not in (*BUILT_IN, *permission.named)]
    if not others or permission.allow_code or is_own(description.mark, signed_names(description)):
        return
    raise RunFolderError(
        f"{folder.path} was not written by your own Frank and names the tracker "
        f"{', '.join(map(shown, others))}, so nothing of that is imported; if you want it, name "
        f"it: {option('log', others[0])}, or give {option('allow_code', True)}; or choose other "
        f"trackers by {option('log')}"
    )


def opener_of(name: str) -> Opener:
    """What opens a tracker; the tracker's package is imported.

    Raises:
        SettingError: there is no such tracker.
    """
    if name in BUILT_IN:
        return importlib.import_module(f"frankrl.trackers.{name}").open_tracker
    return _entry_point(name).load()


def _entry_point(name: str) -> importlib.metadata.EntryPoint:
    others = {found.name: found for found in importlib.metadata.entry_points(group=ENTRY_POINTS)}
    if name in others and _NAME.fullmatch(name):
        return others[name]
    known = [*BUILT_IN, *sorted(others)]
    raise SettingError(
        f"log must name trackers, of {', '.join(known)}, got {given(name)}{nearest(name, known)}; "
        f"a package brings another one by an entry point {ENTRY_POINTS!r}"
    )
