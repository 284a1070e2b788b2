"""Every number of one update."""

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Array, Float, UInt32

from frankrl.config import LearningSettings
from frankrl.core.types import QuadrupleBatch
from frankrl.learning import (
    LearnerState,
    UpdateDraws,
    batch_loss,
    batch_target,
    judge,
    look_ahead,
    mean_of,
    target_says,
    td_errors,
)
from frankrl.networks import CategoricalHead, Head, MaskedQNetwork, PackedNetwork, QNetwork

NO_DRAWS = UpdateDraws()


@dataclass(frozen=True)
class UpdateRecord:
    """One update: the batch, and everything computed from it. All arrays are NumPy arrays.

    Q-values of actions that are not allowed are -∞.
    """

    update: int
    """Number of the update, from 1."""
    env_steps: int
    """Env steps of the run when the update was done."""
    learning_rate: float
    indices: UInt32[np.ndarray, " batch"]
    """Rows of the replay buffer that were sampled."""
    transition_env_steps: UInt32[np.ndarray, " batch"]
    """Env step of the run at which each transition begins, from 0."""
    probabilities: Float[np.ndarray, " batch"] | None
    """Probability that each transition was sampled; None if sampling was uniform."""
    weights: Float[np.ndarray, " batch"] | None
    """Importance weight of each transition's loss; None if all weights are 1."""
    batch: QuadrupleBatch
    q_values: Float[np.ndarray, "batch action"]
    """Q(s, ·; θ) before the update."""
    chosen_q: Float[np.ndarray, " batch"]
    """Q(s, a; θ) before the update."""
    target_q_values: Float[np.ndarray, "batch action"]
    """Q(s′, ·; θ⁻)."""
    online_next_q_values: Float[np.ndarray, "batch action"] | None
    """Q(s′, ·; θ), which picks the next action in Double DQN; None otherwise."""
    next_policy: Float[np.ndarray, "batch action"]
    """Weight of each action in s′: 1 for the greedy action, or Munchausen DQN's softmax."""
    next_values: Float[np.ndarray, " batch"]
    """Value of s′ by the target network; the mean if the head is distributional."""
    munchausen_bonuses: Float[np.ndarray, " batch"] | None
    """What Munchausen DQN adds to r; None otherwise."""
    targets: Float[np.ndarray, " batch"]
    """y; the mean if the head is distributional."""
    chosen_outputs: Float[np.ndarray, "batch atom"] | None
    """Predicted return distribution of (s, a): C51's probabilities, or quantiles.
    None if the head predicts only the mean."""
    target_outputs: Float[np.ndarray, "batch target_atom"] | None
    """Target distribution, in the same form; None likewise."""
    td_errors: Float[np.ndarray, " batch"]
    """y - Q(s, a; θ)."""
    losses: Float[np.ndarray, " batch"]
    """Loss of each transition, without its weight."""
    loss: float
    """Mean of weight × loss over the batch."""
    gradient_norms: dict[str, float]
    """L2 norm of the gradient before clipping, per layer; `all` is the global norm."""
    weight_changes: dict[str, float]
    """L2 norm of the change of θ, per layer and `all`."""
    chosen_q_after: Float[np.ndarray, " batch"]
    """Q(s, a; θ) after the update."""
    updates_since_refresh: int
    """Updates since the target network was last refreshed."""
    distance_to_target: dict[str, float]
    """L2 norm of θ - θ⁻ before the update, per layer and `all`."""
    refreshes_target: bool
    """Whether the target network is refreshed right after this update."""

    @property
    def loss_shares(self) -> Float[np.ndarray, " batch"]:
        """Each transition's share of the batch's loss; the shares sum to 1 unless the loss is 0."""
        losses = self.losses if self.weights is None else self.weights * self.losses
        total = losses.sum()
        return losses / total if total else np.zeros_like(losses)


def record_of(
    settings: LearningSettings,
    before: LearnerState,
    after: LearnerState,
    batch: QuadrupleBatch,
    *,
    env_steps: int,
    learning_rate: float,
    indices: UInt32[np.ndarray, " batch"],
    transition_env_steps: UInt32[np.ndarray, " batch"],
    draws: UpdateDraws = NO_DRAWS,
    weights: Float[Array, " batch"] | None = None,
    probabilities: Float[Array, " batch"] | None = None,
) -> UpdateRecord:
    """Record one update, computed by the functions that training uses.

    Args:
        settings: the learner's settings.
        before: the learner before the update.
        after: the learner after the update.
        batch: the transitions of the update.
        env_steps: env steps of the run when the update was done.
        learning_rate: step size of the optimiser.
        indices: rows of the replay buffer that make the batch.
        transition_env_steps: env step at which each transition begins.
        draws: the update's random numbers.
        weights: importance weights; None means that all are 1.
        probabilities: sampling probabilities; None means uniform sampling.
    """
    q_network = before.online.network()
    head = q_network.head
    next_outputs = target_says(settings, before.target, batch, draws)
    bootstrap = look_ahead(settings, q_network, batch, next_outputs, draws)
    target = batch_target(settings, q_network, batch, bootstrap)

    def loss_of(network: QNetwork) -> tuple:
        return batch_loss(settings, network, batch, target, draws, weights)

    (loss, predictions), gradient = jax.value_and_grad(loss_of, has_aux=True)(q_network)
    predictions_after = judge(settings, after.online.network(), batch, target, draws)
    online_next = bootstrap.online_next_q_values
    period, done = settings.target_period_updates, int(before.num_updates)
    host = jax.tree.map(np.asarray, batch)
    return UpdateRecord(
        update=done + 1,
        env_steps=env_steps,
        learning_rate=learning_rate,
        indices=indices,
        transition_env_steps=transition_env_steps,
        probabilities=None if probabilities is None else np.asarray(probabilities),
        weights=None if weights is None else np.asarray(weights),
        batch=host,
        q_values=np.asarray(predictions.q_values),
        chosen_q=np.asarray(predictions.chosen_q),
        target_q_values=np.asarray(next_outputs.next_q_values),
        online_next_q_values=None if online_next is None else np.asarray(online_next),
        next_policy=_next_policy(settings, next_outputs.next_q_values, online_next),
        next_values=np.asarray(head.q_values(bootstrap.next_values)),
        munchausen_bonuses=None if bootstrap.bonus is None else np.asarray(bootstrap.bonus),
        targets=np.asarray(mean_of(head, target)),
        chosen_outputs=_readable_outputs(head, predictions.chosen),
        target_outputs=None if target.ndim == 1 else np.asarray(target),
        td_errors=np.asarray(td_errors(q_network, target, predictions.chosen_q)),
        losses=np.asarray(predictions.losses),
        loss=float(loss),
        gradient_norms=norms(gradient),
        weight_changes=norms(_difference(after.online, before.online)),
        chosen_q_after=np.asarray(predictions_after.chosen_q),
        updates_since_refresh=done % period,
        distance_to_target=norms(_difference(before.online, before.target)),
        refreshes_target=(done + 1) % period == 0,
    )


def _next_policy(
    settings: LearningSettings, target_q: Float[Array, "batch action"], online_q: Array | None
) -> Float[np.ndarray, "batch action"]:
    if settings.munchausen:
        return np.asarray(jax.nn.softmax(target_q / settings.munchausen_temperature, axis=-1))
    picked = np.argmax(target_q if online_q is None else online_q, axis=-1)
    return np.eye(target_q.shape[1], dtype=np.float32)[picked]


def _readable_outputs(head: Head, chosen: Float[Array, "batch *atom"]) -> np.ndarray | None:
    """The return distribution of each action taken; None if the head predicts only the mean."""
    if chosen.ndim == 1:
        return None
    return np.asarray(head.probabilities(chosen) if isinstance(head, CategoricalHead) else chosen)


def norms(network: QNetwork) -> dict[str, float]:
    """L2 norm of the parameters of each layer, and of all parameters as `all`."""
    squares: dict[str, float] = {}
    network = network.inner if isinstance(network, MaskedQNetwork) else network
    leaves, _ = jax.tree_util.tree_flatten_with_path(network)
    for path, leaf in leaves:
        layer = jax.tree_util.keystr(path[:-1] or path).removeprefix(".")
        squares[layer] = squares.get(layer, 0.0) + float(np.square(leaf, dtype=np.float64).sum())
    squares["all"] = sum(squares.values())
    return {layer: float(np.sqrt(total)) for layer, total in squares.items()}


def _difference(one: PackedNetwork, other: PackedNetwork) -> QNetwork:
    return one.with_weights(one.weights - other.weights).network()
