"""Every number of one update."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt32

from frankrl.config import LearningSettings
from frankrl.learning import (
    LearnerState,
    batch_loss,
    batch_target,
    bootstrap_values,
    elementwise_loss,
    q_of_actions,
)
from frankrl.networks import PackedNetwork, QNetwork
from frankrl.records import QuadrupleBatch


@dataclass(frozen=True)
class UpdateRecord:
    """One update: a batch goes in, the Q-network moves. All arrays are NumPy's."""

    update: int
    """Its number, from 1."""
    env_steps: int
    """Transitions collected in the whole run when it was done."""
    learning_rate: float
    indices: UInt32[np.ndarray, " batch"]
    """Rows of the buffer that were drawn."""
    begun: UInt32[np.ndarray, " batch"]
    """Env step of the run that each quadruple begins with, from 0."""
    probabilities: Float[np.ndarray, " batch"] | None
    """How likely each was to be drawn; none where all were alike."""
    weights: Float[np.ndarray, " batch"] | None
    """What its loss was multiplied by; none where all counted alike."""
    batch: QuadrupleBatch
    q_values: Float[np.ndarray, "batch action"]
    """Q(s, ·; θ) before the update."""
    chosen_q: Float[np.ndarray, " batch"]
    """Q(s, a; θ) before the update."""
    target_q_values: Float[np.ndarray, "batch action"]
    """Q(s′, ·; θ⁻)."""
    online_next_q_values: Float[np.ndarray, "batch action"] | None
    """Q(s′, ·; θ), which picks the next action with Double DQN; else none."""
    next_actions: Int[np.ndarray, " batch"]
    """The action of s′ whose value counts."""
    next_values: Float[np.ndarray, " batch"]
    """Its value by the target network."""
    targets: Float[np.ndarray, " batch"]
    """y."""
    td_errors: Float[np.ndarray, " batch"]
    """y - Q(s, a; θ)."""
    losses: Float[np.ndarray, " batch"]
    """Before they are weighted."""
    loss: float
    """Their mean, each multiplied by its weight."""
    gradient_norms: dict[str, float]
    """L2 norm of the loss's gradient, by layer, before it is clipped; and of all, as `all`."""
    weight_changes: dict[str, float]
    """L2 norm of the change of θ, likewise."""
    chosen_q_after: Float[np.ndarray, " batch"]
    """Q(s, a; θ) after the update."""
    updates_since_refresh: int
    """Updates between the target network's last copy and this one."""
    distance_to_target: dict[str, float]
    """L2 norm of θ - θ⁻ before the update, likewise."""
    refreshes_target: bool
    """Whether the target network is copied right after it."""

    @property
    def loss_shares(self) -> Float[np.ndarray, " batch"]:
        """Each quadruple's part of the batch's loss; they sum to 1 unless the loss is 0."""
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
    begun: UInt32[np.ndarray, " batch"],
    weights: Float[Array, " batch"] | None = None,
    probabilities: Float[Array, " batch"] | None = None,
) -> UpdateRecord:
    """Open one update, by the functions that learning itself uses.

    Args:
        settings: the learner's.
        before: where learning stood.
        after: where it stood one update later.
        batch: what it learned from.
        env_steps: transitions collected when it was done.
        learning_rate: the step size.
        indices: rows of the buffer that make the batch.
        begun: env steps that its quadruples begin with.
        weights: what the loss of each is multiplied by; none: all count alike.
        probabilities: how likely each was to be drawn; none: all were alike.
    """
    q_network = before.online.network()
    target_q_values = before.target(batch.next_observation)
    online_next = q_network(batch.next_observation) if settings.double else None
    targets = batch_target(settings, q_network, batch, target_q_values)

    def loss_of(network: QNetwork) -> tuple:
        return batch_loss(settings, network, batch, targets, weights)

    (loss, (q_values, chosen)), gradient = jax.value_and_grad(loss_of, has_aux=True)(q_network)
    picks = target_q_values if online_next is None else online_next
    losses = elementwise_loss(settings, targets - chosen)
    period, done = settings.target_period_updates, int(before.num_updates)
    host = jax.tree.map(np.asarray, batch)
    return UpdateRecord(
        update=done + 1,
        env_steps=env_steps,
        learning_rate=learning_rate,
        indices=indices,
        begun=begun,
        probabilities=None if probabilities is None else np.asarray(probabilities),
        weights=None if weights is None else np.asarray(weights),
        batch=host,
        q_values=np.asarray(q_values),
        chosen_q=np.asarray(chosen),
        target_q_values=np.asarray(target_q_values),
        online_next_q_values=None if online_next is None else np.asarray(online_next),
        next_actions=np.asarray(jnp.argmax(picks, axis=-1)),
        next_values=np.asarray(bootstrap_values(target_q_values, online_next)),
        targets=np.asarray(targets),
        td_errors=np.asarray(targets - chosen),
        losses=np.asarray(losses),
        loss=float(loss),
        gradient_norms=norms(gradient),
        weight_changes=norms(_difference(after.online, before.online)),
        chosen_q_after=np.asarray(q_of_actions(after.online(batch.observation), batch.action)),
        updates_since_refresh=done % period,
        distance_to_target=norms(_difference(before.online, before.target)),
        refreshes_target=(done + 1) % period == 0,
    )


def norms(network: QNetwork) -> dict[str, float]:
    """L2 norm of what lies in each layer, and of everything, as `all`."""
    squares: dict[str, float] = {}
    leaves, _ = jax.tree_util.tree_flatten_with_path(network)
    for path, leaf in leaves:
        layer = jax.tree_util.keystr(path[:-1]).removeprefix(".")
        squares[layer] = squares.get(layer, 0.0) + float(np.square(leaf, dtype=np.float64).sum())
    squares["all"] = sum(squares.values())
    return {layer: float(np.sqrt(total)) for layer, total in squares.items()}


def _difference(one: PackedNetwork, other: PackedNetwork) -> QNetwork:
    return one.with_weights(one.weights - other.weights).network()
