"""After which steps the target does not bootstrap."""

from typing import Any, Literal

from jaxtyping import Bool


def ends_world(
    bootstrap_on: Literal["truncation", "never", "always"],
    terminated: Bool[Any, " step"],
    is_last: Bool[Any, " step"],
) -> Bool[Any, " step"]:
    """The steps after which nothing follows for the learner, by the setting `bootstrap_on`.

    Args:
        bootstrap_on: at which ends of an episode the future still counts.
        terminated: the step led to a terminal state, or lost a life that counts as one.
        is_last: the step ended its episode. NumPy or JAX arrays, as `terminated`.
    """
    match bootstrap_on:
        case "truncation":
            return terminated
        case "never":
            return is_last | terminated
        case "always":
            return terminated & False
