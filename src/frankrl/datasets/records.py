"""What a data set holds: whole episodes, and what is known of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gymnasium import spaces
from jaxtyping import Bool, Float64, Int

from frankrl.core.types import Array, Observation


class DataEpisode(NamedTuple):
    """One whole episode, in the environment's own form. Its T steps lead through T + 1 states."""

    observations: Observation
    """The states; leaves of shape (T + 1, …) with the dtypes of the observation space. A mask that
    the environment shows within its observations stands there, too."""
    actions: Int[Array, " step"]
    """The environment's own numbers, from the `start` of its action space; int64."""
    rewards: Float64[Array, " step"]
    """The environment's own rewards, neither clipped nor normalised."""
    terminated: bool
    """The last state is terminal."""
    truncated: bool
    """The episode was ended from outside, for example by a time limit."""
    masks: Bool[Array, "state action"] | None = None
    """Which actions were allowed in each state, where the environment says so beside its
    observations; None: it does not."""
    seed: int | None = None
    """With which the environment was reset; None: unknown."""

    @property
    def num_steps(self) -> int:
        """T."""
        return len(self.actions)


@dataclass(frozen=True)
class DataSetDescription:
    """What a data set says beside its episodes."""

    observation_space: spaces.Space
    action_space: spaces.Discrete
    env_id: str | None = None
    """The environment's name; None: it has none. Data: nothing is made by this name."""
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    env_spec: str = ""
    """The environment in Gymnasium's JSON form, from which Minari can make it; empty: unknown."""
    algorithm: str = ""
    """By what the actions were chosen, in words."""
    author: str = ""
    text: str = ""
    """What the data set is, in words."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What Frank notes beside, as JSON data."""
