"""|TD error| of new transitions by the weights that acted, from which their priorities are made."""

import numpy as np
from jaxtyping import Bool, Float


def first_errors(
    taken: Float[np.ndarray, "step env"],
    reward: Float[np.ndarray, "step env"],
    following: Float[np.ndarray, "step env"],
    is_end: Bool[np.ndarray, "step env"],
    n_step: int,
    gamma: float,
) -> Float[np.ndarray, "step env"]:
    """|y - Q(s, a)| of the transition that begins with each step of a chunk.

    y is the sum of up to n discounted rewards, with the discounted value after the last of them.
    No transition goes beyond the chunk.

    Args:
        taken: Q(s, a) of the action taken. [reward]
        reward: what the learner sees. [reward]
        following: value of what each step led to: max Q(s', ·), and 0 where s' is terminal.
            [reward]
        is_end: whether no step follows in the same transition.
        n_step: largest number of rewards in y. [env steps]
        gamma: discount per env step.

    Source: Horgan et al. (2018), algorithm 1 and section 3. https://arxiv.org/abs/1803.00933
    """
    steps = len(taken)
    target, goes_on = np.zeros_like(taken), np.ones(taken.shape, np.bool_)
    for distance in range(min(n_step, steps)):
        # Step t + distance of each transition, as far as the chunk goes.
        reached, ahead = slice(0, steps - distance), slice(distance, steps)
        here = goes_on[reached]
        ends = is_end[ahead] | (distance == n_step - 1)
        ends[-1] = True
        discount, next_discount = np.float32(gamma**distance), np.float32(gamma ** (distance + 1))
        gained = discount * reward[ahead] + np.where(ends, next_discount * following[ahead], 0)
        target[reached] += np.where(here, gained, np.float32(0))
        goes_on[reached] = here & ~ends
    return np.abs(target - taken)
