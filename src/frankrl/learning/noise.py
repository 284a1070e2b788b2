"""Random numbers of an update: noise of noisy layers, fractions of IQN."""

from typing import Any, NamedTuple

from jaxtyping import Float


class UpdateNoise(NamedTuple):
    """Random numbers of one update; several updates have an axis in front. Unused ones are None."""

    online_noise: Float[Any, "*update noise"] | None = None
    """Standard normal numbers for the Q-network's noisy layers."""
    target_noise: Float[Any, "*update noise"] | None = None
    """The same for the target network's."""
    fractions: Float[Any, "*update batch fraction"] | None = None
    """Fractions in 0 … 1 of the quantiles of Z(s, a) that are learned."""
    target_fractions: Float[Any, "*update batch fraction"] | None = None
    """Fractions of the target's quantiles."""


NO_NOISE = UpdateNoise()
