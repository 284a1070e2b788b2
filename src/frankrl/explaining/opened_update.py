"""What every opened update has, whatever the algorithm."""

import abc
from dataclasses import dataclass, field
from html import escape
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.tree_util import SequenceKey
from jaxtyping import Bool, Float, UInt32

from frankrl.config import Clock
from frankrl.core.figures import counted, figure
from frankrl.core.types import Params, Transition
from frankrl.explaining.document import Document
from frankrl.explaining.html import as_html
from frankrl.explaining.memory_record import SequencesRecord
from frankrl.replay import Sample

_PAGE_HEIGHT = 600
"""Of an update's page in a notebook, where it scrolls. [pixels]"""


class SampledBatch(NamedTuple):
    """The transitions of one update, and the env steps of each."""

    sample: Sample
    """Fields of shape (batch,)."""
    batch: Transition
    num_steps: UInt32[Any, " batch"]
    """Env steps from s to s′."""
    terminated: Bool[Any, " batch"]
    """Whether s′ is terminal."""


@dataclass(frozen=True, repr=False, kw_only=True)
class OpenedUpdate(abc.ABC):
    """One update: the batch, its loss, and the step. All arrays are NumPy arrays.

    With a memory, the transitions of the batch are the learned steps of its sequences.
    """

    update: int
    """Number of the update, from 1."""
    env_steps: int
    """Where the run's clock stood when the update was done."""
    clock: Clock
    """What it, and so `env_steps`, counts."""
    learning_rate: float
    transition_env_steps: UInt32[np.ndarray, " batch"]
    """Env step of the run at which each transition begins, from 0; in a data set its step there."""
    probabilities: Float[np.ndarray, " batch"] | None = None
    """Probability that each transition was sampled; None if sampling was uniform."""
    weights: Float[np.ndarray, " batch"] | None = None
    """Importance weight of each transition's loss; None if all weights are 1."""
    batch: Transition
    num_steps: UInt32[np.ndarray, " batch"]
    """Env steps from s to s′: n, or fewer if the episode ended earlier."""
    terminated: Bool[np.ndarray, " batch"]
    """Whether s′ is terminal."""
    losses: Float[np.ndarray, " batch"]
    """Loss of each transition, without its weight."""
    loss: float
    """Mean of weight × loss over the batch."""
    gradient_norms: dict[str, float]
    """L2 norm of the gradient before clipping, per layer; `all` is the global norm."""
    weight_changes: dict[str, float]
    """L2 norm of the change of θ, per layer and `all`."""
    sequences: SequencesRecord | None = None
    """The sequences that the transitions belong to; None without memory."""
    document: Document | None = field(default=None, compare=False)
    """The update in words, for one transition of its batch; None: only its numbers were wanted."""

    @abc.abstractmethod
    def _means(self) -> str:
        """Means over the batch besides the loss, in words."""

    def __repr__(self) -> str:
        size = counted(len(self.losses), "transition")
        if self.sequences is not None:
            size += f" in {counted(len(self.sequences.is_shown), 'sequence')}"
        return (
            f"Update {self.update:,}{self.done_at}: {size}, loss {figure(self.loss)}, "
            f"{self._means()}"
        )

    def _repr_html_(self) -> str | None:
        """The page of the update in a notebook, apart from the notebook's own page."""
        if self.document is None:
            return None
        return (
            f'<iframe sandbox srcdoc="{escape(as_html(self.document))}" '
            f'style="width:100%;height:{_PAGE_HEIGHT}px;border:0"></iframe>'
        )

    def followed(self, transition: int, sequence: int | None = None) -> int:
        """Position in the record's arrays of a transition.

        Args:
            transition: its position in the batch; with memory, that of a learned step in its
                sequence.
            sequence: with memory, the position of that sequence; None: the first one.

        Raises:
            SettingError: the sequence has no such step, because its episode ends before.
        """
        if self.sequences is None:
            return transition
        return self.sequences.row_of(transition, sequence or 0)

    @property
    def done_at(self) -> str:
        """When it was done, in words; empty if the run's clock counts updates themselves."""
        at = self.clock.beside_update(self.env_steps)
        return "" if at is None else f", done at {at}"

    @property
    def loss_shares(self) -> Float[np.ndarray, " batch"]:
        """Each transition's share of the batch's loss; the shares sum to 1 unless the loss is 0."""
        losses = self._whole_losses()
        if self.weights is not None:
            losses = self.weights * losses
        total = losses.sum()
        return losses / total if total else np.zeros_like(losses)

    def _whole_losses(self) -> Float[np.ndarray, " batch"]:
        """All that a transition adds to the loss, without its weight."""
        return self.losses


def norms(params: Params) -> dict[str, float]:
    """L2 norm of the parameters of each layer, and of all parameters as `all`."""
    squares: dict[str, float] = {}
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    for path, leaf in leaves:
        # One entry for each hidden layer, and one for each other part of the network.
        depth = 2 if len(path) > 1 and isinstance(path[1], SequenceKey) else 1
        part = jax.tree_util.keystr(path[:1], simple=True) or "weights"
        layer = part + jax.tree_util.keystr(path[1:depth])
        squares[layer] = squares.get(layer, 0.0) + float(np.square(leaf, dtype=np.float64).sum())
    squares["all"] = sum(squares.values())
    return {layer: float(np.sqrt(total)) for layer, total in squares.items()}
