"""Episodes in an HDF5 file, in Minari's form: written, and read with nothing taken on trust.

An HDF5 file can point at other files, name code that unpacks it, and claim any size. Frank reads
arrays of numbers that lie in the file itself, within bounds, and refuses everything else.
"""

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

from frankrl.datasets.jpegs import are_jpegs, decoded
from frankrl.datasets.metadata import Metadata
from frankrl.datasets.records import DataEpisode
from frankrl.environments.extras import imported

MASKS = "action_mask"
"""The entry of the infos with action masks."""
_MAX_BYTES = 1 << 32
"""Largest array of an episode that is read."""
_FILTERS = (1, 2, 3, 4, 5, 6, 32000)
"""HDF5's own ways to pack an array, and LZF, which h5py holds; others are libraries to load."""
_PACKED_ROW_BYTES = 1_024
"""Rows of so many bytes are pictures, which are packed."""
_CHUNK_BYTES = 1 << 18
_KINDS = "biuf"


class NotAnEpisodeError(Exception):
    """What a file holds in the place of an episode, in words."""


def check_installed() -> None:
    """Check that files of episodes can be read and written.

    Raises:
        MissingExtraError: h5py is not installed.
    """
    imported("h5py", "a Minari data set", "h5py", "minari")


def opened(path: Path) -> Any:
    """The file, opened for reading."""
    return _h5py().File(path, "r")


@contextlib.contextmanager
def begun(path: Path) -> Iterator["NewFile"]:
    """A new file of episodes, which is on the disk afterwards.

    Raises:
        OSError: it cannot be written.
    """
    with _Disk(path, "x+") as disk:
        try:
            with _h5py().File(disk, "w", track_order=True) as file:
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


def read_episode(file: Any, number: int, metadata: Metadata) -> DataEpisode:
    """Read an episode. Only its form is checked, not what its numbers say.

    Raises:
        NotAnEpisodeError: the file holds something else.
    """
    group = _group(file.id, f"episode_{number}")
    actions = _array(group, "actions")
    space, has_jpegs = metadata.observation_space, metadata.has_jpegs
    return DataEpisode(
        observations=_observations(group, "observations", space, has_jpegs),
        actions=actions,
        rewards=_array(group, "rewards"),
        terminated=_at_end(group, "terminations", actions.shape),
        truncated=_at_end(group, "truncations", actions.shape),
        masks=_masks(group),
        seed=_seed(group),
    )


def _at_end(group: Any, name: str, shape: tuple[int, ...]) -> bool:
    """Whether the last step ended the episode in this way; no other may."""
    flags = _array(group, name)
    if flags.dtype != np.bool_ or flags.shape != shape:
        raise NotAnEpisodeError(f"{name} of {flags.dtype} and shape {flags.shape}")
    if flags[:-1].any():
        raise NotAnEpisodeError(f"{name} before its last step")
    return bool(flags[-1:].any())


def _observations(group: Any, name: str, space: spaces.Space, has_jpegs: bool) -> Any:
    if isinstance(space, spaces.Dict):
        below = _group(group, name)
        return {key: _observations(below, key, space[key], has_jpegs) for key in space.spaces}
    if isinstance(space, spaces.Tuple):
        below = _group(group, name)
        return tuple(
            _observations(below, f"_index_{place}", part, has_jpegs)
            for place, part in enumerate(space.spaces)
        )
    if has_jpegs and are_jpegs(space):
        return decoded(_stored_jpegs(group, name, space.shape or ()), space.shape or ())
    return _array(group, name)


def _masks(group: Any) -> Shaped[np.ndarray, "state action"] | None:
    if not _holds(group, "infos"):
        return None
    infos = _group(group, "infos")
    return _array(infos, MASKS) if _holds(infos, MASKS) else None


def _seed(group: Any) -> int | None:
    if not _h5py().h5a.exists(group, b"seed"):
        return None
    stored = _h5py().h5a.open(group, b"seed")
    if stored.shape != () or stored.dtype.kind not in "iu":
        raise NotAnEpisodeError("a seed that is no whole number")
    seed = np.empty((), stored.dtype)
    stored.read(seed)
    return int(seed)


def _holds(group: Any, name: str) -> bool:
    return group.links.exists(name.encode())


def _h5py() -> Any:
    """The module, whose lower half is not known to type checkers."""
    import h5py

    return h5py


def _member(group: Any, name: str) -> Any:
    """A part of the file itself.

    Raises:
        NotAnEpisodeError: it is missing, or stands in another file.
    """
    if not _holds(group, name):
        raise NotAnEpisodeError(f"no {name}")
    if group.links.get_info(name.encode()).type != _h5py().h5l.TYPE_HARD:
        raise NotAnEpisodeError(f"a part {name} that points elsewhere")
    return _h5py().h5o.open(group, name.encode())


def _group(group: Any, name: str) -> Any:
    found = _member(group, name)
    if not isinstance(found, _h5py().h5g.GroupID):
        raise NotAnEpisodeError(f"a part {name} that is no group")
    return found


def _stored(group: Any, name: str) -> Any:
    """An array of the file, not read yet, that is safe to read."""
    array = _member(group, name)
    if not isinstance(array, _h5py().h5d.DatasetID):
        raise NotAnEpisodeError(f"a part {name} that is no array")
    plan = array.get_create_plist()
    layout = plan.get_layout()
    if layout == _h5py().h5d.VIRTUAL or plan.get_external_count():
        raise NotAnEpisodeError(f"{name} that stand in another file")
    filters = range(plan.get_nfilters()) if layout == _h5py().h5d.CHUNKED else ()
    for place in filters:
        if (number := plan.get_filter(place)[0]) not in _FILTERS:
            raise NotAnEpisodeError(f"{name} packed by the filter {number}, which is not HDF5's")
    # An array without elements is no array of zero elements.
    if array.shape is None or array.rank == 0:
        raise NotAnEpisodeError(f"{name} that are no array")
    if math.prod(array.shape) * array.dtype.itemsize > _MAX_BYTES:
        raise NotAnEpisodeError(f"{name} of the shape {array.shape}, which is too large")
    return array


def _array(group: Any, name: str) -> Shaped[np.ndarray, "*shape"]:
    stored = _stored(group, name)
    if stored.dtype.kind not in _KINDS:
        raise NotAnEpisodeError(f"{name} of {stored.dtype}")
    array = np.empty(stored.shape, stored.dtype)
    if array.size:
        whole = _h5py().h5s.ALL
        stored.read(whole, whole, array)
    return array


def _stored_jpegs(group: Any, name: str, shape: tuple[int, ...]) -> Iterator[bytes]:
    array = _h5py().Dataset(_stored(group, name))
    lengths = _h5py().check_vlen_dtype(array.dtype)
    if not (array.dtype == np.uint8 and array.ndim == 2) and not (
        lengths == np.uint8 and array.ndim == 1
    ):
        raise NotAnEpisodeError(f"{name} that are no pictures")
    if len(array) * math.prod(shape) > _MAX_BYTES:
        raise NotAnEpisodeError(f"{len(array):,} pictures, which are too large")
    return (np.asarray(entry, np.uint8).tobytes() for entry in array[()])


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
