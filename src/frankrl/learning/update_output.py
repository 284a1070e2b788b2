"""What an update gives besides the new state: metrics, TD errors, errors for priorities."""

from typing import NamedTuple

from jaxtyping import Array, Float

from frankrl.config import LearningSettings


class UpdateMetrics(NamedTuple):
    """Metrics of one update, each a scalar.

    The loss uses the importance weights; all others are plain means over the batch. Prioritised
    replay fills the batch with transitions of large error, which shifts these means. Behaviour
    cloning knows its loss and its gradient alone; the others are 0 (`metrics_of`).
    """

    loss: Float[Array, ""]
    mean_q: Float[Array, ""]
    """Mean over the batch of Q(s, a) before the update."""
    mean_max_q: Float[Array, ""]
    """Mean over the batch of max_a Q(s, a) before the update."""
    mean_target: Float[Array, ""]
    mean_abs_td_error: Float[Array, ""]
    gradient_norm: Float[Array, ""]
    """Global L2 norm before clipping."""


def metrics_of(settings: LearningSettings) -> tuple[str, ...]:
    """The names of the `UpdateMetrics` that an algorithm has: a cloned policy has no Q-values."""
    return ("loss", "gradient_norm") if settings.algorithm == "bc" else UpdateMetrics._fields


class UpdateOutput(NamedTuple):
    """Output of an update besides the new state; several updates have an axis in front."""

    metrics: Float[Array, "*update metric"]
    """`UpdateMetrics`, in its order."""
    td_errors: Float[Array, "*update batch"]
    """y - Q(s, a) of each transition, before the update; of a sequence that of its first learned
    step; 0 with behaviour cloning. [reward]"""
    priorities: Float[Array, "*update batch"] | None
    """Error of each transition or sequence, for its new priority; None without importance
    weights."""
