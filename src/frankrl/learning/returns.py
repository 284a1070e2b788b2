"""Targets and losses for each thing that a network's output can say of the return.

What each function does depends on the head; a new kind of head brings its own.
"""

import functools

import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy
from jaxtyping import Array, Float

from frankrl.config import LearningSettings
from frankrl.core.types import QuadrupleBatch
from frankrl.learning.losses import elementwise_loss, quantile_huber
from frankrl.learning.targets import td_target
from frankrl.networks import CategoricalHead, ExpectedHead, Head, ImplicitHead, QuantileHead


@functools.singledispatch
def target_of(
    head: Head,
    settings: LearningSettings,
    batch: QuadrupleBatch,
    next_values: Float[Array, "batch *atom"],
) -> Float[Array, "batch *atom"]:
    """What the network should have said of the actions taken.

    Args:
        head: of the network.
        settings: γ.
        batch: rewards, ends and numbers of steps.
        next_values: what the target network says of the next action; of its mean, its
            quantiles, or the logits of its distribution.

    Returns:
        y for each quadruple: a number, quantiles, or probabilities. No gradient flows
        through it.
    """
    raise NotImplementedError(type(head))


@functools.singledispatch
def losses_of(
    head: Head,
    settings: LearningSettings,
    chosen: Float[Array, "batch *atom"],
    target: Float[Array, "batch *atom"],
    fractions: Float[Array, "batch fraction"] | None,
) -> Float[Array, " batch"]:
    """How bad what the network says of the actions taken is, for each quadruple.

    Args:
        head: of the network.
        settings: which loss of a TD error, and Huber's δ.
        chosen: what the network says of them.
        target: of `target_of`.
        fractions: those that IQN was asked for.
    """
    raise NotImplementedError(type(head))


@functools.singledispatch
def mean_of(head: Head, target: Float[Array, "batch *atom"]) -> Float[Array, " batch"]:
    """The mean of a target, which Q(s, a) is compared with."""
    raise NotImplementedError(type(head))


@functools.singledispatch
def surprises_of(
    head: Head,
    losses: Float[Array, " batch"],
    td_errors: Float[Array, " batch"],
    target: Float[Array, "batch *atom"],
) -> Float[Array, " batch"]:
    """How wrong the network was about each quadruple, which its priority is made of.

    |TD error| of an expected return. Of a categorical one the KL divergence, which is 0 where
    it is right. Of quantiles their loss, which stays above 0 where a return is random, however
    well it is known.

    Args:
        head: of the network.
        losses: of `losses_of`.
        td_errors: y - Q(s, a), of the means.
        target: of `target_of`.
    """
    raise NotImplementedError(type(head))


@surprises_of.register(QuantileHead)
@surprises_of.register(ImplicitHead)
def _(
    head: Head,
    losses: Float[Array, " batch"],
    td_errors: Float[Array, " batch"],
    target: Float[Array, "batch quantile"],
) -> Float[Array, " batch"]:
    return losses


@target_of.register(ExpectedHead)
@target_of.register(QuantileHead)
@target_of.register(ImplicitHead)
def _(
    head: Head,
    settings: LearningSettings,
    batch: QuadrupleBatch,
    next_values: Float[Array, "batch *atom"],
) -> Float[Array, "batch *atom"]:
    return td_target(batch.reward, batch.terminated, batch.num_steps, next_values, settings.gamma)


@losses_of.register(ExpectedHead)
def _(
    head: Head,
    settings: LearningSettings,
    chosen: Float[Array, " batch"],
    target: Float[Array, " batch"],
    fractions: None,
) -> Float[Array, " batch"]:
    return elementwise_loss(settings, target - chosen)


@mean_of.register(ExpectedHead)
def _(head: Head, target: Float[Array, " batch"]) -> Float[Array, " batch"]:
    return target


@surprises_of.register(ExpectedHead)
def _(
    head: Head,
    losses: Float[Array, " batch"],
    td_errors: Float[Array, " batch"],
    target: Float[Array, " batch"],
) -> Float[Array, " batch"]:
    return jnp.abs(td_errors)


@target_of.register(CategoricalHead)
def _(
    head: CategoricalHead,
    settings: LearningSettings,
    batch: QuadrupleBatch,
    next_values: Float[Array, "batch atom"],
) -> Float[Array, "batch atom"]:
    shape = (batch.reward.shape[0], head.num_atoms)
    support = jnp.broadcast_to(head.support(), shape)
    moved = td_target(batch.reward, batch.terminated, batch.num_steps, support, settings.gamma)
    return jax.lax.stop_gradient(projected(head, moved, head.probabilities(next_values)))


@losses_of.register(CategoricalHead)
def _(
    head: CategoricalHead,
    settings: LearningSettings,
    chosen: Float[Array, "batch atom"],
    target: Float[Array, "batch atom"],
    fractions: None,
) -> Float[Array, " batch"]:
    return -jnp.sum(target * jax.nn.log_softmax(chosen, axis=-1), axis=-1)


@mean_of.register(CategoricalHead)
def _(head: CategoricalHead, target: Float[Array, "batch atom"]) -> Float[Array, " batch"]:
    return jnp.sum(target * head.support(), axis=-1)


@surprises_of.register(CategoricalHead)
def _(
    head: CategoricalHead,
    losses: Float[Array, " batch"],
    td_errors: Float[Array, " batch"],
    target: Float[Array, "batch atom"],
) -> Float[Array, " batch"]:
    # The Kullback-Leibler divergence: the cross-entropy, less what no network could avoid.
    return jnp.maximum(losses + jnp.sum(xlogy(target, target), axis=-1), 0.0)


def projected(
    head: CategoricalHead,
    returns: Float[Array, "batch outcome"],
    probabilities: Float[Array, "batch outcome"],
) -> Float[Array, "batch atom"]:
    """A distribution over any returns, brought to the head's fixed ones.

    Each return's probability is shared by the two fixed ones beside it, the nearer one
    having more; what lies beyond the ends goes to the end.

    Source: Bellemare, Dabney & Munos (2017), eq. 7. https://arxiv.org/abs/1707.06887
    """
    support = jnp.asarray(head.support())
    spacing = (head.high - head.low) / (head.num_atoms - 1)
    clipped = jnp.clip(returns, head.low, head.high)
    distance = jnp.abs(clipped[:, None, :] - support[:, None]) / spacing
    return jnp.sum(jnp.clip(1 - distance, 0, 1) * probabilities[:, None, :], axis=-1)


@losses_of.register(QuantileHead)
def _(
    head: QuantileHead,
    settings: LearningSettings,
    chosen: Float[Array, "batch quantile"],
    target: Float[Array, "batch target_quantile"],
    fractions: None,
) -> Float[Array, " batch"]:
    own = jnp.broadcast_to(head.fractions(), chosen.shape)
    return quantile_huber(chosen, own, target, settings.huber_delta)


@losses_of.register(ImplicitHead)
def _(
    head: ImplicitHead,
    settings: LearningSettings,
    chosen: Float[Array, "batch fraction"],
    target: Float[Array, "batch target_fraction"],
    fractions: Float[Array, "batch fraction"],
) -> Float[Array, " batch"]:
    return quantile_huber(chosen, fractions, target, settings.huber_delta)


@mean_of.register(QuantileHead)
@mean_of.register(ImplicitHead)
def _(head: Head, target: Float[Array, "batch quantile"]) -> Float[Array, " batch"]:
    return jnp.mean(target, axis=-1)
