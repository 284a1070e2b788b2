"""The contents of the experience replay buffer."""

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

    Env step s of the run is stored in row s modulo the number of rows; its environment's next
    step is stored `num_envs` rows further. The last observation of an episode, which no step
    follows, is stored behind these rows, in a ring of its own.
    """

    observation: Observation
    """The state s of each step; leaves of shape (place, …), where the places are the rows of
    steps, followed by those of episode ends."""
    mask: Bool[Any, "place action"] | None
    """Which actions are allowed in each state; None without action masks."""
    action: UInt16[Any, " row"]
    reward: Float[Any, " row"]
    terminated: Bool[Any, " row"]
    """The step led to a terminal state, or lost a life that counts as one. A time limit does not
    set this."""
    ending: UInt32[Any, " row"]
    """Number of the episode end that the step led to, from 1; 0 if its episode went on."""
    num_steps: UInt32[Any, ""]
    """Env steps of the run so far."""
    num_endings: UInt32[Any, ""]
    """Episode ends added so far."""
    priorities: Priorities | None
    """Priorities of the transitions, or of the sequences; None without prioritised replay."""
    memory: Float[Any, "row unit"] | None = None
    """Memory of the network before the observation of each step, by the weights that acted; None
    for a network without memory."""

    @property
    def num_rows(self) -> int:
        """Rows for steps."""
        return self.action.shape[0]

    @property
    def num_ending_rows(self) -> int:
        """Rows for the last observations of episodes."""
        return jax.tree.leaves(self.observation)[0].shape[0] - self.num_rows


def field_shapes(num_rows: int) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and dtype of the fields with one entry per step, except observation and mask."""
    shape = (num_rows,)
    return {
        "action": (shape, "uint16"),
        "reward": (shape, "float32"),
        "terminated": (shape, "bool"),
        "ending": (shape, "uint32"),
    }


def stored(state: ReplayState) -> dict[str, Shaped[Any, "row ..."]]:
    """The fields with one entry per step, except observation and mask."""
    return {name: getattr(state, name) for name in field_shapes(0)}
