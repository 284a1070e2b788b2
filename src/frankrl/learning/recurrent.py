"""From a batch of sequences to its loss, for a network with memory."""

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from frankrl.config import LearningSettings
from frankrl.core.types import Params, Sequences, SequenceSpec, Transition
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
    under_noise,
)
from frankrl.learning.noise import UpdateNoise
from frankrl.networks import Head, QNetwork, perturb


class SequenceTerms(NamedTuple):
    """What an update computes from its sequences, up to the gradient.

    A row is a learned step; the rows of a sequence follow each other, T for each.
    """

    of_rows: UpdateTerms
    """The terms of the rows, as those of transitions; `loss` is the mean over the rows that
    belong, and `gradients` its gradient through time."""
    rows: Transition
    """The rows as transitions, whose observations are the Q-network's memories."""
    belongs: Bool[Array, " row"]
    """False after the end of the sequence's episode."""
    memory: Float[Array, "batch time unit"]
    """The Q-network's memory after each observation."""
    target_memory: Float[Array, "batch time unit"]
    """The target network's, likewise."""


@dataclass(frozen=True)
class _AfterMemory(QNetwork):
    """The hidden layers and the head of a network, for which a memory is the observation."""

    whole: QNetwork
    head: Head

    def _init(self, initializer: Any) -> Params:
        return self.whole._init(initializer)

    def apply(
        self,
        params: Any,
        observation: Float[Any, "batch unit"],
        fractions: Float[Any, "batch fraction"] | None = None,
    ) -> Float[Any, "batch action *atom"]:
        return self.whole.from_features(params, observation, fractions)

    @property
    def is_own_code(self) -> bool:
        return self.whole.is_own_code

    @property
    def repeats(self) -> bool:
        return self.whole.repeats

    @property
    def reads_pictures(self) -> bool:
        return False

    @functools.cached_property
    def num_products(self) -> int:
        return self.whole.num_products


def sequence_terms(
    settings: LearningSettings,
    spec: SequenceSpec,
    network: QNetwork,
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
        spec: decides which steps are burn-in.
        network: the definition of both networks, which have a memory.
        params: θ, without noise.
        target_params: θ⁻, without noise.
        batch: fields of shape (batch, …).
        noise: random numbers of the update; fractions for each row.
        weights: importance weight of each sequence's loss; None: all are 1.

    Source: Kapturowski et al. (2019), section 3. https://openreview.net/forum?id=r1lyTjAqYX
    """
    head = _AfterMemory(network, network.head)
    target_own = target_params
    if noise.target_noise is not None:
        target_own = perturb(target_params, noise.target_noise)
    target_memory = network.remembered(target_own, batch.observation, batch.is_shown, batch.memory)
    by_target = _rows(spec, batch, target_memory)
    outputs = target_outputs(settings, head, target_params, by_target, noise)
    row_weights = _row_weights(batch.belongs, weights)

    def loss_of(
        params: Params,
    ) -> tuple[Float[Array, ""], tuple[Predictions, Bootstrap, Array, Array]]:
        memory = _memory(spec, network, under_noise(params, noise), batch)
        rows = _rows(spec, batch, memory)
        fixed, seen = jax.lax.stop_gradient((params, rows))
        following = bootstrap(settings, head, fixed, seen, outputs, noise)
        targets = batch_targets(head, rows, following)
        loss, found = batch_loss(
            head, params, rows, targets, noise, row_weights, settings.cql_weight
        )
        return loss, (found, following, targets, memory)

    (loss, found), gradients = jax.value_and_grad(loss_of, has_aux=True)(params)
    predictions, following, targets, memory = found
    of_loss = LossTerms(targets, predictions, loss, gradients)
    return SequenceTerms(
        UpdateTerms(outputs, following, of_loss),
        _rows(spec, batch, memory),
        batch.belongs.reshape(-1),
        memory,
        target_memory,
    )


def sequence_cloning_terms(
    spec: SequenceSpec, network: QNetwork, params: Params, batch: Sequences
) -> CloningTerms:
    """As `cloning_terms`, of sequences: logits and losses have a row for each learned step, and the
    loss is the mean over the rows that belong.

    Args:
        spec: decides which steps are burn-in.
        network: the definition of the network, which has a memory.
        params: θ.
        batch: fields of shape (batch, …).
    """
    head, row_weights = _AfterMemory(network, network.head), _row_weights(batch.belongs, None)

    def loss_of(params: Params) -> tuple[Float[Array, ""], tuple[Array, Array]]:
        rows = _rows(spec, batch, _memory(spec, network, params, batch))
        logits, losses = cloning_losses(head, params, rows)
        return jnp.mean(row_weights * losses), (logits, losses)

    (loss, (logits, losses)), gradients = jax.value_and_grad(loss_of, has_aux=True)(params)
    return CloningTerms(logits, losses, loss, gradients)


def sequence_priorities(
    spec: SequenceSpec, errors: Float[Array, " row"], belongs: Bool[Array, " row"]
) -> Float[Array, " batch"]:
    """η · the largest error of each sequence + (1 - η) · the mean of its errors.

    Args:
        spec: gives η and the rows of a sequence.
        errors: error of each row (`Head.priorities`).
        belongs: which rows count.

    Source: Kapturowski et al. (2019), section 2.3. https://openreview.net/forum?id=r1lyTjAqYX
    """
    counted = belongs.reshape(-1, spec.learned_steps)
    errors = errors.reshape(counted.shape)
    largest = jnp.max(errors, axis=-1, where=counted, initial=0.0)
    mean = jnp.mean(errors, axis=-1, where=counted)
    return spec.priority_share * largest + (1 - spec.priority_share) * mean


def _memory(
    spec: SequenceSpec, network: QNetwork, params: Params, batch: Sequences
) -> Float[Array, "batch time unit"]:
    """The memory after each observation; no gradient flows through those of the burn-in."""
    before = spec.burn_in_steps
    if not before:
        return network.remembered(params, batch.observation, batch.is_shown, batch.memory)
    (warm, warm_shown), (rest, shown) = (
        jax.tree.map(lambda leaf: leaf[:, part], (batch.observation, batch.is_shown))  # noqa: B023
        for part in (slice(before), slice(before, None))
    )
    fixed = jax.lax.stop_gradient(params)
    burnt_in = network.remembered(fixed, warm, warm_shown, batch.memory)
    learned = network.remembered(params, rest, shown, burnt_in[:, -1])
    return jnp.concatenate([burnt_in, learned], axis=1)


def _rows(
    spec: SequenceSpec, batch: Sequences, memory: Float[Array, "batch time unit"]
) -> Transition:
    """The learned steps as transitions, with memories for observations."""
    first = spec.burn_in_steps
    learned = slice(first, first + spec.learned_steps)
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
