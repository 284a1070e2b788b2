"""Puts the parts of a round together as one machine would have collected it."""

from collections.abc import Callable, Sequence

import jax
import numpy as np
from jaxtyping import Int

from frankrl.core.types import Observation, Steps
from frankrl.experience.source import Collected


def parts_of(num_envs: int, num_actors: int) -> list[range]:
    """The environments of each actor, in order and as equal in number as can be."""
    return [range(part[0], part[-1] + 1) for part in np.array_split(range(num_envs), num_actors)]


def together(parts: Sequence[range], collected: Sequence[Collected]) -> Collected:
    """The round of all environments.

    Args:
        parts: indices of the environments of each actor, which together are those of the run.
        collected: what each actor has collected.
    """
    episodes = [episode for each in collected for episode in each.episodes]
    infos = [entry for each in collected for entry in each.final_infos.items()]
    failed = [failure for each in collected for failure in each.failed]
    return Collected(
        steps=_steps_together(parts, [each.steps for each in collected if each.steps]),
        episodes=sorted(episodes, key=lambda episode: episode.env_steps),
        final_infos=dict(sorted(infos, key=lambda entry: entry[0])),
        failed=sorted(failed, key=lambda failure: failure.env_steps),
        cut=sorted(index for each in collected for index in each.cut),
    )


def _steps_together(parts: Sequence[range], found: Sequence[Steps]) -> Steps:
    size = parts[-1].stop

    def interleaved(*leaves: np.ndarray) -> np.ndarray:
        """Rows of each moment in turn, by the index of their environment."""
        moments = len(leaves[0]) // len(parts[0])
        whole = np.empty((moments, size, *leaves[0].shape[1:]), leaves[0].dtype)
        for part, leaf in zip(parts, leaves, strict=True):
            whole[:, part.start : part.stop] = leaf.reshape(moments, len(part), *leaf.shape[1:])
        return whole.reshape(moments * size, *leaves[0].shape[1:])

    action, reward, is_last, terminated = (
        interleaved(*(getattr(steps, name) for steps in found))
        for name in ("action", "reward", "is_last", "terminated")
    )
    places = _places_of_endings(parts, found, is_last)

    def endings(*leaves: np.ndarray) -> np.ndarray:
        """The last rows of the episodes that ended, in the order of all rows; zeros after them."""
        whole = np.zeros((len(is_last), *leaves[0].shape[1:]), leaves[0].dtype)
        for own, leaf in zip(places, leaves, strict=True):
            whole[own] = leaf[: len(own)]
        return whole

    def of_all(join: Callable[..., np.ndarray], name: str) -> Observation:
        return jax.tree.map(join, *(getattr(steps, name) for steps in found))

    return Steps(
        observation=of_all(interleaved, "observation"),
        mask=of_all(interleaved, "mask"),
        action=action,
        reward=reward,
        is_last=is_last,
        terminated=terminated,
        last_observation=of_all(endings, "last_observation"),
        last_mask=of_all(endings, "last_mask"),
        memory=of_all(interleaved, "memory"),
    )


def _places_of_endings(
    parts: Sequence[range], found: Sequence[Steps], is_last: np.ndarray
) -> list[Int[np.ndarray, " ending"]]:
    """For each actor's endings in their order: which of all endings each is."""
    number = np.cumsum(is_last) - 1
    places = []
    for part, steps in zip(parts, found, strict=True):
        moments, own = np.divmod(np.flatnonzero(steps.is_last), len(part))
        places.append(number[moments * parts[-1].stop + part.start + own])
    return places
