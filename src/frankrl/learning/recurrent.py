"""From a batch of sequences to its loss, for a network with memory."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from frankrl.config import LearningSettings
from frankrl.core.sequences import Sequences
from frankrl.core.types import Observation, Params, Transition
from frankrl.learning.cloning import CloningTerms, cloning_losses
from frankrl.learning.loss_terms import (
    Bootstrap,
    LossTerms,
    Predictions,
    UpdateTerms,
    batch_loss,
    batch_targets,
    bootstrap,
    target_outputs,
    target_under_noise,
    under_noise,
)
from frankrl.learning.noise import UpdateNoise
from frankrl.networks import RecurrentNetwork


class SequenceTerms(NamedTuple):
    """What an update computes from its sequences, up to the gradient.

    A row is a learned step; the rows of a sequence follow each other, T for each. Those after the
    end of its episode do not belong (`Sequences.belongs`).
    """

    of_rows: UpdateTerms
    """The terms of the rows, as those of transitions; `loss` is the mean over the rows that
    belong, and `gradients` its gradient through time."""
    memory: Float[Array, "batch time unit"]
    """The Q-network's memory after each observation."""
    target_memory: Float[Array, "batch time unit"]
    """The target network's, likewise."""


def sequence_terms(
    settings: LearningSettings,
    network: RecurrentNetwork,
    params: Params,
    target_params: Params,
    batch: Sequences,
    noise: UpdateNoise,
    weights: Float[Array, " batch"] | None,
) -> SequenceTerms:
    """From a batch of sequences to the gradient of its loss.

    Both networks begin with the stored memory and compute their own from there. The gradient
    flows back through the learned steps, not into the burn-in.

    Args:
        settings: target and loss.
        network: the definition of both networks.
        params: θ, without noise.
        target_params: θ⁻, without noise.
        batch: fields of shape (batch, …).
        noise: random numbers of the update; fractions for each row.
        weights: importance weight of each sequence's loss; None: all are 1.

    Source: Kapturowski et al. (2019), section 3. https://openreview.net/forum?id=r1lyTjAqYX
    """
    readout = network.readout
    target_memory = network.remembered(
        target_under_noise(target_params, noise), batch.observation, batch.is_shown, batch.memory
    )
    outputs = target_outputs(settings, readout, target_params, _rows(batch, target_memory), noise)
    row_weights = _row_weights(batch.belongs, weights)

    def loss_of(
        params: Params,
    ) -> tuple[Float[Array, ""], tuple[Predictions, Bootstrap, Array, Array]]:
        memory = _memory(network, under_noise(params, noise), batch)
        rows = _rows(batch, memory)
        fixed, seen = jax.lax.stop_gradient((params, rows))
        following = bootstrap(settings, readout, fixed, seen, outputs, noise)
        targets = batch_targets(readout.head, rows, following)
        loss, found = batch_loss(
            readout, params, rows, targets, noise, row_weights, settings.cql_weight
        )
        return loss, (found, following, targets, memory)

    (loss, found), gradients = jax.value_and_grad(loss_of, has_aux=True)(params)
    predictions, following, targets, memory = found
    of_loss = LossTerms(targets, predictions, loss, gradients)
    return SequenceTerms(UpdateTerms(outputs, following, of_loss), memory, target_memory)


def sequence_cloning_terms(
    network: RecurrentNetwork, params: Params, batch: Sequences
) -> CloningTerms:
    """As `cloning_terms`, of sequences: logits and losses have a row for each learned step, and the
    loss is the mean over the rows that belong.

    Args:
        network: the definition of the network.
        params: θ.
        batch: fields of shape (batch, …).
    """
    row_weights = _row_weights(batch.belongs, None)

    def loss_of(params: Params) -> tuple[Float[Array, ""], tuple[Array, Array]]:
        rows = _rows(batch, _memory(network, params, batch))
        logits, losses = cloning_losses(network.readout, params, rows)
        return jnp.mean(row_weights * losses), (logits, losses)

    (loss, (logits, losses)), gradients = jax.value_and_grad(loss_of, has_aux=True)(params)
    return CloningTerms(logits, losses, loss, gradients)


def sequence_priorities(batch: Sequences, errors: Float[Array, " row"]) -> Float[Array, " batch"]:
    """η · the largest error of each sequence + (1 - η) · the mean of its errors.

    Args:
        batch: the sequences.
        errors: error of each row (`Head.priorities`); those that do not belong do not count.

    Source: Kapturowski et al. (2019), section 2.3. https://openreview.net/forum?id=r1lyTjAqYX
    """
    counted, share = batch.belongs, batch.spec.priority_share
    errors = errors.reshape(counted.shape)
    largest = jnp.max(errors, axis=-1, where=counted, initial=0.0)
    mean = jnp.mean(errors, axis=-1, where=counted)
    return share * largest + (1 - share) * mean


def _memory(
    network: RecurrentNetwork, params: Params, batch: Sequences
) -> Float[Array, "batch time unit"]:
    """The memory after each observation; no gradient flows through those of the burn-in."""
    before = batch.spec.burn_in_steps
    if not before:
        return network.remembered(params, batch.observation, batch.is_shown, batch.memory)
    (warm, warm_shown), (rest, shown) = _part(batch, 0, before), _part(batch, before, None)
    fixed = jax.lax.stop_gradient(params)
    burnt_in = network.remembered(fixed, warm, warm_shown, batch.memory)
    learned = network.remembered(params, rest, shown, burnt_in[:, -1])
    return jnp.concatenate([burnt_in, learned], axis=1)


def _part(
    batch: Sequences, begin: int, end: int | None
) -> tuple[Observation, Bool[Array, "batch time"]]:
    """Some of the observations along the axis of time, and which of them are shown."""
    return jax.tree.map(lambda leaf: leaf[:, begin:end], (batch.observation, batch.is_shown))


def _rows(batch: Sequences, memory: Float[Array, "batch time unit"]) -> Transition:
    """The learned steps as transitions, with memories for observations."""
    first = batch.spec.burn_in_steps
    learned = slice(first, first + batch.spec.learned_steps)
    arrived = batch.arrival[..., None]

    def flat(leaf: Array) -> Array:
        return leaf.reshape(-1, *leaf.shape[2:])

    mask, next_mask = None, None
    if batch.mask is not None:
        mask = flat(batch.mask[:, learned])
        next_mask = flat(jnp.take_along_axis(batch.mask, arrived, axis=1))
    return Transition(
        observation=flat(memory[:, learned]),
        action=flat(batch.action),
        reward=flat(batch.reward),
        next_observation=flat(jnp.take_along_axis(memory, arrived, axis=1)),
        discount=flat(batch.discount),
        mask=mask,
        next_mask=next_mask,
    )


def _row_weights(
    belongs: Bool[Array, "batch step"], weights: Float[Array, " batch"] | None
) -> Float[Array, " row"]:
    """Weight of each row, with which the mean over all rows is that over those that belong."""
    counted = belongs.astype(jnp.float32) * (belongs.size / jnp.sum(belongs, dtype=jnp.float32))
    return (counted if weights is None else counted * weights[:, None]).reshape(-1)
