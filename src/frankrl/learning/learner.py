"""One update: sample in, better Q-network out."""

from typing import Any, NamedTuple, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PyTree

from frankrl.config import LearningSettings
from frankrl.learning.losses import elementwise_loss
from frankrl.learning.targets import bootstrap_values, q_of_actions, td_target
from frankrl.networks import QNetwork
from frankrl.records import QuadrupleBatch


class LearnerState(eqx.Module):
    """Everything that learning changes."""

    online: QNetwork
    """The Q-network, θ."""
    target: QNetwork
    """The target network, θ⁻: a frozen copy of an earlier θ."""
    opt_state: PyTree[Array]
    num_updates: Int[Array, ""]


class UpdateStatistics(NamedTuple):
    """What an update reports of itself, each a scalar."""

    loss: Float[Array, ""]
    mean_q: Float[Array, ""]
    """Mean over the batch of Q(s, a) before the update."""
    mean_max_q: Float[Array, ""]
    """Mean over the batch of max_a Q(s, a) before the update."""
    mean_target: Float[Array, ""]
    mean_abs_td_error: Float[Array, ""]
    gradient_norm: Float[Array, ""]
    """Global L2 norm before clipping."""


def optimiser(settings: LearningSettings) -> optax.GradientTransformation:
    """Clip by the global norm, then Adam with step size 1; the learner applies the rate."""
    adam = optax.scale_by_adam(eps=settings.adam_epsilon)
    if settings.max_gradient_norm is None:
        return adam
    return optax.chain(optax.clip_by_global_norm(settings.max_gradient_norm), adam)


def init_learner(settings: LearningSettings, q_network: QNetwork) -> LearnerState:
    """A learner at its beginning; the target network is a copy of the Q-network.

    Args:
        settings: as later given to `update`.
        q_network: randomly initialised, with NumPy or JAX leaves; it is copied.
    """

    def begin(network: QNetwork) -> LearnerState:
        return LearnerState(
            online=jax.tree.map(jnp.copy, network),
            target=jax.tree.map(jnp.copy, network),
            opt_state=optimiser(settings).init(cast(Any, network)),
            num_updates=jnp.zeros((), jnp.int32),
        )

    return jax.jit(begin)(q_network)


def learning_rate_at(settings: LearningSettings, env_steps: int) -> float:
    """Adam's step size at an absolute number of env steps."""
    if settings.learning_rate_end is None:
        return settings.learning_rate
    if settings.learning_rate_decay_env_steps is None:
        raise ValueError("the learning rate's decay has no duration: call Settings.resolved first")
    done = min(env_steps / settings.learning_rate_decay_env_steps, 1.0)
    return settings.learning_rate + done * (settings.learning_rate_end - settings.learning_rate)


def update(
    settings: LearningSettings,
    state: LearnerState,
    batch: QuadrupleBatch,
    learning_rate: Float[Array, ""] | float,
) -> tuple[LearnerState, UpdateStatistics]:
    """One gradient step of the Q-network on a batch, and the target's copy when it is due.

    Args:
        settings: target, loss and optimiser.
        state: where learning stands.
        batch: fields of shape (batch, …).
        learning_rate: Adam's step size.

    Returns:
        The new state, and what the update reports of itself.

    Source: Mnih et al. (2015), Algorithm 1. https://doi.org/10.1038/nature14236
    """
    next_values = bootstrap_values(
        state.target(batch.next_observation),
        state.online(batch.next_observation) if settings.double else None,
    )
    target = td_target(batch.reward, batch.terminated, batch.num_steps, next_values, settings.gamma)

    def loss_of(online: QNetwork) -> tuple[Array, tuple[Array, Array]]:
        q_values = online(batch.observation)
        chosen = q_of_actions(q_values, batch.action)
        return jnp.mean(elementwise_loss(settings, target - chosen)), (q_values, chosen)

    (loss, (q_values, chosen)), gradient = jax.value_and_grad(loss_of, has_aux=True)(state.online)
    step, opt_state = optimiser(settings).update(gradient, state.opt_state)
    online = jax.tree.map(lambda weight, s: weight - learning_rate * s, state.online, step)
    num_updates = state.num_updates + 1
    new_state = LearnerState(
        online=online,
        target=_refreshed(settings, num_updates, state.target, online),
        opt_state=opt_state,
        num_updates=num_updates,
    )
    return new_state, UpdateStatistics(
        loss=loss,
        mean_q=jnp.mean(chosen),
        mean_max_q=jnp.mean(jnp.max(q_values, axis=-1)),
        mean_target=jnp.mean(target),
        mean_abs_td_error=jnp.mean(jnp.abs(target - chosen)),
        gradient_norm=optax.tree.norm(gradient),
    )


def _refreshed(
    settings: LearningSettings, num_updates: Int[Array, ""], target: QNetwork, online: QNetwork
) -> QNetwork:
    """θ⁻ ← θ after every `target_period_updates` updates, else θ⁻ as it was."""
    due = num_updates % settings.target_period_updates == 0
    return jax.tree.map(lambda frozen, fresh: jnp.where(due, fresh, frozen), target, online)
