"""The random numbers of an update: noise of noisy layers, fractions of IQN."""

from typing import Any, NamedTuple

from jaxtyping import Float


class UpdateNoise(NamedTuple):
    """Of one update, or with an axis in front of several; none of what nothing asks for."""

    online_noise: Float[Any, "*update noise"] | None = None
    """Standard normal numbers for the Q-network's noisy layers."""
    target_noise: Float[Any, "*update noise"] | None = None
    """Likewise for the target network's."""
    fractions: Float[Any, "*update batch fraction"] | None = None
    """In 0 … 1: which quantiles of Q(s, a) are learned."""
    target_fractions: Float[Any, "*update batch fraction"] | None = None
    """Likewise: which quantiles of the target they learn from."""


NO_NOISE = UpdateNoise()
