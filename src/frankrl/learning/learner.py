"""The learner: one gradient step, or several in a row."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

from frankrl.config import LearningSettings
from frankrl.core.sequences import Sequences
from frankrl.core.types import Transition
from frankrl.learning.cloning import CloningTerms, cloning_terms
from frankrl.learning.learner_state import LearnerState
from frankrl.learning.loss_terms import LossTerms, td_errors, update_terms
from frankrl.learning.noise import NO_NOISE, UpdateNoise
from frankrl.learning.optimiser import Gradient, optimiser_step
from frankrl.learning.recurrent import (
    SequenceTerms,
    sequence_cloning_terms,
    sequence_priorities,
    sequence_terms,
)
from frankrl.learning.update_output import UpdateMetrics, UpdateOutput
from frankrl.networks import FeedForwardNetwork, QNetwork, RecurrentNetwork


def learning_rate_at(settings: LearningSettings, ticks: int) -> float:
    """The learning rate after so many ticks of the run's clock."""
    if settings.learning_rate_end is None:
        return settings.learning_rate
    duration = settings.learning_rate_decay_env_steps or settings.learning_rate_decay_updates
    if duration is None:
        raise ValueError("the learning rate's decay has no duration: call Settings.resolved first")
    done = min(ticks / duration, 1.0)
    return settings.learning_rate + done * (settings.learning_rate_end - settings.learning_rate)


def update(
    settings: LearningSettings,
    network: QNetwork,
    state: LearnerState,
    batch: Transition | Sequences,
    learning_rate: Float[Array, ""] | float,
    noise: UpdateNoise = NO_NOISE,
    weights: Float[Array, " batch"] | None = None,
) -> tuple[LearnerState, UpdateOutput]:
    """One gradient step of the network on a batch; the target network does not change.

    Args:
        settings: target, loss and optimiser.
        network: the definition of both networks.
        state: the learner before the update.
        batch: fields of shape (batch, …); sequences for a network with memory.
        learning_rate: step size of the optimiser.
        noise: random numbers of the update; fractions for each transition, or learned step.
        weights: importance weight of each transition's or sequence's loss; None: all are 1.

    Raises:
        TypeError: the network does not learn from such batches.

    Source: Mnih et al. (2015), Algorithm 1. https://doi.org/10.1038/nature14236
    """
    if settings.algorithm == "bc":
        return _cloned(settings, network, state, batch, learning_rate)
    assert state.target_params is not None, "PQN has no target network: pqn_updates are for it"
    params = network.layout.unflatten(state.params)
    target_params = network.layout.unflatten(state.target_params)
    match network, batch:
        case FeedForwardNetwork(), Transition():
            terms = update_terms(settings, network, params, target_params, batch, noise, weights)
            return learned(settings, network, state, terms.of_loss, learning_rate, weights)
        case RecurrentNetwork(), Sequences():
            found = sequence_terms(settings, network, params, target_params, batch, noise, weights)
            return _learned_sequences(
                settings, network, state, batch, found, learning_rate, weights
            )
        case _:
            raise _unfit(network, batch)


def _unfit(network: QNetwork, batch: Transition | Sequences) -> TypeError:
    return TypeError(
        f"a {type(network).__name__} does not learn from {type(batch).__name__}: a network with "
        "memory learns from Sequences, and any other from a Transition"
    )


def learned(
    settings: LearningSettings,
    network: QNetwork,
    state: LearnerState,
    terms: LossTerms,
    learning_rate: Float[Array, ""] | float,
    weights: Float[Array, " batch"] | None = None,
    belongs: Bool[Array, " row"] | None = None,
) -> tuple[LearnerState, UpdateOutput]:
    """The optimiser's step along the gradient of a batch's loss, and the metrics of the update.

    Args:
        settings: optimiser.
        network: the definition of the Q-network.
        state: the learner before the update.
        terms: the batch's loss and its gradient.
        learning_rate: step size of the optimiser.
        weights: importance weight of each transition's loss; None: all are 1.
        belongs: the rows over which means are taken; None: all.
    """
    predictions, targets = terms.predictions, terms.targets
    new_state, gradient_norm = _moved(settings, network, state, terms, learning_rate)
    errors = td_errors(network.head, targets, predictions.chosen_q)
    means = functools.partial(jnp.mean, where=belongs)
    metrics = UpdateMetrics(
        loss=terms.loss,
        mean_q=means(predictions.chosen_q),
        mean_max_q=means(jnp.max(predictions.q_values, axis=-1)),
        mean_target=means(network.head.target_mean(targets)),
        mean_abs_td_error=means(jnp.abs(errors)),
        gradient_norm=gradient_norm,
    )
    priorities = None
    if weights is not None:
        priorities = network.head.priorities(predictions.losses, errors, targets)
    return new_state, UpdateOutput(jnp.stack(metrics), errors, priorities)


def _cloned(
    settings: LearningSettings,
    network: QNetwork,
    state: LearnerState,
    batch: Transition | Sequences,
    learning_rate: Float[Array, ""] | float,
) -> tuple[LearnerState, UpdateOutput]:
    """One gradient step of behaviour cloning."""
    params = network.layout.unflatten(state.params)
    match network, batch:
        case FeedForwardNetwork(), Transition():
            terms = cloning_terms(network, params, batch)
        case RecurrentNetwork(), Sequences():
            terms = sequence_cloning_terms(network, params, batch)
        case _:
            raise _unfit(network, batch)
    new_state, gradient_norm = _moved(settings, network, state, terms, learning_rate)
    known = {"loss": terms.loss, "gradient_norm": gradient_norm}
    metrics = [known.get(name, jnp.zeros(())) for name in UpdateMetrics._fields]
    return new_state, UpdateOutput(jnp.stack(metrics), jnp.zeros(len(batch.action)), None)


def _learned_sequences(
    settings: LearningSettings,
    network: RecurrentNetwork,
    state: LearnerState,
    batch: Sequences,
    terms: SequenceTerms,
    learning_rate: Float[Array, ""] | float,
    weights: Float[Array, " batch"] | None,
) -> tuple[LearnerState, UpdateOutput]:
    """As `learned`, of sequences: means are over the steps that belong, and the TD error of a
    sequence is that of its first learned step."""
    of_loss, belongs = terms.of_rows.of_loss, batch.belongs.reshape(-1)
    new_state, of_rows = learned(settings, network, state, of_loss, learning_rate, weights, belongs)
    priorities = None
    if of_rows.priorities is not None:
        priorities = sequence_priorities(batch, of_rows.priorities)
    first = of_rows.td_errors[:: batch.spec.learned_steps]
    return new_state, UpdateOutput(of_rows.metrics, first, priorities)


def _moved(
    settings: LearningSettings,
    network: QNetwork,
    state: LearnerState,
    terms: LossTerms | CloningTerms,
    learning_rate: Float[Array, ""] | float,
) -> tuple[LearnerState, Float[Array, ""]]:
    """The learner after the optimiser's step, and the gradient's norm before clipping."""
    gradient = network.layout.flatten(terms.gradients)
    found = Gradient(gradient, state.params, terms.loss, learning_rate)
    moved, opt_state = optimiser_step(settings, network.layout, state.opt_state, found)
    new_state = LearnerState(
        params=moved,
        target_params=state.target_params,
        average_params=_averaged(settings, state, moved),
        opt_state=opt_state,
        num_updates=state.num_updates + 1,
    )
    return new_state, optax.tree.norm(gradient)


def refresh_target(settings: LearningSettings, state: LearnerState) -> LearnerState:
    """θ⁻ ← θ if the refresh is due after this update; with τ < 1, θ⁻ ← θ⁻ + τ (θ - θ⁻).

    Behaviour cloning has no target network: its state stays as it is.

    Source: Mnih et al. (2015), Algorithm 1, https://doi.org/10.1038/nature14236;
    τ < 1: Lillicrap et al. (2016), Algorithm 1, https://arxiv.org/abs/1509.02971
    """
    if settings.algorithm == "bc":
        return state
    assert state.target_params is not None, "PQN has no target network"
    due: Bool[Array, ""] = state.num_updates % settings.target_period_updates == 0
    target = state.params
    if settings.tau < 1:
        target = state.target_params + settings.tau * (state.params - state.target_params)
    return dataclasses.replace(state, target_params=jnp.where(due, target, state.target_params))


def updates(
    settings: LearningSettings,
    network: QNetwork,
    state: LearnerState,
    batches: Transition | Sequences,
    learning_rate: Float[Array, ""] | float,
    noise: UpdateNoise = NO_NOISE,
    weights: Float[Array, "update batch"] | None = None,
) -> tuple[LearnerState, UpdateOutput]:
    """Several updates, one batch each; the target network is refreshed whenever that is due.

    Args:
        settings: target, loss and optimiser.
        network: the definition of both networks.
        state: the learner before the first update.
        batches: fields of shape (update, batch, …).
        learning_rate: step size of all updates.
        noise: random numbers, fields of shape (update, …).
        weights: importance weight of each transition's or sequence's loss; None: all are 1.
    """

    def one(state: LearnerState, given: tuple) -> tuple[LearnerState, UpdateOutput]:
        batch, own_noise, own_weights = given
        state, output = update(
            settings, network, state, batch, learning_rate, own_noise, own_weights
        )
        return refresh_target(settings, state), output

    return jax.lax.scan(one, state, (batches, noise, weights))


def _averaged(
    settings: LearningSettings, state: LearnerState, params: Float[Array, " weight"]
) -> Float[Array, " weight"] | None:
    """The mean of the parameters so far; after `polyak_window_updates` updates, an exponential
    moving average.

    Source: Polyak & Juditsky (1992), https://doi.org/10.1137/0330046; the exponential form is
    the usual one when targets move.
    """
    if settings.polyak_window_updates is None or state.average_params is None:
        return None
    window = jnp.minimum(state.num_updates + 1, settings.polyak_window_updates)
    share = 1 / window.astype(jnp.float32)
    return state.average_params + share * (params - state.average_params)
