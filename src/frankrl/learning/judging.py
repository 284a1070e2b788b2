"""One batch judged: what it should have been, and how bad what it is."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from frankrl.config import LearningSettings
from frankrl.core.types import QuadrupleBatch
from frankrl.learning.draws import UpdateDraws
from frankrl.learning.munchausen import munchausen_bonus, soft_bootstrap
from frankrl.learning.returns import losses_of, mean_of, target_of
from frankrl.learning.targets import bootstrap_values, of_actions
from frankrl.networks import QNetwork


class TargetSays(NamedTuple):
    """What the target network says of a batch."""

    next_outputs: Float[Array, "batch action *atom"]
    """Of s′: what its head gives for each action."""
    next_q_values: Float[Array, "batch action"]
    """Q(s′, ·; θ⁻): their means."""
    q_values: Float[Array, "batch action"] | None
    """Q(s, ·; θ⁻), which Munchausen DQN needs; else none."""


class Judgement(NamedTuple):
    """A batch before the Q-network's eyes."""

    q_values: Float[Array, "batch action"]
    """Q(s, ·; θ)."""
    chosen: Float[Array, "batch *atom"]
    """What the head gives for the actions taken."""
    chosen_q: Float[Array, " batch"]
    """Q(s, a; θ): its mean."""
    losses: Float[Array, " batch"]


def target_says(
    settings: LearningSettings, target: QNetwork, batch: QuadrupleBatch, draws: UpdateDraws
) -> TargetSays:
    """Ask the target network."""
    network = target if draws.target_noise is None else target.perturbed(draws.target_noise)
    outputs = network.outputs(batch.next_observation, draws.target_fractions)
    q_values = network.q_values(outputs, batch.next_observation)
    if draws.target_fractions is not None:
        # The best action is picked by more fractions than the target is made of.
        q_values = network(batch.next_observation)
    own = network(batch.observation) if settings.munchausen else None
    return TargetSays(outputs, q_values, own)


class Lookahead(NamedTuple):
    """What comes of the target network's answers."""

    online_next_q_values: Float[Array, "batch action"] | None
    """Q(s′, ·; θ), which picks the next action with Double DQN; else none."""
    next_values: Float[Array, "batch *atom"]
    """What the target network says of what follows on s′."""
    bonus: Float[Array, " batch"] | None
    """What Munchausen DQN adds to the reward; else none."""


def look_ahead(
    settings: LearningSettings,
    q_network: QNetwork,
    batch: QuadrupleBatch,
    says: TargetSays,
    draws: UpdateDraws,
) -> Lookahead:
    """What follows on s′, by the target network's answers."""
    if says.q_values is not None:
        next_values = soft_bootstrap(settings, says.next_q_values, says.next_outputs)
        return Lookahead(None, next_values, munchausen_bonus(settings, says.q_values, batch.action))
    online = None
    if settings.double:
        online = under_noise(q_network, draws)(batch.next_observation)
    next_values = bootstrap_values(says.next_q_values, online, says.next_outputs)
    return Lookahead(online, next_values, None)


def batch_target(
    settings: LearningSettings, q_network: QNetwork, batch: QuadrupleBatch, ahead: Lookahead
) -> Float[Array, "batch *atom"]:
    """y for each quadruple."""
    if ahead.bonus is not None:
        batch = batch._replace(reward=batch.reward + ahead.bonus)
    return target_of(q_network.head, settings, batch, ahead.next_values)


def judge(
    settings: LearningSettings,
    q_network: QNetwork,
    batch: QuadrupleBatch,
    target: Float[Array, "batch *atom"],
    draws: UpdateDraws,
) -> Judgement:
    """What the Q-network says of a batch, and how bad that is.

    Args:
        settings: which loss.
        q_network: under no noise yet.
        batch: fields of shape (batch, …).
        target: of `batch_target`.
        draws: noise and fractions.
    """
    network = under_noise(q_network, draws)
    outputs = network.outputs(batch.observation, draws.fractions)
    q_values = network.q_values(outputs, batch.observation)
    chosen = of_actions(outputs, batch.action)
    losses = losses_of(network.head, settings, chosen, target, draws.fractions)
    return Judgement(q_values, chosen, of_actions(q_values, batch.action), losses)


def td_errors(
    q_network: QNetwork, target: Float[Array, "batch *atom"], chosen_q: Float[Array, " batch"]
) -> Float[Array, " batch"]:
    """y - Q(s, a), of distributions the difference of their means."""
    return mean_of(q_network.head, target) - chosen_q


def under_noise(q_network: QNetwork, draws: UpdateDraws) -> QNetwork:
    """The Q-network as an update sees it."""
    if draws.online_noise is None:
        return q_network
    return q_network.perturbed(draws.online_noise)


def batch_loss(
    settings: LearningSettings,
    q_network: QNetwork,
    batch: QuadrupleBatch,
    target: Float[Array, "batch *atom"],
    draws: UpdateDraws,
    weights: Float[Array, " batch"] | None = None,
) -> tuple[Float[Array, ""], Judgement]:
    """The mean loss of a batch, and what it is made of.

    Args:
        settings: which loss.
        q_network: under no noise yet.
        batch: fields of shape (batch, …).
        target: of `batch_target`.
        draws: noise and fractions.
        weights: what each quadruple's loss is multiplied by; none: all count alike.
    """
    judgement = judge(settings, q_network, batch, target, draws)
    losses = judgement.losses if weights is None else weights * judgement.losses
    return jnp.mean(losses), judgement
