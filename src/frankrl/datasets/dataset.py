"""A data set that is open for reading."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gymnasium import spaces

from frankrl.core.errors import FrankError, SettingError
from frankrl.core.figures import counted, figure
from frankrl.core.text import shown
from frankrl.datasets.arrays import NotAnEpisodeError
from frankrl.datasets.checks import checked
from frankrl.datasets.digest import ContentDigest
from frankrl.datasets.hdf5 import check_installed, opened, read_episode
from frankrl.datasets.metadata import DIGEST, FACTS, Metadata, read_metadata
from frankrl.datasets.names import EPISODES, METADATA, found, named_folder
from frankrl.datasets.records import DataEpisode


@dataclass(frozen=True)
class DataSet:
    """Whole episodes that were collected before; `open_dataset` has read and checked them all."""

    name: str
    """By what Minari knows it, such as lander/medium-v0."""
    digest: str
    """SHA-256 of spaces and episodes, as 64 hexadecimal digits; independent of the file's form."""
    observation_space: spaces.Space
    action_space: spaces.Discrete
    env_id: str | None
    """The environment's name as the data set gives it; None: it gives none. Nothing is made by
    it."""
    env_kwargs: Mapping[str, Any]
    num_episodes: int
    num_steps: int
    mean_return: float
    """Mean undiscounted return of its episodes."""
    folder: Path
    """The folder by which it is opened again: that of its name, or of its files."""
    files: Path
    """The folder with its files."""
    metadata: Metadata

    def in_words(self) -> str:
        """How much it holds, and how good it is."""
        episodes, steps = counted(self.num_episodes, "episode"), counted(self.num_steps, "env step")
        return f"{episodes} of {steps}, mean return {figure(self.mean_return)}"

    def episodes(self) -> Iterator[DataEpisode]:
        """The episodes, in the data set's order; each is read from the file and checked again.

        Raises:
            SettingError: the file cannot be read any more. Whether it holds what it held when it
                was opened is known by the `digest` of all of it.
        """
        return episodes_in(self.files, self.metadata)


def open_dataset(name_or_folder: object) -> DataSet:
    """Open a Minari data set, and read it once to check it.

    Nothing that it names is imported, made or run.

    Args:
        name_or_folder: the folder of a data set, or its name in Minari's folder of local data sets.

    Raises:
        SettingError: there is none; or it is empty, damaged, without ends, or not for DQN. That a
            file which HDF5 can read holds other numbers is only known of what Frank has written.
        MissingExtraError: the extra `minari` is not installed.
    """
    files = found(name_or_folder)
    folder = named_folder(files)
    check_installed()
    metadata = read_metadata(files)
    digest = ContentDigest(metadata.observation_space, metadata.action_space)
    num_steps, total = 0, 0.0
    for episode in episodes_in(files, metadata):
        digest.add(episode)
        num_steps += episode.num_steps
        total += float(episode.rewards.sum())
    _check_as_written(folder, metadata, digest.text())
    return DataSet(
        name=metadata.name,
        digest=digest.text(),
        observation_space=metadata.observation_space,
        action_space=metadata.action_space,
        env_id=metadata.env_id,
        env_kwargs=metadata.env_kwargs,
        num_episodes=metadata.num_episodes,
        num_steps=num_steps,
        mean_return=total / metadata.num_episodes,
        folder=folder,
        files=files,
        metadata=metadata,
    )


def _check_as_written(folder: Path, metadata: Metadata, digest: str) -> None:
    """Refuse other content than what was written, where that is known."""
    if metadata.digest not in (None, digest):
        raise SettingError(
            f"the data set {folder} is damaged: it does not hold what was written (SHA-256 "
            f"{shown(metadata.digest)[:12]}…, now {digest[:12]}…): write it again, or, if another "
            f"program changed it on purpose, remove {FACTS}.{DIGEST} from its {METADATA}"
        )


def episodes_in(files: Path, metadata: Metadata) -> Iterator[DataEpisode]:
    """The episodes of the data set with its files in a folder; errors as for `open_dataset`."""
    path, folder = files / EPISODES, named_folder(files)
    if not metadata.num_episodes:
        raise SettingError(f"the data set {folder} is empty: it holds no episodes")
    if not path.is_file():
        raise SettingError(f"the data set {folder} is damaged: its file {EPISODES} is missing")
    number, left = None, metadata.num_steps
    try:
        # What HDF5 says of a file that may not be read is of no use to anybody.
        path.open("rb").close()
        with opened(path) as file:
            if len(file) != metadata.num_episodes:
                raise NotAnEpisodeError(
                    f"{len(file):,} episodes where its metadata say {metadata.num_episodes:,}"
                )
            for number in range(metadata.num_episodes):
                episode = read_episode(file, number, metadata, left)
                left -= episode.num_steps
                yield checked(episode, metadata.observation_space, metadata.action_space)
    except FrankError:
        raise
    except NotAnEpisodeError as error:
        where = "" if number is None else f" in its episode {number}"
        raise SettingError(f"the data set {folder} has{where} {shown(error)}") from error
    except PermissionError as error:
        raise SettingError(f"{path} cannot be read: {error.strerror}") from error
    except Exception as error:  # h5py raises whatever it likes for a damaged file
        reason = shown(error) or type(error).__name__
        raise SettingError(
            f"the data set {folder} cannot be read, its file {EPISODES} is damaged: {reason}"
        ) from error
    if left:
        raise SettingError(
            f"the data set {folder} is damaged: its metadata say {metadata.num_steps:,} steps, and "
            f"it holds {metadata.num_steps - left:,}"
        )
