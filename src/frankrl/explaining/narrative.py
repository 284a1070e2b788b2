"""An update as a document, in the order of the notes."""

from collections.abc import Sequence

import numpy as np
from gymnasium import spaces
from jaxtyping import Bool, Float, Shaped

from frankrl.config import LearningSettings, Settings
from frankrl.environments import EnvironmentSpec
from frankrl.environments.masks import split
from frankrl.explaining.document import (
    Block,
    Cell,
    Document,
    Formula,
    Histogram,
    Line,
    NamedValues,
    Section,
    Table,
    Vectors,
)
from frankrl.explaining.origin import Origin
from frankrl.explaining.record import UpdateRecord
from frankrl.explaining.spread import spread_table

_MAX_COMPONENTS = 12
"""A longer observation, such as an image, is summarised."""
_BINS = 8
_LABELS = ("s", "s′")
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def narrate(
    record: UpdateRecord,
    origins: Sequence[Origin],
    index: int,
    spec: EnvironmentSpec,
    settings: Settings,
    about: str,
) -> Document:
    """The document of `frank explain RUN --update N`.

    Args:
        record: the update.
        origins: where each transition of the batch came from.
        index: position in the batch of the transition to follow, from 0.
        spec: the environment.
        settings: the run's settings.
        about: one line that says which run it is.
    """
    network_name = "Q-table" if settings.network.q_function == "table" else "Q-network"
    return Document(
        title=f"Update {record.update:,}, done at env step {record.env_steps:,}",
        about=about,
        sections=(
            _stored(record, origins[index], index, spec),
            _present(record, index, spec, settings, network_name),
            _future(record, index, spec, settings, network_name),
            _target(record, index, settings),
            _loss(record, index, settings),
            _learning(record, index, settings.learning, network_name),
            _refresh(record, settings.learning, network_name),
            _batch(record, origins, index, spec),
        ),
    )


def _stored(record: UpdateRecord, origin: Origin, index: int, spec: EnvironmentSpec) -> Section:
    batch = record.batch
    action, steps = batch.action[index].item(), batch.num_steps[index].item()
    how = "a random action" if origin.explored else "the greedy action at the time"
    chosen = f" ({spec.action_names[action]}), {how} (ε was "
    stored = np.stack([batch.observation[index], batch.next_observation[index]])
    over = f", the discounted sum over {steps} steps" if steps > 1 else ""
    ago = record.env_steps - origin.env_step
    end = "s′ is terminal" if batch.terminated[index] else "s′ is not terminal"
    return Section(
        "1. The transition (s, a, r, s′)",
        (
            Line(
                f"transition {index} of {len(record.indices)}, "
                f"row {record.indices[index]:,} of the buffer"
            ),
            Line(
                f"from environment {origin.env_index}, episode {origin.episode:,}, "
                f"step {origin.step:,}: env step {origin.env_step:,} of the run, "
                f"{ago:,} env step{'s' * (ago != 1)} ago"
            ),
            *_drawn(record, index),
            *_states(stored, spec),
            Formula(("a = ", action, chosen, origin.epsilon, ")")),
            Formula(("r = ", batch.reward[index].item(), over)),
            Line(end),
        ),
    )


def _drawn(record: UpdateRecord, index: int) -> list[Block]:
    """Sampling probability and weight; nothing if sampling was uniform."""
    columns = _sampling_columns(record)
    if not columns:
        return []
    probability, weight = (column[index].item() for column in columns.values())
    return [
        Formula(("sampled by its priority, with probability ", probability)),
        Formula(("importance weight, which multiplies its loss: ", weight)),
    ]


def _sampling_columns(record: UpdateRecord) -> dict[str, Float[np.ndarray, " batch"]]:
    """Sampling probability and weight of each transition; empty if sampling was uniform."""
    columns = {"probability": record.probabilities, "weight": record.weights}
    return {name: column for name, column in columns.items() if column is not None}


def _states(stored: Shaped[np.ndarray, "2 *obs"], spec: EnvironmentSpec) -> list[Block]:
    """s and s′, and the actions that are not allowed in them."""
    if not spec.mask_size:
        return _numbers(stored, spec)
    states, allowed = split(stored, spec.state_shape)
    rows = zip(_LABELS, allowed, strict=True)
    return _numbers(states, spec) + [_forbidden(label, row, spec) for label, row in rows]


def _forbidden(label: str, allowed: Bool[np.ndarray, " action"], spec: EnvironmentSpec) -> Block:
    actions = np.flatnonzero(~allowed)
    names = ", ".join(spec.action_names[action] for action in actions) or "nothing"
    if len(actions) > _MAX_COMPONENTS:
        names = f"{len(actions):,} of {len(allowed):,} actions"
    return Line(f"not allowed in {label}: {names}")


def _numbers(states: Shaped[np.ndarray, "2 *state"], spec: EnvironmentSpec) -> list[Block]:
    if isinstance(spec.state_space, spaces.Discrete):
        numbers = int(spec.state_space.start) + np.argmax(states, axis=-1)
        numbered = zip(_LABELS, numbers.tolist(), strict=True)
        return [Formula((f"{label} = ", number)) for label, number in numbered]
    flat = [(label, np.ravel(state)) for label, state in zip(_LABELS, states, strict=True)]
    if len(spec.component_names) > _MAX_COMPONENTS:
        return [
            Formula((f"{label} = ", len(state), " numbers, mean ", float(np.mean(state))))
            for label, state in flat
        ]
    rows = tuple((label, _plain(state)) for label, state in flat)
    return [Vectors(spec.component_names, rows)]


def _present(
    record: UpdateRecord, index: int, spec: EnvironmentSpec, settings: Settings, network_name: str
) -> Section:
    values, action = record.q_values[index], record.batch.action[index].item()
    return Section(
        f"2. The {network_name} evaluates s",
        (
            *_noise(settings),
            NamedValues("Q(s, ·; θ)", spec.action_names, _plain(values), action, "taken"),
            Formula(("Q(s, a) = ", record.chosen_q[index].item())),
        ),
    )


def _noise(settings: Settings) -> tuple[Line, ...]:
    if not settings.exploration.noisy:
        return ()
    return (Line("with this update's own sample of the noise in its weights"),)


def _by_fractions(settings: Settings) -> str:
    """IQN averages quantiles for a Q-value; the update and the table above use other fractions."""
    if settings.network.distribution != "iqn":
        return ""
    return f", averaged over {settings.learning.iqn_samples} fractions sampled for the update"


def _future(
    record: UpdateRecord, index: int, spec: EnvironmentSpec, settings: Settings, network_name: str
) -> Section:
    names, policy = spec.action_names, record.next_policy[index]
    best = int(np.argmax(policy))
    values, value = record.target_q_values[index], record.next_values[index].item()
    online = record.online_next_q_values
    blocks: list[Block] = [NamedValues("Q(s′, ·; θ⁻)", names, _plain(values), best, "used")]
    if record.munchausen_bonuses is not None:
        blocks += [
            Line("Munchausen DQN weights every action by the softmax of these values:"),
            NamedValues("π(· | s′)", names, _plain(policy), best, "most likely"),
            Formula(("mean value plus the entropy bonus of the softmax: ", value)),
        ]
    elif online is None:
        blocks.append(Formula((f"the highest of them{_by_fractions(settings)}: ", value)))
    else:
        blocks += [
            Line(f"Double DQN: the {network_name} picks the action with its own Q-values of s′:"),
            NamedValues("Q(s′, ·; θ)", names, _plain(online[index]), best, "picked"),
            Formula((f"its target Q-value{_by_fractions(settings)}: ", value)),
        ]
    return Section(f"3. The target {_kind(network_name)} evaluates s′", tuple(blocks))


def _target(record: UpdateRecord, index: int, settings: Settings) -> Section:
    section, network = _target_sum(record, index, settings.learning), settings.network
    if network.distribution != "c51":
        return section
    within = (
        f"C51 clips returns to the range from {network.value_min:g} to {network.value_max:g}, "
        "so y is the mean of the clipped distribution"
    )
    return Section(section.title, (*section.blocks, Line(within)))


def _target_sum(record: UpdateRecord, index: int, settings: LearningSettings) -> Section:
    title = "4. The target, what Q(s, a) should have been"
    y, reward = record.targets[index].item(), record.batch.reward[index].item()
    bonus: tuple[Cell, ...] = ()
    if record.munchausen_bonuses is not None:
        bonus = _bracketed(record.munchausen_bonuses[index].item())
    if record.batch.terminated[index]:
        sum_of = ("y = r + bonus = ", reward, " + ", *bonus, " = ", y) if bonus else ("y = r = ", y)
        return Section(title, (Formula((*sum_of, ": no reward follows a terminal state")),))
    steps = record.batch.num_steps[index].item()
    power = "" if steps == 1 else str(steps).translate(_SUPERSCRIPTS)
    value = _bracketed(record.next_values[index].item())
    product = (f" + {settings.gamma:g}{power} × ", *value)
    if bonus:
        return Section(
            title,
            (
                Formula(("Munchausen's bonus for the action taken, α τ ln π(a | s): ", *bonus)),
                Formula(
                    (f"y = r + bonus + γ{power} · V = ", reward, " + ", *bonus, *product, " = ", y)
                ),
            ),
        )
    return Section(title, (Formula((f"y = r + γ{power} · Q = ", reward, *product, " = ", y)),))


def _loss(record: UpdateRecord, index: int, settings: Settings) -> Section:
    formula = _loss_formula(settings)
    spread = spread_table(record, index, settings.network)
    y, chosen = record.targets[index].item(), record.chosen_q[index].item()
    error, size = record.td_errors[index].item(), len(record.indices)
    share = f": {record.loss_shares[index]:.1%} of the batch's loss"
    mean = "mean" if record.weights is None else "mean of weight × loss"
    return Section(
        "5. The loss",
        (
            *(() if spread is None else (spread,)),
            Formula(("y − Q(s, a) = ", y, " − ", *_bracketed(chosen), " = ", error)),
            Formula((f"{formula} = ", record.losses[index].item(), share)),
            Formula((f"{mean} over {_transitions(size)}: ", record.loss)),
            _td_errors(record.td_errors),
        ),
    )


def _loss_formula(settings: Settings) -> str:
    delta = f"{settings.learning.huber_delta:g}"
    match settings.network.distribution:
        case "c51":
            return "cross-entropy of the two distributions"
        case "qr" | "iqn":
            return f"quantile regression, linear beyond {delta},"
    if settings.learning.loss == "huber":
        return f"Huber loss of y − Q, linear beyond {delta},"
    return "(y − Q)²"


def _td_errors(errors: Float[np.ndarray, " batch"]) -> Block:
    if errors.min() == errors.max():
        return Formula((f"TD error of {_transitions(len(errors))}: ", errors[0].item()))
    # NumPy cannot split a narrow range of single precision into bins.
    counts, edges = np.histogram(errors.astype(np.float64), _BINS)
    return Histogram("TD errors of the batch", tuple(counts.tolist()), tuple(edges.tolist()))


def _learning(
    record: UpdateRecord, index: int, settings: LearningSettings, network_name: str
) -> Section:
    changes, distances = record.weight_changes, record.distance_to_target
    rows = tuple(
        (layer, norm, changes[layer], distances[layer])
        for layer, norm in record.gradient_norms.items()
    )
    header = ("layer", "gradient", "change of the weights", "distance to θ⁻ before")
    step = {"adam": "Adam", "sgd": "plain gradient descent"}[settings.optimiser]
    return Section(
        f"6. Backpropagation through the {network_name}",
        (
            Formula((f"{step}, learning rate ", record.learning_rate)),
            Table("L2 norms of each layer", header, rows),
            Formula(
                (
                    "Q(s, a) was ",
                    record.chosen_q[index].item(),
                    " and is now ",
                    record.chosen_q_after[index].item(),
                    "; the target is ",
                    record.targets[index].item(),
                )
            ),
        ),
    )


def _refresh(record: UpdateRecord, settings: LearningSettings, network_name: str) -> Section:
    since = record.updates_since_refresh
    left = settings.target_period_updates - since - 1
    then = f"the next refresh is {_updates(left)} away"
    if record.refreshes_target:
        then = "after this update, a copy: θ⁻ ← θ"
        if settings.tau < 1:
            then = f"after this update, a soft refresh: θ⁻ ← θ⁻ + {settings.tau:g} (θ − θ⁻)"
    return Section(
        f"7. The target {_kind(network_name)} does not change in the update",
        (
            Line(f"last refreshed {_updates(since)} before this one"),
            Formula(("‖θ − θ⁻‖ = ", record.distance_to_target["all"])),
            Line(then),
        ),
    )


def _batch(
    record: UpdateRecord, origins: Sequence[Origin], index: int, spec: EnvironmentSpec
) -> Section:
    header = (
        *("transition", "environment", "episode", "step", "env steps ago", "action", "choice"),
        *("r", "terminated", "Q(s, a)", "y", "TD error"),
        *_sampling_columns(record),
        "loss share",
    )
    rows = tuple(_batch_row(record, number, origin, spec) for number, origin in enumerate(origins))
    table = Table(
        "All transitions of the batch, in the order in which they were sampled",
        header,
        rows,
        index,
        "followed",
    )
    return Section("The whole batch", (table,), too_wide_for_terminals=True)


def _batch_row(
    record: UpdateRecord, number: int, origin: Origin, spec: EnvironmentSpec
) -> tuple[Cell, ...]:
    batch = record.batch
    return (
        number,
        origin.env_index,
        origin.episode,
        origin.step,
        record.env_steps - origin.env_step,
        spec.action_names[batch.action[number]],
        "explored" if origin.explored else "greedy",
        batch.reward[number].item(),
        "yes" if batch.terminated[number] else "no",
        record.chosen_q[number].item(),
        record.targets[number].item(),
        record.td_errors[number].item(),
        *(column[number].item() for column in _sampling_columns(record).values()),
        f"{record.loss_shares[number]:.1%}",
    )


def _kind(network_name: str) -> str:
    return network_name.removeprefix("Q-")


def _updates(count: int) -> str:
    return "1 update" if count == 1 else f"{count:,} updates"


def _transitions(count: int) -> str:
    return (
        "the single transition of the batch"
        if count == 1
        else f"the {count:,} transitions of the batch"
    )


def _bracketed(value: float) -> tuple[Cell, ...]:
    """A number to be added or subtracted; a negative one gets brackets."""
    return ("(", value, ")") if value < 0 else (value,)


def _plain(values: np.ndarray) -> tuple[float, ...]:
    return tuple(values.tolist())
