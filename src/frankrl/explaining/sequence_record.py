"""Every number of one update of a network with memory."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt32

from frankrl.config import LearningSettings
from frankrl.core.types import Sequences, SequenceSpec, Transition
from frankrl.explaining.record import (
    Recorded,
    SampledBatch,
    SequencesRecord,
    UpdateRecord,
    recorded,
)
from frankrl.learning import (
    NO_NOISE,
    LearnerState,
    SequenceTerms,
    UpdateNoise,
    UpdateTerms,
    sequence_priorities,
    sequence_terms,
    td_errors,
)
from frankrl.networks import QNetwork
from frankrl.replay import Sample


class SampledSequences(NamedTuple):
    """The sequences of one update, and the env steps of each of their learned steps."""

    sample: Sample
    """Fields of shape (batch,)."""
    batch: Sequences
    env_steps: UInt32[np.ndarray, "batch step"]
    """Env step of the run at which each learned step begins, from 0."""
    num_steps: UInt32[np.ndarray, "batch step"]
    """Env steps from s to s′."""
    terminated: Bool[np.ndarray, "batch step"]
    """Whether s′ is terminal."""


def sequences_record_of(
    settings: LearningSettings,
    network: QNetwork,
    before: LearnerState,
    after: LearnerState,
    spec: SequenceSpec,
    sampled: SampledSequences,
    *,
    env_steps: int,
    learning_rate: float,
    noise: UpdateNoise = NO_NOISE,
) -> UpdateRecord:
    """Record one update, computed by the functions that training uses.

    Its rows are the learned steps of the sequences, without those after an episode's end.

    Args:
        settings: the learner's settings.
        network: the definition of both networks.
        before: the learner before the update.
        after: the learner after the update.
        spec: which steps the sequences have.
        sampled: the sequences of the update, as NumPy arrays.
        env_steps: env steps of the run when the update was done.
        learning_rate: step size of the optimiser.
        noise: the update's random numbers.
    """
    terms, chosen_q_after, priorities = _computed(
        settings, spec, network, before, after, sampled.batch, noise, sampled.sample.weights
    )
    belongs = np.asarray(terms.belongs)
    computed = Recorded(_of_rows(terms.of_rows, belongs), np.asarray(chosen_q_after)[belongs])
    batch = sampled.batch
    sequence, step = np.divmod(np.flatnonzero(belongs), spec.learned_steps)
    own = SequencesRecord(
        sequence=sequence,
        step=step,
        burn_in_steps=spec.burn_in_steps,
        learned_steps=spec.learned_steps,
        is_shown=np.asarray(batch.is_shown),
        arrival=np.asarray(batch.arrival)[sequence, step],
        stored_memory=np.asarray(batch.memory),
        memory=np.asarray(terms.memory),
        target_memory=np.asarray(terms.target_memory),
        priorities=None if sampled.sample.weights is None else np.asarray(priorities),
    )
    return recorded(
        settings,
        network,
        (before, after),
        _transitions(sampled, own),
        computed,
        env_steps=env_steps,
        learning_rate=learning_rate,
        sequences=own,
    )


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _computed(
    settings: LearningSettings,
    spec: SequenceSpec,
    network: QNetwork,
    before: LearnerState,
    after: LearnerState,
    batch: Sequences,
    noise: UpdateNoise,
    weights: Float[Array, " batch"] | None,
) -> tuple[SequenceTerms, Float[Array, " row"], Float[Array, " batch"]]:
    """What the update computed, Q(s, a; θ) after it, and the error of each sequence."""
    unflatten, head = network.layout.unflatten, network.head
    target_params = unflatten(before.target_params)
    terms, later = (
        sequence_terms(
            settings,
            spec,
            network,
            unflatten(learner.params),
            target_params,
            batch,
            noise,
            weights,
        )
        for learner in (before, after)
    )
    found = terms.of_rows.of_loss
    seen, targets = found.predictions, found.targets
    errors = td_errors(network, targets, seen.chosen_q)
    by_row = head.priorities(seen.losses, errors, targets)
    priorities = sequence_priorities(spec, by_row, terms.belongs)
    return terms, later.of_rows.of_loss.predictions.chosen_q, priorities


def _of_rows(terms: UpdateTerms, belongs: Bool[np.ndarray, " row"]) -> UpdateTerms:
    """The terms of the rows that belong."""

    def kept(leaf: Array) -> Array:
        # On the host, where a choice of rows needs no compiled program.
        return jnp.asarray(np.asarray(leaf)[belongs])

    outputs, following, predictions, targets = jax.tree.map(
        kept, (terms.outputs, terms.bootstrap, terms.of_loss.predictions, terms.of_loss.targets)
    )
    of_loss = terms.of_loss._replace(predictions=predictions, targets=targets)
    return UpdateTerms(outputs, following, of_loss)


def _transitions(sampled: SampledSequences, own: SequencesRecord) -> SampledBatch:
    """The rows as transitions, each with the weight and the probability of its sequence."""
    batch, (weights, probabilities) = sampled.batch, sampled.sample[1:]
    at = (own.sequence, own.step)
    seen, arrived = (own.sequence, own.position), (own.sequence, own.arrival)
    observation, next_observation = (
        jax.tree.map(lambda leaf: np.asarray(leaf)[place], batch.observation)  # noqa: B023
        for place in (seen, arrived)
    )
    mask = None if batch.mask is None else np.asarray(batch.mask)
    rows = Transition(
        observation=observation,
        action=np.asarray(batch.action)[at],
        reward=np.asarray(batch.reward)[at],
        next_observation=next_observation,
        discount=np.asarray(batch.discount)[at],
        mask=None if mask is None else mask[seen],
        next_mask=None if mask is None else mask[arrived],
    )
    each = (
        None if of_sequence is None else np.asarray(of_sequence)[own.sequence]
        for of_sequence in (weights, probabilities)
    )
    return SampledBatch(
        Sample(sampled.env_steps[at], *each),
        rows,
        num_steps=sampled.num_steps[at],
        terminated=sampled.terminated[at],
    )
