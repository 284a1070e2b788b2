"""Where data sets are: by a name in Minari's own folder, or in any folder."""

import itertools
import os
import re
from pathlib import Path

from frankrl.core.errors import SettingError, nearest
from frankrl.core.paths import given_path
from frankrl.core.text import shown

DATA, METADATA, EPISODES = "data", "metadata.json", "main_data.hdf5"
"""The folder of a data set's files in that of its name, and these files."""
_NAME = re.compile(r"(?:[-_a-zA-Z0-9]{2,}/)*[-_a-zA-Z0-9]+-v(?:0|[1-9][0-9]{0,8})")
_MAX_FOLDERS = 1_000
"""Folders that are looked at for the nearest name: Minari's folder may be any."""


def minari_folder() -> Path:
    """Minari's folder of local data sets: `MINARI_DATASETS_PATH`, or `~/.minari/datasets`."""
    named = os.environ.get("MINARI_DATASETS_PATH")
    return Path(named) if named else Path.home() / ".minari" / "datasets"


def check_name(name: object) -> str:
    """The name of a new data set.

    Raises:
        SettingError: Minari allows no such names.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SettingError(
            f"a data set needs a name such as lander/medium-v0, of letters, digits, - and _, with "
            f"a version at its end, got {shown(name)!r}"
        )
    return name


def found(name_or_folder: object) -> Path:
    """The folder with a data set's files.

    Args:
        name_or_folder: the folder of a data set, or its name in Minari's folder.

    Raises:
        SettingError: there is no such data set, or its metadata are missing.
    """
    folder = given_path(name_or_folder, "the data set")
    name = str(name_or_folder)
    places = [folder, folder / DATA]
    if _NAME.fullmatch(name):
        places.append(minari_folder() / name / DATA)
    try:
        for place in places:
            if (place / METADATA).is_file():
                return place
            if (place / EPISODES).is_file():
                raise SettingError(
                    f"the data set {named_folder(place)} is damaged, or was not written to its "
                    f"end: its file {METADATA} is missing"
                )
    except OSError as error:
        raise SettingError(
            f"the data set {shown(name)} cannot be read: {error.strerror or error}: "
            f"{shown(error.filename or '')}"
        ) from error
    raise SettingError(
        f"there is no data set {shown(name)}: it is neither a folder with a {METADATA}, nor a name "
        f"in Minari's folder {minari_folder()}{nearest(name, _local_names())}"
    )


def named_folder(files: Path) -> Path:
    """The folder that a person names for the data set with its files in a folder: mostly that of
    its name, in which they lie below."""
    above = files.parent
    return above if files.name == DATA and not (above / METADATA).is_file() else files


def _local_names() -> list[str]:
    """Names of data sets in Minari's folder."""
    top, names = minari_folder(), []
    for place, folders, _ in itertools.islice(os.walk(top), _MAX_FOLDERS):
        if DATA in folders:
            names.append(Path(place).relative_to(top).as_posix())
            folders.clear()
    return names
