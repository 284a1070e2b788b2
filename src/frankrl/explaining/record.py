"""Every number of one update."""

import functools
from dataclasses import dataclass, field
from html import escape
from typing import NamedTuple

import jax
import numpy as np
from jax.tree_util import SequenceKey
from jaxtyping import Array, Bool, Float, UInt32

from frankrl.config import LearningSettings
from frankrl.core.figures import counted, figure
from frankrl.core.types import Params, Transition
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
from frankrl.networks import QNetwork
from frankrl.replay import Sample

_PAGE_HEIGHT = 600
"""Of an update's page in a notebook, where it scrolls. [pixels]"""


class SampledBatch(NamedTuple):
    """The transitions of one update, and the env steps of each."""

    sample: Sample
    """Fields of shape (batch,)."""
    batch: Transition
    num_steps: UInt32[Array, " batch"]
    """Env steps from s to s′."""
    terminated: Bool[Array, " batch"]
    """Whether s′ is terminal."""


@dataclass(frozen=True, repr=False)
class UpdateRecord:
    """One update: the batch, and everything computed from it. All arrays are NumPy arrays.

    Q-values of actions that are not allowed are -∞.
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
    document: Document | None = field(default=None, compare=False)
    """The update in words, for one transition of its batch; None: only its numbers were wanted."""

    def __repr__(self) -> str:
        return (
            f"Update {self.update:,}{self.done_at}: "
            f"{counted(len(self.losses), 'transition')}, loss {figure(self.loss)}, mean Q(s, a) "
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


def record_of(
    settings: LearningSettings,
    network: QNetwork,
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
    head, batch = network.head, sampled.batch
    terms, chosen_q_after = _computed(
        settings, network, before, after, batch, noise, sampled.sample.weights
    )
    outputs, following, (targets, seen, loss, gradient) = terms
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
        td_errors=np.asarray(td_errors(network, targets, seen.chosen_q)),
        losses=np.asarray(seen.losses),
        conservative_losses=_host(seen.conservative),
        loss=float(loss),
        gradient_norms=norms(gradient),
        weight_changes=norms(unflatten(np.asarray(after.params - before.params))),
        chosen_q_after=np.asarray(chosen_q_after),
        updates_since_refresh=done % period,
        distance_to_target=norms(unflatten(np.asarray(before.params - before.target_params))),
        refreshes_target=(done + 1) % period == 0,
    )


@functools.partial(jax.jit, static_argnums=(0, 1))
def _computed(
    settings: LearningSettings,
    network: QNetwork,
    before: LearnerState,
    after: LearnerState,
    batch: Transition,
    noise: UpdateNoise,
    weights: Float[Array, " batch"] | None,
) -> tuple[UpdateTerms, Float[Array, " batch"]]:
    """What the update computed, and Q(s, a; θ) after it."""
    unflatten = network.layout.unflatten
    params, target_params = unflatten(before.params), unflatten(before.target_params)
    terms = update_terms(settings, network, params, target_params, batch, noise, weights)
    after_params = unflatten(after.params)
    return terms, predictions(network, after_params, batch, terms.of_loss.targets, noise).chosen_q


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
