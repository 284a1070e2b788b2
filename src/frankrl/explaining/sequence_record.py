"""Every number of one update of a network with memory."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt32

from frankrl.config import Clock, LearningSettings
from frankrl.core.sequences import Sequences
from frankrl.core.types import Transition
from frankrl.explaining.cloning_record import CloningRecord, recorded_cloning
from frankrl.explaining.memory_record import SequencesRecord
from frankrl.explaining.opened_update import SampledBatch
from frankrl.explaining.record import Recorded, UpdateRecord, recorded
from frankrl.learning import (
    NO_NOISE,
    CloningTerms,
    LearnerState,
    SequenceTerms,
    UpdateNoise,
    UpdateTerms,
    sequence_cloning_terms,
    sequence_priorities,
    sequence_terms,
    td_errors,
)
from frankrl.networks import RecurrentNetwork
from frankrl.replay import Sample


class SampledSequences(NamedTuple):
    """The sequences of one update, and the env steps of each of their learned steps."""

    sample: Sample
    """Fields of shape (batch,)."""
    batch: Sequences
    env_steps: UInt32[np.ndarray, "batch step"]
    """Env step of the run at which each learned step begins, from 0."""
    num_steps: UInt32[Any, "batch step"]
    """Env steps from s to s′."""
    terminated: Bool[Any, "batch step"]
    """Whether s′ is terminal."""


def sequences_record_of(
    settings: LearningSettings,
    network: RecurrentNetwork,
    before: LearnerState,
    after: LearnerState,
    sampled: SampledSequences,
    *,
    env_steps: int,
    clock: Clock,
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
        sampled: the sequences of the update, as NumPy arrays.
        env_steps: where the run's clock stood when the update was done.
        clock: what it, and so `env_steps`, counts.
        learning_rate: step size of the optimiser.
        noise: the update's random numbers.
    """
    terms, chosen_q_after, priorities = _computed(
        settings, network, before, after, sampled.batch, noise, sampled.sample.weights
    )
    belongs = np.ravel(np.asarray(sampled.batch.belongs))
    computed = Recorded(_of_rows(terms.of_rows, belongs), np.asarray(chosen_q_after)[belongs])
    own = _sequences(sampled.batch, terms.memory)._replace(
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
        clock=clock,
        learning_rate=learning_rate,
        sequences=own,
    )


def sequences_cloning_record_of(
    network: RecurrentNetwork,
    before: LearnerState,
    after: LearnerState,
    sampled: SampledSequences,
    *,
    env_steps: int,
    clock: Clock,
    learning_rate: float,
) -> CloningRecord:
    """Record one update of behaviour cloning; rows and arguments as of `sequences_record_of`."""
    terms, logits_after, memory = _cloned(network, before, after, sampled.batch)
    own = _sequences(sampled.batch, memory)
    belongs = np.ravel(np.asarray(sampled.batch.belongs))
    kept = _kept((terms.logits, terms.losses, logits_after), belongs)
    return recorded_cloning(
        network,
        (before, after),
        _transitions(sampled, own),
        (terms._replace(logits=kept[0], losses=kept[1]), kept[2]),
        env_steps=env_steps,
        clock=clock,
        learning_rate=learning_rate,
        sequences=own,
    )


@functools.partial(jax.jit, static_argnums=0)
def _cloned(
    network: RecurrentNetwork,
    before: LearnerState,
    after: LearnerState,
    batch: Sequences,
) -> tuple[CloningTerms, Float[Array, "row action"], Float[Array, "batch time unit"]]:
    """What the update computed, the logits after it, and the memory along the sequences."""
    params, then = (network.layout.unflatten(learner.params) for learner in (before, after))
    memory = network.remembered(params, batch.observation, batch.is_shown, batch.memory)
    later = sequence_cloning_terms(network, then, batch)
    return sequence_cloning_terms(network, params, batch), later.logits, memory


def _sequences(batch: Sequences, memory: Float[Array, "batch time unit"]) -> SequencesRecord:
    """The sequences of a batch, with the network's memory along them."""
    belongs = np.asarray(batch.belongs)
    sequence, step = np.nonzero(belongs)
    return SequencesRecord(
        sequence=sequence,
        step=step,
        burn_in_steps=batch.spec.burn_in_steps,
        learned_steps=batch.spec.learned_steps,
        is_shown=np.asarray(batch.is_shown),
        arrival=np.asarray(batch.arrival)[sequence, step],
        stored_memory=np.asarray(batch.memory),
        memory=np.asarray(memory),
        target_memory=None,
        priorities=None,
    )


@functools.partial(jax.jit, static_argnums=(0, 1))
def _computed(
    settings: LearningSettings,
    network: RecurrentNetwork,
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
            settings, network, unflatten(learner.params), target_params, batch, noise, weights
        )
        for learner in (before, after)
    )
    found = terms.of_rows.of_loss
    seen, targets = found.predictions, found.targets
    errors = td_errors(head, targets, seen.chosen_q)
    by_row = head.priorities(seen.losses, errors, targets)
    priorities = sequence_priorities(batch, by_row)
    return terms, later.of_rows.of_loss.predictions.chosen_q, priorities


def _of_rows(terms: UpdateTerms, belongs: Bool[np.ndarray, " row"]) -> UpdateTerms:
    """The terms of the rows that belong."""
    of_loss = terms.of_loss
    each = (terms.outputs, terms.bootstrap, of_loss.predictions, of_loss.targets)
    outputs, following, predictions, targets = _kept(each, belongs)
    of_loss = of_loss._replace(predictions=predictions, targets=targets)
    return UpdateTerms(outputs, following, of_loss)


def _kept(rows: Any, belongs: Bool[np.ndarray, " row"]) -> Any:
    """The rows of arrays that belong, chosen on the host, where that compiles no program."""
    return jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)[belongs]), rows)


def _transitions(sampled: SampledSequences, own: SequencesRecord) -> SampledBatch:
    """The rows as transitions, each with the weight and the probability of its sequence."""
    batch = sampled.batch
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
    of_row = sampled.sample._replace(
        env_steps=sampled.env_steps[at],
        weights=_of_each_row(sampled.sample.weights, own),
        probabilities=_of_each_row(sampled.sample.probabilities, own),
    )
    return SampledBatch(
        of_row,
        rows,
        num_steps=sampled.num_steps[at],
        terminated=sampled.terminated[at],
    )


def _of_each_row(
    of_sequence: Float[Array, " batch"] | None, own: SequencesRecord
) -> Float[np.ndarray, " row"] | None:
    """A number of each sequence, for each of its rows."""
    return None if of_sequence is None else np.asarray(of_sequence)[own.sequence]
