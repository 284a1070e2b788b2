"""Episodes in an HDF5 file, in Minari's form: written, and read with nothing taken on trust."""

import contextlib
import io
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from jaxtyping import Shaped

from frankrl.core.system import lock_file
from frankrl.datasets.arrays import (
    NotAnEpisodeError,
    array_in,
    check_room,
    group_in,
    h5py,
    holds,
    jpegs_in,
    num_rows,
)
from frankrl.datasets.jpegs import are_jpegs, decoded
from frankrl.datasets.metadata import Metadata
from frankrl.datasets.records import DataEpisode
from frankrl.environments.extras import imported

MASKS = "action_mask"
"""The entry of the infos with action masks."""
_PACKED_ROW_BYTES = 1_024
"""Rows of so many bytes are pictures, which are packed."""
_CHUNK_BYTES = 1 << 18
MAX_EPISODE_BYTES = 1 << 32
"""An episode takes no more than this in the dtypes of its spaces."""


def check_installed() -> None:
    """Check that files of episodes can be read and written.

    Raises:
        MissingExtraError: h5py is not installed.
    """
    imported("h5py", "a Minari data set", "h5py", "minari")


def opened(path: Path) -> Any:
    """The file, opened for reading."""
    return h5py().File(path, "r")


@contextlib.contextmanager
def begun(path: Path) -> Iterator["NewFile"]:
    """A new file of episodes, which is on the disk afterwards.

    Raises:
        OSError: it cannot be written.
    """
    with _Disk(path, "x+") as disk:
        # By this others see that it is not left over; some file systems have no locks.
        with contextlib.suppress(OSError):
            lock_file(disk.fileno())
        try:
            with h5py().File(disk, "w", track_order=True) as file:
                yield NewFile(file, disk)
            disk.flush()
            disk.check()
            os.fsync(disk.fileno())
        except Exception as error:
            # What HDF5 makes of a file that is not there is of no use to anybody.
            if disk.failure is not None:
                raise disk.failure from error
            raise


class NewFile:
    """A file of episodes while it is written."""

    def __init__(self, file: Any, disk: "_Disk") -> None:
        self._file, self._disk, self._number = file, disk, 0

    def append(self, episode: DataEpisode) -> None:
        """Write an episode after the others.

        Raises:
            OSError: the disk takes no more.
        """
        _write_episode(self._file, self._number, episode)
        self._number += 1
        self._disk.check()


class _Disk(io.FileIO):
    """A file that keeps the first failure of the disk for whoever asks, and tells HDF5 of none.

    HDF5 writes when it likes, also where nobody can be told, and ends the process if it is refused
    again and again.
    """

    failure: OSError | None = None

    def write(self, data: Any, /) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            while self.failure is None and len(left):
                left = left[super().write(left) :]
        except OSError as error:
            self.failure = error
        return size

    def truncate(self, size: int | None = None, /) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.failure = self.failure or error
            return size or 0

    def check(self) -> None:
        """Raise the failure, if there was one."""
        if self.failure is not None:
            raise self.failure


def _write_episode(file: Any, number: int, episode: DataEpisode) -> None:
    group = file.create_group(f"episode_{number}")
    steps = episode.num_steps
    group.attrs["id"], group.attrs["total_steps"] = number, steps
    if episode.seed is not None:
        group.attrs["seed"] = episode.seed
    ends = np.zeros((2, steps), np.bool_)
    ends[:, -1] = episode.terminated, episode.truncated
    _write(group, "observations", episode.observations)
    _write(group, "actions", episode.actions)
    _write(group, "rewards", episode.rewards)
    _write(group, "terminations", ends[0])
    _write(group, "truncations", ends[1])
    infos = group.create_group("infos")
    if episode.masks is not None:
        _write(infos, MASKS, episode.masks)


def read_episode(file: Any, number: int, metadata: Metadata, most_steps: int) -> DataEpisode:
    """Read an episode. Only its form is checked, not what its numbers say.

    Args:
        file: the opened file.
        number: the episode's number in the data set.
        metadata: of the data set.
        most_steps: how many steps the episode may have.

    Raises:
        NotAnEpisodeError: the file holds something else.
    """
    group = group_in(file.id, f"episode_{number}")
    steps = num_rows(group, "actions")
    if not steps:
        raise NotAnEpisodeError("no steps")
    if steps > most_steps:
        raise NotAnEpisodeError(f"{steps:,} steps where its metadata leave {most_steps:,}")
    space, has_jpegs = metadata.observation_space, metadata.has_jpegs
    size = (steps + 1) * _bytes_of(space)
    if size > MAX_EPISODE_BYTES:
        raise NotAnEpisodeError(
            f"{steps:,} steps that take {size / 2**30:,.1f} GiB, and an episode may take "
            f"{MAX_EPISODE_BYTES >> 30} GiB: write it again as shorter episodes"
        )
    return DataEpisode(
        observations=_observations(group, "observations", space, steps + 1, has_jpegs),
        actions=array_in(group, "actions", (steps,)),
        rewards=array_in(group, "rewards", (steps,)),
        terminated=_at_end(group, "terminations", steps),
        truncated=_at_end(group, "truncations", steps),
        masks=_masks(group, (steps + 1, int(metadata.action_space.n))),
        seed=_seed(group),
    )


def _bytes_of(space: spaces.Space) -> int:
    """Bytes of an observation."""
    if isinstance(space, spaces.Dict):
        return sum(map(_bytes_of, space.spaces.values()))
    if isinstance(space, spaces.Tuple):
        return sum(map(_bytes_of, space.spaces))
    return math.prod(space.shape or ()) * np.dtype(space.dtype).itemsize


def _at_end(group: Any, name: str, steps: int) -> bool:
    """Whether the last step ended the episode in this way; no other may."""
    flags = array_in(group, name, (steps,))
    if flags.dtype != np.bool_:
        raise NotAnEpisodeError(f"{name} of {flags.dtype}")
    if flags[:-1].any():
        raise NotAnEpisodeError(f"{name} before its last step")
    return bool(flags[-1])


def _observations(group: Any, name: str, space: spaces.Space, count: int, has_jpegs: bool) -> Any:
    if isinstance(space, spaces.Dict):
        below = group_in(group, name)
        return {
            key: _observations(below, key, space[key], count, has_jpegs) for key in space.spaces
        }
    if isinstance(space, spaces.Tuple):
        below = group_in(group, name)
        return tuple(
            _observations(below, f"_index_{place}", part, count, has_jpegs)
            for place, part in enumerate(space.spaces)
        )
    shape = space.shape or ()
    if has_jpegs and are_jpegs(space):
        check_room(name, count * math.prod(shape))
        return decoded(jpegs_in(group, name, count, shape), count, shape)
    return array_in(group, name, (count, *shape))


def _masks(group: Any, shape: tuple[int, int]) -> Shaped[np.ndarray, "state action"] | None:
    if not holds(group, "infos"):
        return None
    infos = group_in(group, "infos")
    return array_in(infos, MASKS, shape) if holds(infos, MASKS) else None


def _seed(group: Any) -> int | None:
    if not h5py().h5a.exists(group, b"seed"):
        return None
    stored = h5py().h5a.open(group, b"seed")
    if stored.shape != () or stored.dtype.kind not in "iu":
        raise NotAnEpisodeError("a seed that is no whole number")
    seed = np.empty((), stored.dtype)
    stored.read(seed)
    return int(seed)


def _write(group: Any, name: str, value: Any) -> None:
    if isinstance(value, tuple):
        value = {f"_index_{place}": part for place, part in enumerate(value)}
    if isinstance(value, dict):
        below = group.create_group(name)
        for key, part in value.items():
            _write(below, key, part)
        return
    row_bytes = value[:1].nbytes
    packing: dict[str, Any] = {}
    if row_bytes >= _PACKED_ROW_BYTES:
        rows = max(1, min(len(value), _CHUNK_BYTES // row_bytes))
        packing = {"chunks": (rows, *value.shape[1:]), "compression": "gzip"}
        packing["compression_opts"] = 1
    group.create_dataset(name, data=value, **packing)
