"""Every number of one update of behaviour cloning."""

import functools
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Array, Float

from frankrl.config import Clock
from frankrl.core.figures import figure
from frankrl.core.types import Transition
from frankrl.explaining.memory_record import SequencesRecord
from frankrl.explaining.opened_update import OpenedUpdate, SampledBatch, norms
from frankrl.learning import CloningTerms, LearnerState, cloning_terms
from frankrl.networks import FeedForwardNetwork, QNetwork


@dataclass(frozen=True, repr=False, kw_only=True)
class CloningRecord(OpenedUpdate):
    """One update of behaviour cloning: the batch, and everything computed from it.

    There are no Q-values, targets and TD errors: the outputs are logits of a policy. A loss is
    -log π(a | s).
    """

    logits: Float[np.ndarray, "batch action"]
    """Outputs for s before the update; -∞ for actions that are not allowed."""
    policy: Float[np.ndarray, "batch action"]
    """π(· | s), the softmax of the logits."""
    chosen_after: Float[np.ndarray, " batch"]
    """π(a | s) after the update."""

    def _means(self) -> str:
        return f"mean π(a | s) {figure(float(np.mean(self.chosen)))}"

    @property
    def chosen(self) -> Float[np.ndarray, " batch"]:
        """π(a | s) before the update."""
        return self.policy[np.arange(len(self.losses)), self.batch.action]


def cloning_record_of(
    network: FeedForwardNetwork,
    before: LearnerState,
    after: LearnerState,
    sampled: SampledBatch,
    *,
    env_steps: int,
    clock: Clock,
    learning_rate: float,
) -> CloningRecord:
    """Record one update, computed by the functions that training uses.

    Args:
        network: the definition of the network.
        before: the learner before the update.
        after: the learner after the update.
        sampled: the transitions of the update.
        env_steps: where the run's clock stood when the update was done.
        clock: what it, and so `env_steps`, counts.
        learning_rate: step size of the optimiser.
    """
    terms, then = _computed(network, before, after, sampled.batch)
    return recorded_cloning(
        network,
        (before, after),
        sampled,
        (terms, then.logits),
        env_steps=env_steps,
        clock=clock,
        learning_rate=learning_rate,
    )


def recorded_cloning(
    network: QNetwork,
    learners: tuple[LearnerState, LearnerState],
    sampled: SampledBatch,
    computed: tuple[CloningTerms, Float[Array, "batch action"]],
    *,
    env_steps: int,
    clock: Clock,
    learning_rate: float,
    sequences: SequencesRecord | None = None,
) -> CloningRecord:
    """The record of an update, of what was computed for its transitions.

    Args:
        network: the definition of the network.
        learners: the learner before the update, and after it.
        sampled: the transitions of the update.
        computed: the terms of the update, and the logits after it.
        env_steps: where the run's clock stood when the update was done.
        clock: what it, and so `env_steps`, counts.
        learning_rate: step size of the optimiser.
        sequences: the sequences that they belong to; None without memory.
    """
    (before, after), (terms, logits_after) = learners, computed
    batch = jax.tree.map(np.asarray, sampled.batch)
    rows = np.arange(len(terms.losses))
    policy, policy_after = (jax.nn.softmax(logits) for logits in (terms.logits, logits_after))
    return CloningRecord(
        update=int(before.num_updates) + 1,
        env_steps=env_steps,
        clock=clock,
        learning_rate=learning_rate,
        transition_env_steps=np.asarray(sampled.sample.env_steps),
        batch=batch,
        num_steps=np.asarray(sampled.num_steps),
        terminated=np.asarray(sampled.terminated),
        logits=np.asarray(terms.logits),
        policy=np.asarray(policy),
        losses=np.asarray(terms.losses),
        loss=float(terms.loss),
        gradient_norms=norms(terms.gradients),
        weight_changes=norms(network.layout.unflatten(np.asarray(after.params - before.params))),
        chosen_after=np.asarray(policy_after)[rows, batch.action],
        sequences=sequences,
    )


@functools.partial(jax.jit, static_argnums=0)
def _computed(
    network: FeedForwardNetwork, before: LearnerState, after: LearnerState, batch: Transition
) -> tuple[CloningTerms, CloningTerms]:
    """What the update computed, and the same after it."""
    unflatten = network.layout.unflatten
    terms = cloning_terms(network, unflatten(before.params), batch)
    return terms, cloning_terms(network, unflatten(after.params), batch)
