"""Which actions are allowed in a state, and how that is stored: behind the state itself.

An environment whose actions are not always allowed is stored as flat arrays: the state's
numbers, then a one for each allowed action and a zero for each other. What stores, samples
and saves states so needs to know nothing of masks.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Bool, Num, Shaped

from frankrl.core.errors import FrankError


def checked_mask(
    given: Any, num_actions: int, mistake: Callable[[str], FrankError]
) -> Bool[np.ndarray, " action"]:
    """An action mask as an environment or a person gives it: one entry for each action.

    Args:
        given: the mask; None where there is none.
        num_actions: how many actions there are.
        mistake: makes the error from what is wrong, in words.

    Raises:
        FrankError: the one that `mistake` makes.
    """
    if given is None:
        raise mistake("no action mask")
    try:
        array = np.asarray(given)
    except ValueError as error:
        raise mistake("an action mask that is no array of numbers") from error
    if array.size != num_actions:
        raise mistake(
            f"an action mask of shape {array.shape}, where one entry for each of "
            f"{num_actions:,} actions belongs"
        )
    allowed = array == 1
    if not (allowed | (array == 0)).all():
        raise mistake("an action mask with entries other than 0 and 1")
    return allowed.ravel()


def joined(
    states: Num[np.ndarray, "batch *state"], allowed: Bool[np.ndarray, "batch action"]
) -> Num[np.ndarray, "batch number"]:
    """States with their masks behind them, as they are stored."""
    flat = states.reshape(len(states), -1)
    return np.concatenate([flat, allowed.astype(flat.dtype)], axis=1)


def split(
    stored: Shaped[Any, "batch number"], state_shape: tuple[int, ...]
) -> tuple[Shaped[Any, "batch *state"], Bool[Any, "batch action"]]:
    """The reverse of `joined`, for arrays of NumPy and of JAX.

    Args:
        stored: states with their masks behind them.
        state_shape: of a state alone.
    """
    size = math.prod(state_shape)
    return stored[:, :size].reshape(stored.shape[0], *state_shape), stored[:, size:] != 0
