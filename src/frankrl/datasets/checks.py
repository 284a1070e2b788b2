"""Checks what an episode says, and brings it into the environment's own form."""

from typing import Any

import numpy as np
from gymnasium import spaces
from jaxtyping import Shaped

from frankrl.datasets.arrays import NotAnEpisodeError
from frankrl.datasets.records import DataEpisode


def checked(
    episode: DataEpisode, observation_space: spaces.Space, action_space: spaces.Discrete
) -> DataEpisode:
    """The episode with the dtypes of its spaces.

    Raises:
        NotAnEpisodeError: a part of it does not fit its spaces, is not finite or has no end.
    """
    steps = len(episode.actions)
    if not steps:
        raise NotAnEpisodeError("no steps")
    if not (episode.terminated or episode.truncated):
        raise NotAnEpisodeError("no end: neither terminated nor truncated")
    masks = None if episode.masks is None else _masks(episode.masks, steps, int(action_space.n))
    return DataEpisode(
        observations=_observations(
            episode.observations, observation_space, steps + 1, "observations"
        ),
        actions=_numbered(episode.actions, action_space, (steps,), "actions"),
        rewards=_finite(
            _cast(episode.rewards, np.dtype(np.float64), (steps,), "rewards"), "rewards"
        ),
        terminated=bool(episode.terminated),
        truncated=bool(episode.truncated),
        masks=masks,
        seed=episode.seed,
    )


def _observations(given: Any, space: spaces.Space, count: int, path: str) -> Any:
    if isinstance(space, spaces.Dict):
        if not isinstance(given, dict) or set(given) != set(space.spaces):
            raise NotAnEpisodeError(f"{path} that are no dict of {', '.join(space.spaces)}")
        return {
            name: _observations(given[name], part, count, f"{path}.{name}")
            for name, part in space.spaces.items()
        }
    if isinstance(space, spaces.Tuple):
        if not isinstance(given, tuple) or len(given) != len(space.spaces):
            raise NotAnEpisodeError(f"{path} that are no tuple of {len(space.spaces)} parts")
        return tuple(
            _observations(given[place], part, count, f"{path}.{place}")
            for place, part in enumerate(space.spaces)
        )
    shape = (count, *(space.shape or ()))
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        return _numbered(given, space, shape, path)
    found = _cast(given, np.dtype(space.dtype), shape, path)
    if isinstance(space, spaces.MultiBinary) and (found > 1).any():
        raise NotAnEpisodeError(f"{path} that are neither 0 nor 1")
    return _finite(found, path)


def _numbered(
    given: Any, space: spaces.Discrete | spaces.MultiDiscrete, shape: tuple[int, ...], path: str
) -> Shaped[np.ndarray, "*shape"]:
    found = _cast(given, np.dtype(space.dtype), shape, path)
    count = space.n if isinstance(space, spaces.Discrete) else space.nvec
    outside = (found < space.start) | (found >= space.start + count)
    if outside.any():
        raise NotAnEpisodeError(f"{path} with {found[outside][0]}, which is not in {space}")
    return found


def _masks(given: Any, steps: int, num_actions: int) -> Shaped[np.ndarray, "state action"]:
    array = np.asarray(given)
    if array.shape != (steps + 1, num_actions) or array.dtype.kind not in "biu":
        raise NotAnEpisodeError(f"action masks of {array.dtype} and shape {array.shape}")
    if (array > 1).any() or (array < 0).any():
        raise NotAnEpisodeError("action masks that are neither 0 nor 1")
    return array.astype(np.bool_)


def _cast(
    given: Any, wanted: np.dtype, shape: tuple[int, ...], path: str
) -> Shaped[np.ndarray, "*shape"]:
    """The array in a dtype that can hold its numbers."""
    array = np.asarray(given)
    if array.shape != shape:
        raise NotAnEpisodeError(f"{path} of the shape {array.shape} where {shape} belongs")
    if array.dtype == wanted:
        return array
    if not _may_hold(array.dtype, wanted):
        raise NotAnEpisodeError(f"{path} of {array.dtype} where {wanted} belongs")
    with np.errstate(over="ignore", invalid="ignore"):
        cast = array.astype(wanted)
    if wanted.kind in "biu" and (cast != array).any():
        raise NotAnEpisodeError(f"{path} of {array.dtype} with numbers that {wanted} lacks")
    return cast


def _may_hold(found: np.dtype, wanted: np.dtype) -> bool:
    """Whether numbers of a dtype may be meant as those of another: whole ones by their values,
    others are rounded to its precision."""
    if found.kind in "biu" and wanted.kind in "biu":
        return True
    return found.kind in "biuf" and np.can_cast(found, wanted, "same_kind")


def _finite(array: Shaped[np.ndarray, "*shape"], path: str) -> Shaped[np.ndarray, "*shape"]:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise NotAnEpisodeError(f"{path} that are not finite")
    return array
