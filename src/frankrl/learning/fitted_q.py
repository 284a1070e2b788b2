"""Fitted Q evaluation: what a fixed policy is worth, learned from transitions of another one."""

from typing import NamedTuple

import jax
from jaxtyping import Array, Float

from frankrl.config import LearningSettings
from frankrl.core.types import Params, Transition
from frankrl.learning.learner import learned, refresh_target
from frankrl.learning.learner_state import LearnerState
from frankrl.learning.loss_terms import batch_loss_terms
from frankrl.learning.noise import NO_NOISE
from frankrl.learning.targets import bootstrap_values
from frankrl.learning.update_output import UpdateOutput
from frankrl.networks import FeedForwardNetwork


class GreedyPolicy(NamedTuple):
    """The policy that is evaluated: the action with the largest output of a network."""

    network: FeedForwardNetwork
    params: Params


def evaluation_updates(
    settings: LearningSettings,
    network: FeedForwardNetwork,
    policy: GreedyPolicy,
    state: LearnerState,
    batches: Transition,
    learning_rate: Float[Array, ""] | float,
) -> tuple[LearnerState, UpdateOutput]:
    """Several updates of a network that learns the policy's Q-values: y = r + γ Q(s′, π(s′); θ⁻).

    It is DQN's update but for the next action, which the policy takes instead of a maximum.

    Args:
        settings: loss and optimiser.
        network: the definition of the network that learns; not the policy's.
        policy: what is evaluated.
        state: the learner before the first update.
        batches: fields of shape (update, batch, …).
        learning_rate: step size of all updates.

    Source: Le et al. (2019), Algorithm 3. https://arxiv.org/abs/1903.08738
    """

    def one(state: LearnerState, batch: Transition) -> tuple[LearnerState, UpdateOutput]:
        assert state.target_params is not None, "the target network holds Q of the step before"
        params, target = map(network.layout.unflatten, (state.params, state.target_params))
        seen, mask = batch.next_observation, batch.next_mask
        taken = policy.network.q_values(policy.params, seen, mask)
        values = bootstrap_values(network.q_values(target, seen, mask), taken)
        targets = network.head.target(batch, values)
        terms = batch_loss_terms(network, params, batch, targets, NO_NOISE, None)
        state, output = learned(settings, network, state, terms, learning_rate)
        return refresh_target(settings, state), output

    return jax.lax.scan(one, state, batches)
