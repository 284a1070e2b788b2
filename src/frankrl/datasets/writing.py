"""Writes a data set, whole or not at all."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from frankrl.core import system
from frankrl.core.errors import SettingError
from frankrl.core.text import shown
from frankrl.datasets.arrays import NotAnEpisodeError
from frankrl.datasets.checks import checked
from frankrl.datasets.digest import ContentDigest
from frankrl.datasets.hdf5 import begun, check_installed
from frankrl.datasets.metadata import DIGEST, FACTS, FORMAT, VERSION
from frankrl.datasets.names import DATA, EPISODES, METADATA, check_name, minari_folder
from frankrl.datasets.records import DataEpisode, DataSetDescription
from frankrl.datasets.spaces import space_to_data

_NEW = ".new-"
"""In the name of a data set's folder while it is written, before the number of the process."""


def write_dataset(
    name: str,
    folder: Path | None,
    description: DataSetDescription,
    episodes: Iterable[DataEpisode],
) -> Path:
    """Write a data set that Minari and Frank read.

    Args:
        name: its name, such as lander/medium-v0.
        folder: the folder of data sets in which it gets the folder of its name; None: Minari's.
        description: what it says beside its episodes.
        episodes: they are written as they come, so they need not fit into memory.

    Returns:
        The folder of its name.

    Raises:
        SettingError: the name is not allowed or exists, there are no episodes, one of them does
            not fit its spaces, or the folder cannot be written. Nothing is left then.
        MissingExtraError: the extra `minari` is not installed.
    """
    place, made = check_place(name, folder), _Made(episodes)
    with _whole_or_nothing(place, made) as temporary:
        digest = ContentDigest(description.observation_space, description.action_space)
        num_episodes = num_steps = 0
        with begun(temporary / EPISODES) as file:
            for episode in made:
                fitting = _fitting(episode, num_episodes, description)
                file.append(fitting)
                digest.add(fitting)
                num_episodes += 1
                num_steps += fitting.num_steps
        if not num_episodes:
            raise SettingError(f"there are no whole episodes for the data set {name}")
        size = (temporary / EPISODES).stat().st_size
        data = _metadata(name, description, num_episodes, num_steps, size)
        data[FACTS][DIGEST] = digest.text()
        (temporary / METADATA).write_text(json.dumps(data))
        system.flush(temporary / METADATA)
        system.flush(temporary)
    return place


class _Made:
    """Episodes while they are made; what that raises is no fault of the disk."""

    def __init__(self, episodes: Iterable[DataEpisode]) -> None:
        self._episodes = episodes
        self.failure: OSError | None = None

    def __iter__(self) -> Iterator[DataEpisode]:
        try:
            yield from self._episodes
        except OSError as error:
            self.failure = error
            raise


def _fitting(episode: DataEpisode, number: int, description: DataSetDescription) -> DataEpisode:
    """The episode with the dtypes of the data set's spaces.

    Raises:
        SettingError: it does not fit them.
    """
    try:
        return checked(episode, description.observation_space, description.action_space)
    except NotAnEpisodeError as error:
        raise SettingError(f"episode {number} cannot be written: it has {shown(error)}") from error


def check_place(name: str, folder: Path | None) -> Path:
    """Where a new data set of this name belongs; arguments as of `write_dataset`.

    Raises:
        SettingError: the name is not allowed, exists, or lies in another data set.
        MissingExtraError: the extra `minari` is not installed.
    """
    check_installed()
    place = (folder if folder is not None else minari_folder()) / check_name(name)
    if place.exists():
        raise SettingError(f"a data set {place} exists already: choose another name or version")
    for folder in place.absolute().parents:
        if (folder / EPISODES).exists() or (folder / DATA / EPISODES).exists():
            raise SettingError(
                f"{folder} is a data set, and holds no other: choose another name than {name}"
            )
    return place


@contextlib.contextmanager
def _whole_or_nothing(place: Path, made: _Made) -> Iterator[Path]:
    """A temporary folder that becomes the data set's data when all went well."""
    temporary = place.with_name(f".{place.name}{_NEW}{os.getpid()}")
    _remove_leftovers(place)
    try:
        (temporary / DATA).mkdir(parents=True)
        yield temporary / DATA
        system.flush(temporary)
        system.rename(temporary, place)
        system.flush(place.parent)
    except OSError as error:
        if error is made.failure:
            raise
        reason = error.strerror or str(error)
        raise SettingError(f"the data set {place} cannot be written: {shown(reason)}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_leftovers(place: Path) -> None:
    """Remove what processes that were killed have left of a data set of this name."""
    for path in place.parent.glob(f".{place.name}{_NEW}*/{DATA}/{EPISODES}"):
        with contextlib.suppress(OSError):
            with path.open("rb+") as file:
                system.lock_file(file.fileno())
                if not system.IS_WINDOWS:
                    shutil.rmtree(path.parents[1], ignore_errors=True)
            if system.IS_WINDOWS:
                # It removes no file that is open.
                shutil.rmtree(path.parents[1], ignore_errors=True)


def _metadata(
    name: str, description: DataSetDescription, num_episodes: int, num_steps: int, size: int
) -> dict[str, Any]:
    """What Minari's metadata.json says."""
    data = {
        "total_episodes": num_episodes,
        "total_steps": num_steps,
        "data_format": FORMAT,
        "jpeg_encoding": False,
        "observation_space": json.dumps(space_to_data(description.observation_space)),
        "action_space": json.dumps(space_to_data(description.action_space)),
        "dataset_id": name,
        "minari_version": VERSION,
        "dataset_size": round(size / 1e6, 1),
        FACTS: {
            "env_id": description.env_id,
            "env_kwargs": dict(description.env_kwargs),
            **description.facts,
        },
    }
    if description.env_spec:
        data["env_spec"] = description.env_spec
    if description.algorithm:
        data["algorithm_name"] = description.algorithm
    if description.author:
        data["author"] = [description.author]
    if description.text:
        data["description"] = description.text
    return data
