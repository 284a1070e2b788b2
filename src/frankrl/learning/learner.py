"""Updates: batches in, a better Q-network out."""

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Integer, PyTree

from frankrl.config import LearningSettings
from frankrl.core.types import QuadrupleBatch
from frankrl.learning.draws import UpdateDraws
from frankrl.learning.judging import (
    TargetSays,
    batch_loss,
    batch_target,
    look_ahead,
    target_says,
    td_errors,
)
from frankrl.learning.returns import mean_of, surprises_of
from frankrl.networks import PackedNetwork, QNetwork, concatenated, pack


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class LearnerState:
    """Everything that learning changes; of JAX's arrays, or of NumPy's on the way to a file."""

    online: PackedNetwork
    """The Q-network, θ."""
    target: PackedNetwork
    """The target network, θ⁻: a frozen copy of an earlier θ, or a slow follower of it."""
    average: Float[Any, " weight"] | None
    """Running mean of θ; none where the settings want none."""
    opt_state: PyTree
    num_updates: Int[Any, ""]

    @property
    def playing(self) -> Float[Any, " weight"]:
        """The weights that play greedily: the averaged ones, or else the newest."""
        return self.online.weights if self.average is None else self.average


_Tables = tuple[Float[Array, "update statistic"], Float[Array, "update batch"] | None]
"""Statistics and, given weights, how wrong the Q-network was, so far."""
_Progress = tuple[Int[Array, ""], LearnerState, _Tables, Float[Array, " batch"]]
"""The next update's number; state, tables and newest TD errors so far."""


NO_DRAWS = UpdateDraws()
_CHUNK_UPDATES = 16
"""Updates for which the target network's values are computed together."""


class UpdateStatistics(NamedTuple):
    """What an update reports of itself, each a scalar.

    The loss counts each quadruple by its weight; all else are plain means over the batch, into
    which prioritised replay draws what the Q-network was wrong about.
    """

    loss: Float[Array, ""]
    mean_q: Float[Array, ""]
    """Mean over the batch of Q(s, a) before the update."""
    mean_max_q: Float[Array, ""]
    """Mean over the batch of max_a Q(s, a) before the update."""
    mean_target: Float[Array, ""]
    mean_abs_td_error: Float[Array, ""]
    gradient_norm: Float[Array, ""]
    """Global L2 norm before clipping."""


class Learned(NamedTuple):
    """What several updates have come to."""

    state: LearnerState
    statistics: Float[Array, "update statistic"]
    """A row of `UpdateStatistics` for each batch, zero for those that were not used."""
    td_errors: Float[Array, " batch"]
    """y - Q(s, a) of each quadruple of the last batch that was used, before its update; zero
    if none was. [reward]"""
    surprises: Float[Array, "update batch"] | None
    """Given weights, how wrong the Q-network was about each quadruple, zero for those of
    batches that were not used."""


def optimiser(settings: LearningSettings) -> optax.GradientTransformation:
    """Clip by the global norm, then the step for a rate of 1; the learner applies the rate."""
    step = optax.identity()
    if settings.optimiser == "adam":
        step = optax.scale_by_adam(eps=settings.adam_epsilon)
    if settings.max_gradient_norm is None:
        return step
    return optax.chain(optax.clip_by_global_norm(settings.max_gradient_norm), step)


def init_learner(settings: LearningSettings, q_network: QNetwork) -> LearnerState:
    """A learner at its beginning; the target network is a copy of the Q-network.

    Args:
        settings: as later given to `update`.
        q_network: randomly initialised, with NumPy or JAX leaves; it is copied.
    """

    def begin(network: QNetwork) -> LearnerState:
        online = pack(network)
        return LearnerState(
            online=online,
            target=online.with_weights(jnp.copy(online.weights)),
            average=None if settings.polyak_window_updates is None else jnp.copy(online.weights),
            opt_state=optimiser(settings).init(online.weights),
            num_updates=jnp.zeros((), jnp.int32),
        )

    return jax.jit(begin)(jax.tree.map(jnp.asarray, q_network))


def learning_rate_at(settings: LearningSettings, env_steps: int) -> float:
    """The step size at an absolute number of env steps."""
    if settings.learning_rate_end is None:
        return settings.learning_rate
    if settings.learning_rate_decay_env_steps is None:
        raise ValueError("the learning rate's decay has no duration: call Settings.resolved first")
    done = min(env_steps / settings.learning_rate_decay_env_steps, 1.0)
    return settings.learning_rate + done * (settings.learning_rate_end - settings.learning_rate)


def updates(
    settings: LearningSettings,
    state: LearnerState,
    batches: QuadrupleBatch,
    num_updates: Integer[Array, ""],
    learning_rate: Float[Array, ""] | float,
    draws: UpdateDraws = NO_DRAWS,
    weights: Float[Array, "update batch"] | None = None,
) -> Learned:
    """Several updates, one batch each, and the target network's refresh whenever it is due.

    Args:
        settings: target, loss and optimiser.
        state: where learning stands.
        batches: fields of shape (update, batch, …).
        num_updates: how many of the batches to learn from, from none to all: one
            compilation serves any number.
        learning_rate: the step size of all of them.
        draws: random numbers, fields of shape (update, …).
        weights: what each quadruple's loss is multiplied by; none: all count alike.

    Source: Mnih et al. (2015), Algorithm 1. https://doi.org/10.1038/nature14236
    """
    num_updates = num_updates.astype(jnp.int32)
    given, period = batches.reward.shape[0], settings.target_period_updates
    # IQN asks for many quantiles of each state: those of several batches only fill the caches.
    chunk = 1 if draws.target_fractions is not None else min(given, period, _CHUNK_UPDATES)
    tables = (
        jnp.zeros((given, len(UpdateStatistics._fields)), jnp.float32),
        None if weights is None else jnp.zeros_like(weights),
    )

    def some(progress: _Progress) -> _Progress:
        """Updates to the next refresh, or to the end of the chunk."""
        number, state, tables, errors = progress
        # The target network stands still meanwhile: it sees all the chunk's states at once.
        first = jnp.minimum(number, given - chunk)
        rows, chances, row_weights = jax.tree.map(
            lambda x: jax.lax.dynamic_slice_in_dim(x, first, chunk), (batches, draws, weights)
        )
        ask = functools.partial(target_says, settings, state.target)
        answers = jax.vmap(ask)(rows, chances)
        left = period - state.num_updates % period
        stop = jnp.minimum(jnp.minimum(number + left, first + chunk), num_updates)
        target = state.target

        def one(number: Array, moving: tuple) -> tuple:
            online, average, opt_state, done, tables, _ = moving
            batch, says, chance, own_weights = jax.tree.map(
                lambda x: jax.lax.dynamic_index_in_dim(x, number - first, keepdims=False),
                (rows, answers, chances, row_weights),
            )
            state = LearnerState(online, target, average, opt_state, done)
            state, statistics, errors, surprises = _learn_from(
                settings, state, batch, says, learning_rate, chance, own_weights
            )
            tables = jax.tree.map(
                lambda table, row: jax.lax.dynamic_update_index_in_dim(table, row, number, 0),
                tables,
                (jnp.stack(statistics), surprises),
            )
            return (
                *(state.online, state.average, state.opt_state, state.num_updates),
                *(tables, errors),
            )

        moving = (state.online, state.average, state.opt_state, state.num_updates, tables, errors)
        moved = jax.lax.fori_loop(number, stop, one, moving)
        online, average, opt_state, done, tables, errors = moved
        due = done % period == 0
        fresh = jnp.where(due, refreshed(settings, target, online), target.weights)
        target = target.with_weights(fresh)
        return stop, LearnerState(online, target, average, opt_state, done), tables, errors

    begin = (jnp.zeros((), jnp.int32), state, tables, jnp.zeros_like(batches.reward[0]))
    end = jax.lax.while_loop(lambda now: now[0] < num_updates, some, begin)
    _, state, (statistics, surprises), errors = end
    return Learned(state, statistics, errors, surprises)


def update(
    settings: LearningSettings,
    state: LearnerState,
    batch: QuadrupleBatch,
    learning_rate: Float[Array, ""] | float,
    draws: UpdateDraws = NO_DRAWS,
) -> tuple[LearnerState, UpdateStatistics]:
    """One gradient step of the Q-network on a batch; the target network stays as it is.

    Args:
        settings: target, loss and optimiser.
        state: where learning stands.
        batch: fields of shape (batch, …).
        learning_rate: the step size.
        draws: random numbers.

    Returns:
        The new state, and what the update reports of itself.
    """
    says = target_says(settings, state.target, batch, draws)
    state, statistics, *_ = _learn_from(settings, state, batch, says, learning_rate, draws, None)
    return state, statistics


def _learn_from(
    settings: LearningSettings,
    state: LearnerState,
    batch: QuadrupleBatch,
    says: TargetSays,
    learning_rate: Float[Array, ""] | float,
    draws: UpdateDraws,
    weights: Float[Array, " batch"] | None,
) -> tuple[LearnerState, UpdateStatistics, Float[Array, " batch"], Float[Array, " batch"] | None]:
    """One gradient step, given what the target network says of the batch.

    Returns:
        The new state, what the update reports of itself, its TD errors and, given weights,
        how wrong the Q-network was about each quadruple.
    """
    q_network = state.online.network()
    ahead = look_ahead(settings, q_network, batch, says, draws)
    target = batch_target(settings, q_network, batch, ahead)
    loss_of = functools.partial(
        batch_loss, settings, batch=batch, target=target, draws=draws, weights=weights
    )
    (loss, judgement), gradients = jax.value_and_grad(loss_of, has_aux=True)(q_network)
    errors = td_errors(q_network, target, judgement.chosen_q)
    gradient = concatenated(gradients)
    step, opt_state = optimiser(settings).update(gradient, state.opt_state)
    moved = state.online.weights - learning_rate * cast(Array, step)
    new_state = LearnerState(
        online=state.online.with_weights(moved),
        target=state.target,
        average=_averaged(settings, state, moved),
        opt_state=opt_state,
        num_updates=state.num_updates + 1,
    )
    statistics = UpdateStatistics(
        loss=loss,
        mean_q=jnp.mean(judgement.chosen_q),
        mean_max_q=jnp.mean(jnp.max(judgement.q_values, axis=-1)),
        mean_target=jnp.mean(mean_of(q_network.head, target)),
        mean_abs_td_error=jnp.mean(jnp.abs(errors)),
        gradient_norm=optax.tree.norm(gradient),
    )
    if weights is None:
        return new_state, statistics, errors, None
    surprises = surprises_of(q_network.head, judgement.losses, errors, target)
    return new_state, statistics, errors, surprises


def refreshed(
    settings: LearningSettings, target: PackedNetwork, online: PackedNetwork
) -> Float[Array, " weight"]:
    """The target network's weights after a refresh: θ⁻ ← θ⁻ + τ (θ - θ⁻), with τ = 1 a copy.

    Source: Mnih et al. (2015), Algorithm 1, https://doi.org/10.1038/nature14236;
    τ < 1: Lillicrap et al. (2016), Algorithm 1, https://arxiv.org/abs/1509.02971
    """
    if settings.tau == 1:
        return online.weights
    return target.weights + settings.tau * (online.weights - target.weights)


def _averaged(
    settings: LearningSettings, state: LearnerState, weights: Float[Array, " weight"]
) -> Float[Array, " weight"] | None:
    """The mean of the weights so far; from `polyak_window_updates` on, one that forgets.

    Source: Polyak & Juditsky (1992), https://doi.org/10.1137/0330046, in the exponential
    form that is usual for moving targets.
    """
    if settings.polyak_window_updates is None or state.average is None:
        return None
    share = 1 / jnp.minimum(state.num_updates + 1, settings.polyak_window_updates).astype(
        jnp.float32
    )
    return state.average + share * (weights - state.average)
