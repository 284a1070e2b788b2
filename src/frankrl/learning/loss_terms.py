"""From a batch to its loss: outputs of both networks, targets, losses."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from frankrl.config import LearningSettings
from frankrl.core.types import Minibatch, Params, Transition
from frankrl.learning.cross_entropy import cross_entropy
from frankrl.learning.munchausen import munchausen_bonus, soft_bootstrap
from frankrl.learning.noise import UpdateNoise
from frankrl.learning.targets import bootstrap_values, of_actions
from frankrl.networks import Head, QFunction, masked, perturb


class TargetOutputs(NamedTuple):
    """Outputs of the target network for a batch."""

    next_outputs: Float[Array, "batch action *atom"]
    """Outputs for s′."""
    next_q_values: Float[Array, "batch action"]
    """Q(s′, ·; θ⁻): the expected returns that the outputs describe."""
    q_values: Float[Array, "batch action"] | None
    """Q(s, ·; θ⁻) with Munchausen DQN, else None."""


class Bootstrap(NamedTuple):
    """The value of s′, for the target."""

    online_next_q_values: Float[Array, "batch action"] | None
    """Q(s′, ·; θ), which picks the next action in Double DQN; else None."""
    next_values: Float[Array, "batch *atom"]
    """The target network's value of s′, or its distribution."""
    bonus: Float[Array, " batch"] | None
    """What Munchausen DQN adds to the reward; else None."""


class Predictions(NamedTuple):
    """Outputs of the Q-network for a batch, and the loss of each transition."""

    q_values: Float[Array, "batch action"]
    """Q(s, ·; θ)."""
    chosen: Float[Array, "batch *atom"]
    """Outputs for the actions taken."""
    chosen_q: Float[Array, " batch"]
    """Q(s, a; θ)."""
    losses: Float[Array, " batch"]
    """Loss of each transition's target, without its weight."""
    conservative: Float[Array, " batch"] | None = None
    """What CQL adds to each loss, `cql_weight` times the cross-entropy; None without CQL."""

    @property
    def whole_losses(self) -> Float[Array, " batch"]:
        """Loss of each transition with all its terms, without its weight."""
        return self.losses if self.conservative is None else self.losses + self.conservative


class LossTerms(NamedTuple):
    """What an update computes from its targets, up to the gradient."""

    targets: Float[Array, "batch *atom"]
    """y of each transition."""
    predictions: Predictions
    loss: Float[Array, ""]
    """Mean of weight × loss over the batch."""
    gradients: Params
    """Gradient of the loss by θ, not clipped."""


class UpdateTerms(NamedTuple):
    """What an update computes from its batch, up to the gradient."""

    outputs: TargetOutputs
    bootstrap: Bootstrap
    of_loss: LossTerms


def update_terms(
    settings: LearningSettings,
    network: QFunction,
    params: Params,
    target_params: Params,
    batch: Transition,
    noise: UpdateNoise,
    weights: Float[Array, " batch"] | None,
) -> UpdateTerms:
    """From a batch to the gradient of its loss.

    Args:
        settings: target and loss.
        network: the definition of both networks.
        params: θ, without noise.
        target_params: θ⁻, without noise.
        batch: fields of shape (batch, …).
        noise: random numbers of the update.
        weights: importance weight of each transition's loss; None: all are 1.
    """
    outputs = target_outputs(settings, network, target_params, batch, noise)
    following = bootstrap(settings, network, params, batch, outputs, noise)
    targets = batch_targets(network.head, batch, following)
    found = batch_loss_terms(network, params, batch, targets, noise, weights, settings.cql_weight)
    return UpdateTerms(outputs, following, found)


def batch_loss_terms(
    network: QFunction,
    params: Params,
    batch: Transition | Minibatch,
    targets: Float[Array, "batch *atom"],
    noise: UpdateNoise,
    weights: Float[Array, " batch"] | None,
    cql_weight: float = 0.0,
) -> LossTerms:
    """From a batch's targets to the gradient of its loss; arguments as of `batch_loss`."""

    def loss_of(params: Params) -> tuple[Float[Array, ""], Predictions]:
        return batch_loss(network, params, batch, targets, noise, weights, cql_weight)

    (loss, found), gradients = jax.value_and_grad(loss_of, has_aux=True)(params)
    return LossTerms(targets, found, loss, gradients)


def target_outputs(
    settings: LearningSettings,
    network: QFunction,
    target_params: Params,
    batch: Transition,
    noise: UpdateNoise,
) -> TargetOutputs:
    """Outputs of the target network for a batch."""
    params = target_under_noise(target_params, noise)
    outputs = network.apply(params, batch.next_observation, noise.target_fractions)
    q_values = masked(network.head.q_values(outputs), batch.next_mask)
    if noise.target_fractions is not None:
        # The greedy action is picked by more fractions than the target has.
        q_values = network.q_values(params, batch.next_observation, batch.next_mask)
    own = None
    if settings.munchausen:
        own = network.q_values(params, batch.observation, batch.mask)
    return TargetOutputs(outputs, q_values, own)


def bootstrap(
    settings: LearningSettings,
    network: QFunction,
    params: Params,
    batch: Transition,
    outputs: TargetOutputs,
    noise: UpdateNoise,
) -> Bootstrap:
    """The value of s′, from the target network's outputs."""
    if outputs.q_values is not None:
        next_values = soft_bootstrap(settings, outputs.next_q_values, outputs.next_outputs)
        bonus = munchausen_bonus(settings, outputs.q_values, batch.action)
        return Bootstrap(None, next_values, bonus)
    online = None
    if settings.double:
        own = under_noise(params, noise)
        online = network.q_values(own, batch.next_observation, batch.next_mask)
    next_values = bootstrap_values(outputs.next_q_values, online, outputs.next_outputs)
    return Bootstrap(online, next_values, None)


def batch_targets(
    head: Head, batch: Transition, following: Bootstrap
) -> Float[Array, "batch *atom"]:
    """The target y of each transition."""
    if following.bonus is not None:
        batch = batch._replace(reward=batch.reward + following.bonus)
    return head.target(batch, following.next_values)


def predictions(
    network: QFunction,
    params: Params,
    batch: Transition | Minibatch,
    targets: Float[Array, "batch *atom"],
    noise: UpdateNoise,
    cql_weight: float = 0.0,
) -> Predictions:
    """Outputs of the Q-network for a batch, and the loss of each transition."""
    outputs = network.apply(under_noise(params, noise), batch.observation, noise.fractions)
    q_values = masked(network.head.q_values(outputs), batch.mask)
    chosen = of_actions(outputs, batch.action)
    losses = network.head.losses(chosen, targets, noise.fractions)
    extra = cql_weight * cross_entropy(q_values, batch.action) if cql_weight else None
    return Predictions(q_values, chosen, of_actions(q_values, batch.action), losses, extra)


def batch_loss(
    network: QFunction,
    params: Params,
    batch: Transition | Minibatch,
    targets: Float[Array, "batch *atom"],
    noise: UpdateNoise,
    weights: Float[Array, " batch"] | None = None,
    cql_weight: float = 0.0,
) -> tuple[Float[Array, ""], Predictions]:
    """The mean loss of a batch, and the predictions behind it.

    Args:
        network: the definition of the Q-network.
        params: θ, without noise.
        batch: fields of shape (batch, …).
        targets: what each Q(s, a) should have been: the result of `batch_targets`, or λ-returns.
        noise: random numbers of the update.
        weights: importance weight of each transition's loss; None: all are 1.
        cql_weight: α of CQL's conservative term, `cross_entropy`; 0: there is none.
    """
    found = predictions(network, params, batch, targets, noise, cql_weight)
    losses = found.whole_losses if weights is None else weights * found.whole_losses
    return jnp.mean(losses), found


def td_errors(
    head: Head, targets: Float[Array, "batch *atom"], chosen_q: Float[Array, " batch"]
) -> Float[Array, " batch"]:
    """y - Q(s, a); with a distributional head, the difference of the means."""
    return head.target_mean(targets) - chosen_q


def under_noise(params: Params, noise: UpdateNoise) -> Params:
    """The Q-network's parameters with the noise of an update."""
    return params if noise.online_noise is None else perturb(params, noise.online_noise)


def target_under_noise(target_params: Params, noise: UpdateNoise) -> Params:
    """The target network's parameters with the noise of an update."""
    return (
        target_params if noise.target_noise is None else perturb(target_params, noise.target_noise)
    )
