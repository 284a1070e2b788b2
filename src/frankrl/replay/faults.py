"""Finds contradictions in a buffer that comes from a file."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

from frankrl.core.types import Observation
from frankrl.replay.buffer import ReplayBuffer
from frankrl.replay.chunks import SavedReplay, Seen, StoredSteps
from frankrl.replay.priorities import Priorities
from frankrl.replay.state import ReplayState

_ROUNDING = 1e-4
"""Largest relative difference between a sum in the tree and the same sum in another order."""


def fault_in_steps(
    steps: StoredSteps, num_endings: int, num_actions: int, *, life_loss_terminates: bool = False
) -> str | None:
    """What some steps hold that no run writes; None if there is nothing.

    Learning from it would end in NaN, or in a transition that never happened.

    Args:
        steps: with NumPy arrays of the right shapes.
        num_endings: episode ends of the run so far.
        num_actions: number of actions.
        life_loss_terminates: whether an episode may go on after a terminal state.
    """
    went_on = steps.terminated & (steps.ending == 0)
    found = {
        "an action that does not exist": (steps.action >= num_actions).any(),
        "a reward that is not finite": not np.isfinite(steps.reward).all(),
        "an observation that is not finite": not _is_finite(steps.observation),
        "a terminal state in the middle of an episode": (
            not life_loss_terminates and went_on.any()
        ),
        "an episode end of which it has no observation": (steps.ending > num_endings).any(),
    }
    if steps.memory is not None:
        found["a memory beyond -1 … 1"] = not (np.abs(steps.memory) <= 1).all()
    if steps.mask is not None:
        lacking = ~steps.mask.any(axis=-1)
        found["a state in which no action is allowed"] = lacking.any()
    return _first(found)


def fault_in_seen(seen: Seen) -> str | None:
    """Likewise, of observations with which no step begins.

    A terminal state is one of them, and there no action may be allowed.
    """
    return _first({"an observation that is not finite": not _is_finite(seen.observation)})


def fault_in(buffer: ReplayBuffer, state: ReplayState, saved: SavedReplay) -> str | None:
    """Likewise, of a restored buffer as a whole.

    Args:
        buffer: its definition.
        state: the buffer.
        saved: what the checkpoint held besides its chunks.
    """
    num_steps = int(saved.num_steps)
    first, end = buffer.drawable(num_steps)
    ending = np.asarray(state.ending)
    ended = ending[ending > 0]
    read = ending[np.arange(first, num_steps) % buffer.num_rows]
    found = {
        "an episode end of which it has no observation": (
            (read > 0) & (read <= saved.first_ending)
        ).any(),
        "one episode end twice": len(np.unique(ended)) < len(ended),
    }
    if saved.priorities is not None:
        leaves = np.arange(first, end) % buffer.capacity
        found |= _faults_of(saved.priorities, leaves)
    return _first(found)


def _first(found: Mapping[str, Any]) -> str | None:
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
