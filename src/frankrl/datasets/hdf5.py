"""Episodes in an HDF5 file, in Minari's form: written, and read with nothing taken on trust.

An HDF5 file can point at other files, name code that unpacks it, and claim any size. Frank reads
arrays of numbers that lie in the file itself, within bounds, and refuses everything else.
"""

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


def h5py() -> Any:
    """The module h5py.

    Raises:
        MissingExtraError: it is not installed.
    """
    return imported("h5py", "a Minari data set", "h5py", "minari")


def episode_group(file: Any, number: int) -> Any:
    """The group of an episode."""
    return _member(file, f"episode_{number}", h5py().Group)


def written_episode(file: Any, number: int, episode: DataEpisode) -> None:
    """Write an episode as the next one of a file."""
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
    group = episode_group(file, number)
    ends = [_array(group, name) for name in ("terminations", "truncations")]
    actions, rewards = _array(group, "actions"), _array(group, "rewards")
    for name, array in zip(("terminations", "truncations"), ends, strict=True):
        if array.dtype != np.bool_ or array.shape != actions.shape:
            raise NotAnEpisodeError(f"{name} of {array.dtype} and shape {array.shape}")
        if array[:-1].any():
            raise NotAnEpisodeError(f"{name} before its last step")
    return DataEpisode(
        observations=_observations(
            group, "observations", metadata.observation_space, metadata.has_jpegs
        ),
        actions=actions,
        rewards=rewards,
        terminated=bool(ends[0][-1:].any()),
        truncated=bool(ends[1][-1:].any()),
        masks=_masks(group),
        seed=_seed(group),
    )


def _write(group: Any, name: str, value: Any) -> None:
    if isinstance(value, dict | tuple):
        named = (
            value if isinstance(value, dict) else {f"_index_{i}": v for i, v in enumerate(value)}
        )
        below = group.create_group(name)
        for key, part in named.items():
            _write(below, key, part)
        return
    row_bytes = value[:1].nbytes
    packing: dict[str, Any] = {}
    if row_bytes >= _PACKED_ROW_BYTES:
        rows = max(1, min(len(value), _CHUNK_BYTES // row_bytes))
        packing = {"chunks": (rows, *value.shape[1:]), "compression": "gzip", "shuffle": False}
        packing["compression_opts"] = 1
    group.create_dataset(name, data=value, **packing)


def _observations(group: Any, name: str, space: spaces.Space, has_jpegs: bool) -> Any:
    if isinstance(space, spaces.Dict):
        below = _member(group, name, h5py().Group)
        return {key: _observations(below, key, space[key], has_jpegs) for key in space.spaces}
    if isinstance(space, spaces.Tuple):
        below = _member(group, name, h5py().Group)
        return tuple(
            _observations(below, f"_index_{place}", part, has_jpegs)
            for place, part in enumerate(space.spaces)
        )
    if has_jpegs and are_jpegs(space):
        return decoded(_stored_jpegs(group, name), space.shape or ())
    return _array(group, name)


def _masks(group: Any) -> Shaped[np.ndarray, "state action"] | None:
    if "infos" not in group:
        return None
    infos = _member(group, "infos", h5py().Group)
    return _array(infos, MASKS) if MASKS in infos else None


def _seed(group: Any) -> int | None:
    if "seed" not in group.attrs:
        return None
    stored = group.attrs.get_id("seed")
    if stored.shape != () or stored.dtype.kind not in "iu":
        raise NotAnEpisodeError("a seed that is no whole number")
    return int(group.attrs["seed"])


def _member(group: Any, name: str, kind: type) -> Any:
    """A part of the file itself.

    Raises:
        NotAnEpisodeError: it is missing, of another kind, or stands in another file.
    """
    module = h5py()
    link = group.get(name, getlink=True)
    if link is None:
        raise NotAnEpisodeError(f"no {name}")
    if not isinstance(link, module.HardLink):
        raise NotAnEpisodeError(f"a {name} that points elsewhere")
    part = group[name]
    if not isinstance(part, kind):
        raise NotAnEpisodeError(f"a {name} that is no {kind.__name__.lower()}")
    return part


def _stored(group: Any, name: str) -> Any:
    """An array of the file, not read yet, that is safe to read."""
    array = _member(group, name, h5py().Dataset)
    if array.is_virtual or array.external:
        raise NotAnEpisodeError(f"{name} that stand in another file")
    if array.shape is None:
        raise NotAnEpisodeError(f"{name} that hold nothing")
    plan = array.id.get_create_plist()
    filters = [plan.get_filter(place)[0] for place in range(plan.get_nfilters())]
    if unknown := [number for number in filters if number not in _FILTERS]:
        raise NotAnEpisodeError(f"{name} packed by the filter {unknown[0]}, which is not HDF5's")
    return array


def _array(group: Any, name: str) -> Shaped[np.ndarray, "*shape"]:
    array = _stored(group, name)
    if array.dtype.kind not in _KINDS:
        raise NotAnEpisodeError(f"{name} of {array.dtype}")
    if array.ndim == 0 or array.nbytes > _MAX_BYTES:
        raise NotAnEpisodeError(f"{name} of the shape {array.shape}")
    return array[()]


def _stored_jpegs(group: Any, name: str) -> Iterator[bytes]:
    array = _stored(group, name)
    lengths = h5py().check_vlen_dtype(array.dtype)
    is_bytes = (array.dtype == np.uint8 and array.ndim == 2) or (
        lengths == np.uint8 and array.ndim == 1
    )
    if not is_bytes or array.nbytes > _MAX_BYTES:
        raise NotAnEpisodeError(f"{name} that are no pictures")
    return (np.asarray(entry, np.uint8).tobytes() for entry in array[()])


def opened(path: Path, mode: str) -> Any:
    """The file, opened for reading (r) or made anew for writing (x)."""
    return h5py().File(path, mode, track_order=True if mode == "x" else None)
