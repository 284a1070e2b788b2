"""Every number of one update of PQN."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from frankrl.core.compiling import compiler_options
from frankrl.core.types import Minibatch, Transition
from frankrl.explaining.opened_update import norms
from frankrl.explaining.record import UpdateRecord
from frankrl.learning import (
    NO_NOISE,
    LearnerState,
    LossTerms,
    all_targets,
    batch_loss_terms,
    learning_rate_at,
    minibatch_of,
    pqn_updates,
    predictions,
)
from frankrl.networks import FeedForwardNetwork
from frankrl.training import Experiment, Round, TrainState
from frankrl.training.device.batch import computed_in_lanes
from frankrl.training.device.pqn_round import PqnSample


def pqn_opened(
    experiment: Experiment, before: TrainState, result: Round, update: int, num_lanes: int = 0
) -> tuple[UpdateRecord, LearnerState, LearnerState]:
    """The record of one update of a round, computed by the functions that training uses.

    Args:
        experiment: the run's experiment.
        before: the state before the round.
        result: the round.
        update: number of the update, from 1.
        num_lanes: number of runs that were one program with this one; 0: it was alone.

    Returns:
        The record; the learner before the update, and after the round.
    """
    sample = jax.tree.map(jnp.asarray, result.output().sample)
    assert isinstance(sample, PqnSample), "the update's own round is one of PQN"
    learning, network = experiment.settings.learning, _network(experiment)
    rate = np.float32(learning_rate_at(learning, result.ticks))
    learn = functools.partial(pqn_updates, learning, network)
    products = network.num_products * sample.order.shape[1]
    if num_lanes:
        learn = computed_in_lanes(learn, num_lanes, products)
    else:
        learn = jax.jit(learn, compiler_options=compiler_options(products))

    def learned(state: LearnerState, first: int, end: int) -> LearnerState:
        """The learner after the updates from `first` to `end` of the round."""
        if first == end:
            return state
        return learn(state, sample.rollout, sample.order[first:end], rate)[0]

    number = update - before.updates - 1
    state = learned(before.learner, 0, number)
    after = learned(state, number, number + 1)
    record = _record(experiment, before, sample, number, (state, after), result.ticks)
    return record, state, learned(after, number + 1, len(sample.order))


def _network(experiment: Experiment) -> FeedForwardNetwork:
    network = experiment.network
    assert isinstance(network, FeedForwardNetwork), "pqn is refused with a memory"
    return network


def _record(
    experiment: Experiment,
    before: TrainState,
    sample: PqnSample,
    number: int,
    learners: tuple[LearnerState, LearnerState],
    env_steps: int,
) -> UpdateRecord:
    """The record of update `number` of a round, from 0, given the learner before and after it."""
    settings, network = experiment.settings, _network(experiment)
    state, after = learners
    rows, unflatten = np.asarray(sample.order[number]), network.layout.unflatten
    steps = all_targets(settings.learning, sample.rollout)
    batch = minibatch_of(steps, jnp.asarray(rows))
    terms, q_after = _computed(network, state, after, batch)
    seen, gradient = terms.predictions, terms.gradients
    transition = _transitions(sample, rows)
    acted = jax.jit(network.q_values)(
        unflatten(before.learner.params), transition.next_observation, transition.next_mask
    )
    next_q = np.asarray(acted)
    moved = network.layout.unflatten(np.asarray(state.params - before.learner.params))
    return UpdateRecord(
        update=before.updates + number + 1,
        env_steps=env_steps,
        clock=settings.clock,
        learning_rate=learning_rate_at(settings.learning, env_steps),
        transition_env_steps=(before.ticks + rows).astype(np.uint32),
        batch=transition,
        num_steps=np.ones(len(rows), np.uint32),
        terminated=transition.discount == 0,
        q_values=np.asarray(seen.q_values),
        chosen_q=np.asarray(seen.chosen_q),
        target_q_values=next_q,
        online_next_q_values=None,
        next_policy=np.eye(next_q.shape[1], dtype=np.float32)[np.argmax(next_q, axis=1)],
        next_values=np.max(next_q, axis=1),
        following_returns=_following(sample, steps)[rows],
        munchausen_bonuses=None,
        targets=np.asarray(batch.target),
        chosen_outputs=None,
        target_outputs=None,
        td_errors=np.asarray(batch.target - seen.chosen_q),
        losses=np.asarray(seen.losses),
        conservative_losses=None,
        loss=float(terms.loss),
        gradient_norms=norms(gradient),
        weight_changes=norms(unflatten(np.asarray(after.params - state.params))),
        chosen_q_after=np.asarray(q_after),
        updates_since_refresh=number,
        distance_to_target=norms(moved),
        refreshes_target=number + 1 == len(sample.order),
    )


@functools.partial(jax.jit, static_argnums=0)
def _computed(
    network: FeedForwardNetwork, before: LearnerState, after: LearnerState, batch: Minibatch
) -> tuple[LossTerms, Float[Array, " batch"]]:
    """What the update computed, and Q(s, a; θ) after it."""
    unflatten, targets = network.layout.unflatten, batch.target
    terms = batch_loss_terms(network, unflatten(before.params), batch, targets, NO_NOISE, None)
    seen = predictions(network, unflatten(after.params), batch, targets, NO_NOISE)
    return terms, seen.chosen_q


def _transitions(sample: PqnSample, rows: np.ndarray) -> Transition:
    """Some of a round's steps as transitions, on the host."""
    rollout = sample.rollout
    every = Transition(
        rollout.observation,
        rollout.action,
        rollout.reward,
        rollout.next_observation,
        rollout.discount,
        rollout.mask,
        rollout.next_mask,
    )
    return jax.tree.map(lambda leaf: np.asarray(leaf).reshape(-1, *leaf.shape[2:])[rows], every)


def _following(sample: PqnSample, steps: Minibatch) -> Float[np.ndarray, " step"]:
    """The λ-return of the step after each one; NaN after an episode's end and the last step."""
    is_last = np.asarray(sample.rollout.is_last)
    targets = np.asarray(steps.target).reshape(is_last.shape)
    found = np.full(is_last.shape, np.nan, np.float32)
    found[:-1] = np.where(is_last[:-1], np.nan, targets[1:])
    return found.reshape(-1)
