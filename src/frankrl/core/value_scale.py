"""Returns on the scale of rescaled Q-values, as people see the two beside each other."""

import numpy as np
from jaxtyping import Float

EPSILON = 1e-3
"""ε: the slope that remains for large values, which makes the scale invertible."""


def on_value_scale(
    returns: Float[np.ndarray, "*batch"], *, is_rescaled: bool
) -> Float[np.ndarray, "*batch"]:
    """Returns on the scale of a run's Q-values, so that the two can be compared.

    The learner's own h, in float64 and without JAX, which a process that only draws never imports.

    Args:
        returns: discounted returns. [reward]
        is_rescaled: the run's `value_rescaling`.

    Returns:
        The returns, [reward]; of a run with rescaled values
        h(x) = sign(x) (√(|x| + 1) - 1) + εx, [h(reward)].
    """
    if not is_rescaled:
        return returns
    # √(x + 1) - 1 without the difference of two numbers near 1.
    return returns / (np.sqrt(np.abs(returns) + 1) + 1) + EPSILON * returns
