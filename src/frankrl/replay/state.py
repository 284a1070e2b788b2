"""What the experience replay buffer holds."""

from dataclasses import dataclass
from typing import Any

import jax
from jaxtyping import Bool, Float, Shaped, UInt16, UInt32

from frankrl.core.types import Observation
from frankrl.replay.priorities import Priorities


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class ReplayState:
    """The buffer: each observation once, in order of time. Arrays are JAX's, or NumPy's in a file.

    Env step number s of the run lies in row s modulo the number of rows; the step that its
    environment takes next lies `num_envs` rows further. The observation that an episode arrived
    at, which no step follows, lies behind those rows, in a ring of its own.
    """

    observation: Observation
    """The state in which each step's action was taken; leaves of shape (place, …), where places
    are the rows of steps and then those of endings."""
    mask: Bool[Any, "place action"] | None
    """Which actions are allowed there; none where all are in every state."""
    action: UInt16[Any, " row"]
    reward: Float[Any, " row"]
    terminated: Bool[Any, " row"]
    """The world ended with the step. A time limit does not set this."""
    ending: UInt32[Any, " row"]
    """Where an episode ended with the step: the number of that ending, from 1; elsewhere 0."""
    num_steps: UInt32[Any, ""]
    """Env steps ever added."""
    num_endings: UInt32[Any, ""]
    """Episodes whose end was ever added."""
    priorities: Priorities | None
    """How likely each transition is to be drawn; none where all are drawn alike."""

    @property
    def num_rows(self) -> int:
        """Rows for steps."""
        return self.action.shape[0]

    @property
    def num_ending_rows(self) -> int:
        """Rows for the last observations of episodes."""
        return jax.tree.leaves(self.observation)[0].shape[0] - self.num_rows


def field_shapes(num_rows: int) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and type of what is stored once for each step, beside observation and mask."""
    shape = (num_rows,)
    return {
        "action": (shape, "uint16"),
        "reward": (shape, "float32"),
        "terminated": (shape, "bool"),
        "ending": (shape, "uint32"),
    }


def stored(state: ReplayState) -> dict[str, Shaped[Any, "row ..."]]:
    """What is stored once for each step, beside observation and mask."""
    return {name: getattr(state, name) for name in field_shapes(0)}
