"""An update in words and numbers, in the order of the notes."""

import numpy as np
from jaxtyping import Float

from frankrl.config import LearningSettings
from frankrl.environments import EnvironmentSpec
from frankrl.explaining.origin import Origin
from frankrl.explaining.record import UpdateRecord

_MOST_COMPONENTS = 12
"""A picture's bytes say nothing one by one."""


def tell(
    record: UpdateRecord,
    origin: Origin,
    quadruple: int,
    spec: EnvironmentSpec,
    settings: LearningSettings,
) -> list[str]:
    """The lines that `frank explain RUN` prints.

    Args:
        record: of the update.
        origin: of the quadruple that is followed.
        quadruple: its place in the batch, from 0.
        spec: the environment's.
        settings: the learner's.
    """
    return [
        *_heading(record, quadruple),
        "",
        *_stored(record, origin, quadruple, spec),
        "",
        *_target(record, quadruple, spec, settings),
        "",
        *_loss(record, quadruple, settings),
        "",
        *_learning(record, quadruple),
        "",
        *_refresh(record, settings),
    ]


def _heading(record: UpdateRecord, quadruple: int) -> list[str]:
    size = len(record.indices)
    return [
        f"Update {record.update:,}, done at env step {record.env_steps:,}: quadruple {quadruple} "
        f"of {size} (row {record.indices[quadruple]:,} of the buffer)",
    ]


def _stored(
    record: UpdateRecord, origin: Origin, quadruple: int, spec: EnvironmentSpec
) -> list[str]:
    batch = record.batch
    action = int(batch.action[quadruple])
    steps = int(batch.num_steps[quadruple])
    how = "a random action" if origin.explored else "the best action at the time"
    ago = record.env_steps - origin.env_step
    reward = f"r = {_number(batch.reward[quadruple])}"
    if steps > 1:
        reward += f", the discounted sum over {steps} steps"
    end = "the world ended there" if batch.terminated[quadruple] else "the world goes on from there"
    return [
        "1. The quadruple (s, a, r, s′)",
        f"   from environment {origin.env_index}, episode {origin.episode}, step {origin.step}: "
        f"{ago:,} env steps ago",
        f"   s  = {_state(batch.observation[quadruple], spec)}",
        f"   a  = {action} ({spec.action_names[action]}), {how} (ε was {origin.epsilon:.3f})",
        f"   {reward}",
        f"   s′ = {_state(batch.next_observation[quadruple], spec)}",
        f"   {end}",
    ]


def _target(
    record: UpdateRecord, quadruple: int, spec: EnvironmentSpec, settings: LearningSettings
) -> list[str]:
    batch = record.batch
    action, best = int(batch.action[quadruple]), int(record.next_actions[quadruple])
    lines = [
        "2. The Q-network looks at s",
        *_q_values(record.q_values[quadruple], spec, action, "taken"),
        f"   Q(s, a) = {_number(record.chosen_q[quadruple])}",
        "",
        "3. The target network looks at s′",
        *_q_values(record.target_q_values[quadruple], spec, best, "counts"),
    ]
    online = record.online_next_q_values
    if online is None:
        lines.append(f"   its highest value: {_number(record.next_values[quadruple])}")
    else:
        lines += [
            f"   Double DQN: the Q-network's own values of s′ pick {spec.action_names[best]}:",
            *_q_values(online[quadruple], spec, best, "picked"),
            f"   which the target network values at {_number(record.next_values[quadruple])}",
        ]
    y, reward = _number(record.targets[quadruple]), _number(batch.reward[quadruple])
    lines += ["", "4. The target, what Q(s, a) should have been"]
    if batch.terminated[quadruple]:
        return [*lines, f"   y = r = {y}: after a termination there is no future"]
    steps = int(batch.num_steps[quadruple])
    power = "" if steps == 1 else f"^{steps}"
    value = _number(record.next_values[quadruple])
    product = f"{settings.gamma:g}{power} × {value}"
    return [*lines, f"   y = r + γ{power} · Q = {reward} + {product} = {y}"]


def _loss(record: UpdateRecord, quadruple: int, settings: LearningSettings) -> list[str]:
    error, loss = _number(record.td_errors[quadruple]), _number(record.losses[quadruple])
    formula = "(y − Q)²"
    if settings.loss == "huber":
        formula = f"Huber loss of y − Q, linear beyond {settings.huber_delta:g},"
    return [
        "5. The loss",
        f"   y − Q(s, a) = {_number(record.targets[quadruple])} − "
        f"{_number(record.chosen_q[quadruple])} = {error}",
        f"   {formula} = {loss}: {record.loss_shares[quadruple]:.1%} of the batch's loss",
        f"   mean over the {len(record.indices)} quadruples of the batch: {_number(record.loss)}",
        "   TD errors of the batch:",
        *_histogram(record.td_errors),
    ]


def _learning(record: UpdateRecord, quadruple: int) -> list[str]:
    width = max(map(len, record.gradient_norms))
    return [
        f"6. Backpropagation through the Q-network, learning rate {record.learning_rate:.3g}",
        f"   {'':{width}}  gradient   change of the weights",
        *(
            f"   {layer:{width}}  {norm:<9.3g}  {record.weight_changes[layer]:.3g}"
            for layer, norm in record.gradient_norms.items()
        ),
        f"   Q(s, a) was {_number(record.chosen_q[quadruple])} and is now "
        f"{_number(record.chosen_q_after[quadruple])}; the target is "
        f"{_number(record.targets[quadruple])}",
    ]


def _refresh(record: UpdateRecord, settings: LearningSettings) -> list[str]:
    since = record.updates_since_refresh
    lines = [
        "7. The target network stays as it is",
        f"   copied {since:,} updates before this one; ‖θ − θ⁻‖ = "
        f"{record.distance_to_target['all']:.4g}",
    ]
    left = settings.target_period_updates - since - 1
    if record.refreshes_target:
        return [*lines, "   after this update θ is copied into it: θ⁻ ← θ"]
    return [*lines, f"   the next copy is {left:,} updates away"]


def _state(state: np.ndarray, spec: EnvironmentSpec) -> str:
    flat, names = np.ravel(state), spec.component_names
    if len(flat) > _MOST_COMPONENTS:
        return f"{len(flat):,} numbers, mean {np.mean(flat):.3g}"
    return ", ".join(f"{name} {_number(value)}" for name, value in zip(names, flat, strict=True))


def _q_values(
    values: Float[np.ndarray, " action"], spec: EnvironmentSpec, marked: int, word: str
) -> list[str]:
    width = max(map(len, spec.action_names))
    return [
        f"   {name:{width}}  {_number(value):>9}" + (f"  ← {word}" if index == marked else "")
        for index, (name, value) in enumerate(zip(spec.action_names, values, strict=True))
    ]


def _histogram(values: np.ndarray, bins: int = 8, width: int = 40) -> list[str]:
    counts, edges = np.histogram(values, bins)
    return [
        f"   {low:>9.3g} … {high:<9.3g} {'█' * round(width * count / counts.max())} {count}"
        for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True)
    ]


def _number(value: float) -> str:
    return f"{value:.4g}"
