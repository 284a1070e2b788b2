"""The sequences that a network with memory learns from."""

from dataclasses import dataclass, field

import jax
from jaxtyping import Bool, Float, Int, Shaped

from frankrl.core.types import Array, Observation, SequenceSpec


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Sequences:
    """Steps of single episodes in order of time: what a network with memory learns from.

    The axis of time holds `burn_in_steps` steps from which the memory is only computed, then T
    steps that are learned from, then n more observations, at which their rewards' sums end. A
    sequence never crosses an episode's end: what lies beyond is not shown.
    """

    spec: SequenceSpec = field(metadata={"static": True})
    """Which steps they have: plain numbers, the same for each sequence of a batch."""
    observation: Observation
    """Leaves of shape (*batch, time, …); after an episode's last step the observation that it
    arrived at."""
    is_shown: Bool[Array, "*batch time"]
    """False before the start of the episode, and after the observation that it arrived at."""
    memory: Float[Array, "*batch unit"]
    """Memory before the first observation that is shown, as it was when the agent acted."""
    mask: Bool[Array, "*batch time action"] | None
    """Which actions are allowed; None without action masks. All are where nothing is shown."""
    action: Shaped[Array, "*batch step"]
    """Action of each learned step; 0 where none belongs, as the next two."""
    reward: Float[Array, "*batch step"]
    """Discounted sum of up to n rewards."""
    discount: Float[Array, "*batch step"]
    """γⁿ; 0 after termination."""
    arrival: Int[Array, "*batch step"]
    """Position of s′ on the axis of time."""
    belongs: Bool[Array, "*batch step"]
    """False after the episode's last step."""
