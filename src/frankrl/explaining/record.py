"""Every number of one update of Q-learning."""

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float

from frankrl.config import Clock, LearningSettings
from frankrl.core.figures import figure
from frankrl.core.types import Transition
from frankrl.explaining.memory_record import SequencesRecord
from frankrl.explaining.opened_update import OpenedUpdate, SampledBatch, norms
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


@dataclass(frozen=True, repr=False, kw_only=True)
class UpdateRecord(OpenedUpdate):
    """One update of Q-learning: the batch, and everything computed from it.

    Q-values of actions that are not allowed are -∞. A loss is that of the transition's target.
    """

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
    conservative_losses: Float[np.ndarray, " batch"] | None
    """What CQL adds to each loss, `cql_weight` times log Σ_a exp(Q(s, a)) - Q(s, a); None without
    it."""
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

    def _means(self) -> str:
        return (
            f"mean Q(s, a) {figure(float(np.mean(self.chosen_q)))}, mean target "
            f"{figure(float(np.mean(self.targets)))}"
        )

    def _whole_losses(self) -> Float[np.ndarray, " batch"]:
        extra = self.conservative_losses
        return self.losses if extra is None else self.losses + extra


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
    clock: Clock,
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
        env_steps: where the run's clock stood when the update was done.
        clock: what it, and so `env_steps`, counts.
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
        clock=clock,
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
    clock: Clock,
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
        env_steps: where the run's clock stood when the update was done.
        clock: what it, and so `env_steps`, counts.
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
        clock=clock,
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
