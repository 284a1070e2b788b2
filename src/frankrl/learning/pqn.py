"""PQN: updates on the steps of one round, without replay buffer and without target network."""

from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Bool, Float, Int, Shaped

from frankrl.config import LearningSettings
from frankrl.core.types import Minibatch, Observation
from frankrl.learning.lambda_returns import lambda_returns
from frankrl.learning.learner import learned
from frankrl.learning.learner_state import LearnerState
from frankrl.learning.loss_terms import batch_loss_terms
from frankrl.learning.noise import NO_NOISE
from frankrl.learning.update_output import UpdateOutput
from frankrl.networks import FeedForwardNetwork


class Rollout(NamedTuple):
    """The steps of all environments in one round, in order of time: [step, env, …]."""

    observation: Observation
    """The state in which each action was taken, s."""
    action: Shaped[Any, "step env"]
    reward: Float[Any, "step env"]
    discount: Float[Any, "step env"]
    """γ; 0 if s′ is terminal."""
    next_values: Float[Any, "step env"]
    """max_a′ Q(s′, a′; θ), by the weights that acted; of a truncated episode's last observation
    too. [reward]"""
    is_last: Bool[Any, "step env"]
    """The step ended its episode, by termination or truncation."""
    next_observation: Observation
    """The state that the step led to, s′: of an ended episode its true last one. Updates need its
    value alone; it is kept to be told."""
    mask: Bool[Any, "step env action"] | None = None
    """Which actions are allowed in s; None without action masks."""
    next_mask: Bool[Any, "step env action"] | None = None
    """Which actions are allowed in s′."""


def pqn_updates(
    settings: LearningSettings,
    network: FeedForwardNetwork,
    state: LearnerState,
    rollout: Rollout,
    order: Int[Array, "update batch"],
    learning_rate: Float[Array, ""] | float,
) -> tuple[LearnerState, UpdateOutput]:
    """The updates of a round, one for each minibatch of each epoch.

    The λ-returns are computed once, by the weights that acted, and stay the targets of all epochs.
    What PQN does without: transitions of earlier rounds, and a frozen copy of the network.

    Args:
        settings: λ, loss and optimiser.
        network: the definition of the Q-network.
        state: the learner before the round's updates.
        rollout: the steps of the round.
        order: which of the round's steps each update learns from; step t of environment i is
            t · environments + i.
        learning_rate: step size of all updates.

    Source: Gallici et al. (2024), Algorithm 1. https://arxiv.org/abs/2407.04811
    """
    steps = all_targets(settings, rollout)

    def one(state: LearnerState, rows: Array) -> tuple[LearnerState, UpdateOutput]:
        batch = minibatch_of(steps, rows)
        params = network.layout.unflatten(state.params)
        terms = batch_loss_terms(network, params, batch, batch.target, NO_NOISE, None)
        return learned(settings, network, state, terms, learning_rate)

    return jax.lax.scan(one, state, order)


def all_targets(settings: LearningSettings, rollout: Rollout) -> Minibatch:
    """All steps of a round with their targets, in one axis."""
    targets = lambda_returns(
        rollout.reward,
        rollout.discount,
        rollout.next_values,
        rollout.is_last,
        settings.trace_decay,
    )
    steps = Minibatch(rollout.observation, rollout.action, targets, rollout.mask)
    return jax.tree.map(lambda field: field.reshape(-1, *field.shape[2:]), steps)


def minibatch_of(steps: Minibatch, rows: Int[Array, " batch"]) -> Minibatch:
    """Some of the steps of a round."""
    return jax.tree.map(lambda field: field[rows], steps)
