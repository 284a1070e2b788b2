"""Every number of one update."""

import functools
from dataclasses import dataclass, field
from html import escape
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.tree_util import SequenceKey
from jaxtyping import Array, Bool, Float, Int, UInt32

from frankrl.config import LearningSettings
from frankrl.core.errors import SettingError
from frankrl.core.figures import counted, figure
from frankrl.core.types import Params, Transition
from frankrl.core.wording import option
from frankrl.explaining.document import Document
from frankrl.explaining.html import as_html
from frankrl.learning import (
    NO_NOISE,
    LearnerState,
    UpdateNoise,
    UpdateTerms,
    predictions,
    td_errors,
    update_terms,
)
from frankrl.networks import FeedForwardNetwork, QNetwork
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


class SequencesRecord(NamedTuple):
    """The sequences of an update of a network with memory, and the memory along them.

    A row is a learned step, in the order of the sequences: the `UpdateRecord` has its numbers. The
    axis of time holds the burn-in, then the learned steps, then n more observations.
    """

    sequence: Int[np.ndarray, " row"]
    """Which sequence of the batch each row belongs to, from 0."""
    step: Int[np.ndarray, " row"]
    """Which of its learned steps it is, from 0."""
    burn_in_steps: int
    """Position of the first learned step on the axis of time."""
    learned_steps: int
    """Learned steps of a sequence whose episode goes on."""
    is_shown: Bool[np.ndarray, "sequence time"]
    """False before the episode's start, and after the observation that its last step led to."""
    arrival: Int[np.ndarray, " row"]
    """Position of s′ on the axis of time."""
    stored_memory: Float[np.ndarray, "sequence unit"]
    """The memory before the first observation that is shown, as it was in acting."""
    memory: Float[np.ndarray, "sequence time unit"]
    """The Q-network's memory after each observation; as before it where none is shown."""
    target_memory: Float[np.ndarray, "sequence time unit"] | None
    """The target network's, likewise; None for behaviour cloning, which has none."""
    priorities: Float[np.ndarray, " sequence"] | None
    """Error of each sequence, for its new priority; None if sampling was uniform."""

    @property
    def position(self) -> Int[np.ndarray, " row"]:
        """Position of s on the axis of time."""
        return self.burn_in_steps + self.step

    @property
    def num_burn_in(self) -> Int[np.ndarray, " sequence"]:
        """Steps of the episode from which only the memory was computed."""
        return self.is_shown[:, : self.burn_in_steps].sum(axis=1)

    def rows_of(self, sequence: int) -> Int[np.ndarray, " row"]:
        """The rows of one sequence, in order of time."""
        return np.flatnonzero(self.sequence == sequence)

    def row_of(self, transition: int, sequence: int) -> int:
        """The row of a learned step of a sequence.

        Raises:
            SettingError: the sequence has no such step, because its episode ends before.
        """
        rows = self.rows_of(sequence)
        if transition >= len(rows):
            raise SettingError(
                f"{option('transition')} must be from 0 to {len(rows) - 1} in sequence {sequence}, "
                f"whose episode ends then, got {transition}"
            )
        return int(rows[transition])

    def memory_before(self, row: int) -> Float[np.ndarray, "1 unit"]:
        """The Q-network's memory before it saw the state s of a row."""
        sequence, position = self.sequence[row], self.position[row]
        if not position:
            return self.stored_memory[sequence][None]
        return self.memory[sequence, position - 1][None]


@dataclass(frozen=True, repr=False)
class UpdateRecord:
    """One update: the batch, and everything computed from it. All arrays are NumPy arrays.

    Q-values of actions that are not allowed are -∞. With a memory, the transitions of the batch
    are the learned steps of its sequences.
    """

    update: int
    """Number of the update, from 1."""
    env_steps: int
    """Env steps of the run when the update was done."""
    learning_rate: float
    transition_env_steps: UInt32[np.ndarray, " batch"]
    """Env step of the run at which each transition begins, from 0; in a data set its step there."""
    probabilities: Float[np.ndarray, " batch"] | None
    """Probability that each transition was sampled; None if sampling was uniform."""
    weights: Float[np.ndarray, " batch"] | None
    """Importance weight of each transition's loss; None if all weights are 1."""
    batch: Transition
    num_steps: UInt32[np.ndarray, " batch"]
    """Env steps from s to s′: n, or fewer if the episode ended earlier."""
    terminated: Bool[np.ndarray, " batch"]
    """Whether s′ is terminal."""
    q_values: Float[np.ndarray, "batch action"]
    """Q(s, ·; θ) before the update."""
    chosen_q: Float[np.ndarray, " batch"]
    """Q(s, a; θ) before the update."""
    target_q_values: Float[np.ndarray, "batch action"]
    """Q(s′, ·; θ⁻); with PQN by the weights with which the round acted."""
    online_next_q_values: Float[np.ndarray, "batch action"] | None
    """Q(s′, ·; θ), which picks the next action in Double DQN; None otherwise."""
    next_policy: Float[np.ndarray, "batch action"]
    """Weight of each action in s′: 1 for the greedy action, or Munchausen DQN's softmax."""
    next_values: Float[np.ndarray, " batch"]
    """Value of s′ by the target network; the mean if the head is distributional. With PQN by the
    weights with which the round acted."""
    following_returns: Float[np.ndarray, " batch"] | None
    """With PQN the λ-return of the step after each one, NaN where none is known; else None."""
    munchausen_bonuses: Float[np.ndarray, " batch"] | None
    """What Munchausen DQN adds to r; None otherwise."""
    targets: Float[np.ndarray, " batch"]
    """y; the mean if the head is distributional."""
    chosen_outputs: Float[np.ndarray, "batch atom"] | None
    """Predicted return distribution of (s, a): C51's probabilities, or quantiles.
    None if the head predicts only the mean."""
    target_outputs: Float[np.ndarray, "batch target_atom"] | None
    """Target distribution, in the same form; None likewise."""
    td_errors: Float[np.ndarray, " batch"]
    """y - Q(s, a; θ)."""
    losses: Float[np.ndarray, " batch"]
    """Loss of each transition's target, without its weight."""
    conservative_losses: Float[np.ndarray, " batch"] | None
    """What CQL adds to each loss, `cql_weight` times log Σ_a exp(Q(s, a)) - Q(s, a); None without
    it."""
    loss: float
    """Mean of weight × loss over the batch."""
    gradient_norms: dict[str, float]
    """L2 norm of the gradient before clipping, per layer; `all` is the global norm."""
    weight_changes: dict[str, float]
    """L2 norm of the change of θ, per layer and `all`."""
    chosen_q_after: Float[np.ndarray, " batch"]
    """Q(s, a; θ) after the update."""
    updates_since_refresh: int
    """Updates since the target network was last refreshed; with PQN since the weights acted that
    the targets come from."""
    distance_to_target: dict[str, float]
    """L2 norm of θ - θ⁻ before the update, per layer and `all`; with PQN of the change of θ since
    its weights acted."""
    refreshes_target: bool
    """Whether the target network is refreshed right after this update; with PQN whether the next
    round begins, which acts with the new weights."""
    clock_unit: str = "env step"
    """What the run's clock, and so `env_steps`, counts: an `update` of a run that does not act."""
    sequences: SequencesRecord | None = None
    """The sequences that the transitions belong to; None without memory."""
    document: Document | None = field(default=None, compare=False)
    """The update in words, for one transition of its batch; None: only its numbers were wanted."""

    def __repr__(self) -> str:
        size = counted(len(self.losses), "transition")
        if self.sequences is not None:
            size += f" in {counted(len(self.sequences.is_shown), 'sequence')}"
        return (
            f"Update {self.update:,}{self.done_at}: {size}, "
            f"loss {figure(self.loss)}, mean Q(s, a) "
            f"{figure(float(np.mean(self.chosen_q)))}, mean target "
            f"{figure(float(np.mean(self.targets)))}"
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
        return "" if self.clock_unit == "update" else f", done at env step {self.env_steps:,}"

    @property
    def loss_shares(self) -> Float[np.ndarray, " batch"]:
        """Each transition's share of the batch's loss; the shares sum to 1 unless the loss is 0."""
        losses = self.losses
        if self.conservative_losses is not None:
            losses = losses + self.conservative_losses
        if self.weights is not None:
            losses = self.weights * losses
        total = losses.sum()
        return losses / total if total else np.zeros_like(losses)


class Recorded(NamedTuple):
    """What the functions of the learner computed for the transitions of an update."""

    terms: UpdateTerms
    chosen_q_after: Float[Any, " batch"]
    """Q(s, a; θ) after the update."""


def record_of(
    settings: LearningSettings,
    network: FeedForwardNetwork,
    before: LearnerState,
    after: LearnerState,
    sampled: SampledBatch,
    *,
    env_steps: int,
    learning_rate: float,
    noise: UpdateNoise = NO_NOISE,
) -> UpdateRecord:
    """Record one update, computed by the functions that training uses.

    Args:
        settings: the learner's settings.
        network: the definition of both networks.
        before: the learner before the update.
        after: the learner after the update.
        sampled: the transitions of the update.
        env_steps: env steps of the run when the update was done.
        learning_rate: step size of the optimiser.
        noise: the update's random numbers.
    """
    computed = _computed(
        settings, network, before, after, sampled.batch, noise, sampled.sample.weights
    )
    return recorded(
        settings,
        network,
        (before, after),
        sampled,
        computed,
        env_steps=env_steps,
        learning_rate=learning_rate,
    )


def recorded(
    settings: LearningSettings,
    network: QNetwork,
    learners: tuple[LearnerState, LearnerState],
    sampled: SampledBatch,
    computed: Recorded,
    *,
    env_steps: int,
    learning_rate: float,
    sequences: SequencesRecord | None = None,
) -> UpdateRecord:
    """The record of an update, of what was computed for its transitions.

    Args:
        settings: the learner's settings.
        network: the definition of both networks.
        learners: the learner before the update, and after it.
        sampled: the transitions of the update.
        computed: what was computed for each of them.
        env_steps: env steps of the run when the update was done.
        learning_rate: step size of the optimiser.
        sequences: the sequences that they belong to; None without memory.
    """
    head, batch, (before, after) = network.head, sampled.batch, learners
    outputs, following, (targets, seen, loss, gradient) = computed.terms
    unflatten = network.layout.unflatten
    online_next = following.online_next_q_values
    period, done = settings.target_period_updates, int(before.num_updates)
    return UpdateRecord(
        update=done + 1,
        env_steps=env_steps,
        learning_rate=learning_rate,
        transition_env_steps=np.asarray(sampled.sample.env_steps),
        probabilities=_host(sampled.sample.probabilities),
        weights=_host(sampled.sample.weights),
        batch=jax.tree.map(np.asarray, batch),
        num_steps=np.asarray(sampled.num_steps),
        terminated=np.asarray(sampled.terminated),
        q_values=np.asarray(seen.q_values),
        chosen_q=np.asarray(seen.chosen_q),
        target_q_values=np.asarray(outputs.next_q_values),
        online_next_q_values=_host(online_next),
        next_policy=_next_policy(settings, outputs.next_q_values, online_next),
        next_values=np.asarray(head.q_values(following.next_values)),
        following_returns=None,
        munchausen_bonuses=_host(following.bonus),
        targets=np.asarray(head.target_mean(targets)),
        chosen_outputs=head.distribution(seen.chosen),
        target_outputs=None if targets.ndim == 1 else np.asarray(targets),
        td_errors=np.asarray(td_errors(head, targets, seen.chosen_q)),
        losses=np.asarray(seen.losses),
        conservative_losses=_host(seen.conservative),
        loss=float(loss),
        gradient_norms=norms(gradient),
        weight_changes=norms(unflatten(np.asarray(after.params - before.params))),
        chosen_q_after=np.asarray(computed.chosen_q_after),
        updates_since_refresh=done % period,
        distance_to_target=norms(unflatten(np.asarray(before.params - before.target_params))),
        refreshes_target=(done + 1) % period == 0,
        sequences=sequences,
    )


@functools.partial(jax.jit, static_argnums=(0, 1))
def _computed(
    settings: LearningSettings,
    network: FeedForwardNetwork,
    before: LearnerState,
    after: LearnerState,
    batch: Transition,
    noise: UpdateNoise,
    weights: Float[Array, " batch"] | None,
) -> Recorded:
    unflatten = network.layout.unflatten
    params, target_params = unflatten(before.params), unflatten(before.target_params)
    terms = update_terms(settings, network, params, target_params, batch, noise, weights)
    after_params = unflatten(after.params)
    later = predictions(network, after_params, batch, terms.of_loss.targets, noise)
    return Recorded(terms, later.chosen_q)


def _host(array: Array | None) -> np.ndarray | None:
    return None if array is None else np.asarray(array)


def _next_policy(
    settings: LearningSettings, target_q: Float[Array, "batch action"], online_q: Array | None
) -> Float[np.ndarray, "batch action"]:
    if settings.munchausen:
        return np.asarray(jax.nn.softmax(target_q / settings.munchausen_temperature, axis=-1))
    picked = np.argmax(target_q if online_q is None else online_q, axis=-1)
    return np.eye(target_q.shape[1], dtype=np.float32)[picked]


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
