"""Finds contradictions in a buffer that comes from a file."""

import jax
import numpy as np
from jaxtyping import Int

from frankrl.core.types import Observation
from frankrl.replay.buffer import ReplayBuffer
from frankrl.replay.priorities import Priorities
from frankrl.replay.state import ReplayState

_ROUNDING = 1e-4
"""Largest relative difference between a sum in the tree and the same sum in another order."""


def fault_in(
    buffer: ReplayBuffer, part: ReplayState, num_actions: int, *, life_loss_terminates: bool = False
) -> str | None:
    """What the filled part of a buffer holds that no run writes; None if there is nothing.

    Learning from it would end in NaN, or in a transition that never happened.

    Args:
        buffer: its definition.
        part: as `filled_part` gives it, with NumPy arrays of the right shapes.
        num_actions: number of actions.
        life_loss_terminates: whether an episode may go on after a terminal state.
    """
    went_on = part.terminated & (part.ending == 0)
    ended = part.ending[part.ending > 0]
    found = {
        "an action that does not exist": (part.action >= num_actions).any(),
        "a reward that is not finite": not np.isfinite(part.reward).all(),
        "an observation that is not finite": not _is_finite(part.observation),
        "a terminal state in the middle of an episode": (
            not life_loss_terminates and went_on.any()
        ),
        "an episode end of which it has no observation": (ended > part.num_endings).any(),
        "one episode end twice": len(np.unique(ended)) < len(ended),
    }
    if part.mask is not None:
        # The rows behind those of the steps may hold terminal states, where nothing is allowed.
        lacking = ~part.mask[: len(part.action)].any(axis=-1)
        found["a state in which no action is allowed"] = lacking.any()
    if part.priorities is not None:
        first, end = buffer.drawable(int(part.num_steps))
        leaves = np.arange(first, end) % buffer.capacity
        found |= _faults_of(part.priorities, leaves)
    return next((words for words, is_there in found.items() if is_there), None)


def _is_finite(observation: Observation) -> bool:
    leaves = jax.tree.leaves(observation)
    return all(np.isfinite(leaf).all() for leaf in leaves if leaf.dtype.kind == "f")


def _faults_of(priorities: Priorities, leaves: Int[np.ndarray, " leaf"]) -> dict[str, bool]:
    """Args: the priorities, and the leaves of the transitions that can be sampled."""
    levels, largest = priorities.tree.levels, priorities.largest
    numbers = [*levels, np.array(largest)]
    lowest = levels[0].ravel()
    is_sampled = np.zeros(lowest.size, np.bool_)
    is_sampled[leaves] = True
    return {
        "a priority that is not a number of 0 or more": not all(
            (np.isfinite(each) & (each >= 0)).all() for each in numbers
        ),
        "a transition with the priority 0": not (lowest[is_sampled] > 0).all(),
        "the priority of a transition that it does not hold": (lowest[~is_sampled] > 0).any(),
        "a priority above the largest": (lowest > largest).any(),
        "a wrong sum of priorities": not all(map(_are_sums, levels, levels[1:])),
    }


def _are_sums(below: np.ndarray, above: np.ndarray) -> bool:
    """Whether the entries of a level are the sums of the rows of the level below."""
    sums = np.zeros(above.size)
    sums[: len(below)] = below.sum(axis=1, dtype=np.float64)
    return np.allclose(above.ravel(), sums, rtol=_ROUNDING, atol=0)
