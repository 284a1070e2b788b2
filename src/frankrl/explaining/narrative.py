"""An update as a document, in the order of the notes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from frankrl.config import LearningSettings, Settings
from frankrl.core.figures import counted
from frankrl.core.named_code import shown_name
from frankrl.environments import EnvironmentSpec, images_under
from frankrl.explaining.cloning_narrative import (
    cloning_batch,
    cloning_loss,
    cloning_policy,
    cloning_step,
)
from frankrl.explaining.cloning_record import CloningRecord
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
)
from frankrl.explaining.numerals import bracketed, plain_numbers
from frankrl.explaining.observations import state_blocks
from frankrl.explaining.origin import Origin, TransitionInData
from frankrl.explaining.pqn_narrative import pqn_future, pqn_missing, pqn_target
from frankrl.explaining.record import UpdateRecord
from frankrl.explaining.sequence_narrative import (
    batch_section,
    memory_at_arrival,
    memory_at_s,
    place_in_batch,
    sequence_section,
    through_time,
)
from frankrl.explaining.spread import spread_table
from frankrl.learning import make_head
from frankrl.networks import Head
from frankrl.runs import RunFolder

_BINS = 8
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

_NORMALISED = (
    "real numbers of s and s′ are shown as the network got them: normalised by the running mean "
    "and variance at the time of the update"
)


def about_run(folder: RunFolder) -> str:
    """One line that says which run it is."""
    run = folder.description
    return f"{run.env_id}, preset {run.preset}, seed {run.seed}: {folder.path}"


def narrate(
    record: UpdateRecord | CloningRecord,
    origins: Sequence[Origin | TransitionInData],
    index: int,
    spec: EnvironmentSpec,
    settings: Settings,
    about: str,
    saliency: Sequence[Float[np.ndarray, "height width"]] = (),
) -> Document:
    """The document of `frank explain RUN --update N`.

    Args:
        record: the update.
        origins: where each transition of the batch came from.
        index: position in the batch of the transition to follow, from 0.
        spec: the environment.
        settings: the run's settings.
        about: one line that says which run it is.
        saliency: for each picture leaf, the map that is laid over the newest picture of s; empty:
            none.
    """
    title = f"Update {record.update:,}{record.done_at}"
    stored = _stored(record, origins[index], index, spec, settings, saliency)
    if isinstance(record, CloningRecord):
        own = (
            cloning_policy(record, index, spec),
            cloning_loss(record, index),
            cloning_step(record, index, settings.learning, _optimiser(settings.learning)),
            cloning_batch(record, origins, index, spec),
        )
        return Document(title, about, (stored, *own))
    head = make_head(settings)
    network_name = "Q-table" if settings.network.q_function == "table" else "Q-network"
    if settings.has_replay:
        future = _future(record, index, spec, head, network_name)
        target = _target(record, index, settings.learning, head)
        last = _refresh(record, settings.learning, network_name)
    else:
        future = pqn_future(record, index, spec, network_name)
        target = pqn_target(record, index, settings)
        last = pqn_missing(record, settings)
    whole = (_batch(record, origins, index, spec),)
    if record.sequences is not None:
        whole = sequence_section(record, index, spec), batch_section(record, origins, index)
    return Document(
        title=title,
        about=about,
        sections=(
            stored,
            _present(record, index, spec, settings, network_name),
            future,
            target,
            _loss(record, index, settings.learning, head),
            _learning(record, index, settings.learning, network_name),
            last,
            *whole,
        ),
    )


def _stored(
    record: UpdateRecord | CloningRecord,
    origin: Origin | TransitionInData,
    index: int,
    spec: EnvironmentSpec,
    settings: Settings,
    saliency: Sequence[Float[np.ndarray, "height width"]],
) -> Section:
    batch, made = record.batch, settings.environment
    action, steps = batch.action[index].item(), record.num_steps[index].item()
    place, chosen = _origin(record, origin)
    over = f", the discounted sum over {counted(steps, 'step')}" if steps > 1 else ""
    if spec.preprocessing.clip_rewards:
        over += "; each reward of the environment was clipped to -1 … 1"
    if made.normalize_rewards:
        over += "; each reward was divided by the running standard deviation of returns"
    end = "s′ is terminal" if record.terminated[index] else "s′ is not terminal"
    if record.terminated[index] and spec.preprocessing.life_loss_terminates:
        end += ": the game is over, or a life was lost, which counts as terminal"
    return Section(
        "1. The transition (s, a, r, s′)",
        (
            Line(place_in_batch(record, index)),
            Line(place),
            *_sampling(record, index),
            *state_blocks(batch, index, spec, (origin.step, origin.step + steps), saliency),
            *[Line(_NORMALISED)] * made.normalize_observations,
            Formula(("a = ", action, f" ({spec.action_names[action]}), ", *chosen)),
            Formula(("r = ", batch.reward[index].item(), over)),
            Line(end),
        ),
    )


def _origin(
    record: UpdateRecord | CloningRecord, origin: Origin | TransitionInData
) -> tuple[str, tuple[Any, ...]]:
    """Where a transition came from, and how its action was chosen."""
    if isinstance(origin, TransitionInData):
        place = (
            f"from the data set, episode {origin.episode:,}, step {origin.step:,}: step "
            f"{origin.data_step:,} of the data"
        )
        return place, ("the action in the data",)
    ago = counted(record.env_steps - origin.env_step, "env step")
    place = (
        f"from environment {origin.env_index}, episode {origin.episode:,}, "
        f"step {origin.step:,}: env step {origin.env_step:,} of the run, {ago} ago"
    )
    how = "a random action" if origin.explored else "the greedy action at the time"
    return place, (f"{how} (ε was ", origin.epsilon, ")")


def _sampling(record: UpdateRecord | CloningRecord, index: int) -> list[Block]:
    """Sampling probability and weight; nothing if sampling was uniform."""
    columns = _sampling_columns(record)
    if not columns:
        return []
    probability, weight = (column[index].item() for column in columns.values())
    sampled, loss = "sampled", "importance weight, which multiplies its loss"
    if record.sequences is not None:
        sampled = "its sequence was sampled"
        loss = "importance weight of the sequence, which multiplies the loss of each of its steps"
    return [
        Formula((f"{sampled} by its priority, with probability ", probability)),
        Formula((f"{loss}: ", weight)),
    ]


def _sampling_columns(
    record: UpdateRecord | CloningRecord,
) -> dict[str, Float[np.ndarray, " batch"]]:
    """Sampling probability and weight of each transition; empty if sampling was uniform."""
    columns = {"probability": record.probabilities, "weight": record.weights}
    return {name: column for name, column in columns.items() if column is not None}


def _present(
    record: UpdateRecord, index: int, spec: EnvironmentSpec, settings: Settings, network_name: str
) -> Section:
    values, action = record.q_values[index], record.batch.action[index].item()
    return Section(
        f"2. The {network_name} evaluates s",
        (
            *_noise(settings),
            *_images(settings, spec),
            *memory_at_s(record, index),
            NamedValues("Q(s, ·; θ)", spec.action_names, plain_numbers(values), action, "taken"),
            Formula(("Q(s, a) = ", record.chosen_q[index].item())),
        ),
    )


def _noise(settings: Settings) -> tuple[Line, ...]:
    if not settings.exploration.noisy:
        return ()
    return (Line("with this update's own sample of the noise in its weights"),)


def _images(settings: Settings, spec: EnvironmentSpec) -> tuple[Line, ...]:
    if not settings.network.symmetry:
        return ()
    others = len(images_under(spec.symmetries, spec.leaves, spec.num_actions)) - 1
    names = ", ".join(symmetry.name for symmetry in spec.symmetries if symmetry.name)
    by = f" ({names})" if names else ""
    images = "its mirror image" if others == 1 else f"its {others} mirror images"
    return (Line(f"each value is the mean over s and {images}{by}, actions mirrored too"),)


def _future(
    record: UpdateRecord, index: int, spec: EnvironmentSpec, head: Head, network_name: str
) -> Section:
    names, policy = spec.action_names, record.next_policy[index]
    best = int(np.argmax(policy))
    values, value = record.target_q_values[index], record.next_values[index].item()
    online = record.online_next_q_values
    blocks = memory_at_arrival(record, index, network_name)
    blocks.append(NamedValues("Q(s′, ·; θ⁻)", names, plain_numbers(values), best, "used"))
    if record.munchausen_bonuses is not None:
        blocks += [
            Line("Munchausen DQN weights every action by the softmax of these values:"),
            NamedValues(
                "π(· | s′)",
                names,
                plain_numbers(policy),
                best,
                "most likely",
                are_probabilities=True,
            ),
            Formula(("mean value plus the entropy bonus of the softmax: ", value)),
        ]
    elif online is None:
        blocks.append(Formula((f"the highest of them{head.next_value_note}: ", value)))
    else:
        blocks += [
            Line(f"Double DQN: the {network_name} picks the action with its own Q-values of s′:"),
            NamedValues("Q(s′, ·; θ)", names, plain_numbers(online[index]), best, "picked"),
            Formula((f"its target Q-value{head.next_value_note}: ", value)),
        ]
    return Section(f"3. The target {_kind(network_name)} evaluates s′", tuple(blocks))


def _target(record: UpdateRecord, index: int, settings: LearningSettings, head: Head) -> Section:
    section = _target_sum(record, index, settings)
    if not head.target_note:
        return section
    return Section(section.title, (*section.blocks, Line(head.target_note)))


def _target_sum(record: UpdateRecord, index: int, settings: LearningSettings) -> Section:
    title = "4. The target, what Q(s, a) should have been"
    y, reward = record.targets[index].item(), record.batch.reward[index].item()
    bonus: tuple[Cell, ...] = ()
    if record.munchausen_bonuses is not None:
        bonus = bracketed(record.munchausen_bonuses[index].item())
    if settings.value_rescaling:
        return Section(title, (_rescaled_target(record, index, settings),))
    if record.terminated[index]:
        sum_of = ("y = r + bonus = ", reward, " + ", *bonus, " = ", y) if bonus else ("y = r = ", y)
        return Section(title, (Formula((*sum_of, ": no reward follows a terminal state")),))
    steps = record.num_steps[index].item()
    power = "" if steps == 1 else str(steps).translate(_SUPERSCRIPTS)
    value = bracketed(record.next_values[index].item())
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


def _rescaled_target(record: UpdateRecord, index: int, settings: LearningSettings) -> Formula:
    """The target on the scale h of value rescaling."""
    y, reward = record.targets[index].item(), record.batch.reward[index].item()
    if record.terminated[index]:
        return Formula(("y = h(r) = h(", reward, ") = ", y, ": no reward follows a terminal state"))
    steps = record.num_steps[index].item()
    power = "" if steps == 1 else str(steps).translate(_SUPERSCRIPTS)
    if record.target_outputs is not None:
        each = f"h(r + γ{power} · h⁻¹(z))"
        return Formula((f"y, the mean of {each} over the returns z of its distribution: ", y))
    value = record.next_values[index].item()
    return Formula(
        (
            f"y = h(r + γ{power} · h⁻¹(Q)) = h(",
            *(reward, f" + {settings.gamma:g}{power} × h⁻¹(", value, ")) = ", y),
        )
    )


def _loss(record: UpdateRecord, index: int, settings: LearningSettings, head: Head) -> Section:
    spread = spread_table(record, index, head)
    y, chosen = record.targets[index].item(), record.chosen_q[index].item()
    error, size = record.td_errors[index].item(), len(record.losses)
    share = f": {record.loss_shares[index]:.1%} of the batch's loss"
    mean = "mean" if record.weights is None else "mean of weight × loss"
    step = "transition" if record.sequences is None else "learned step"
    return Section(
        "5. The loss",
        (
            *(() if spread is None else (spread,)),
            Formula(("y − Q(s, a) = ", y, " − ", *bracketed(chosen), " = ", error)),
            *_loss_terms(record, index, settings, head, share),
            Formula((f"{mean} over {_transitions(size, step)}: ", record.loss)),
            _td_errors(record.td_errors, step),
        ),
    )


def _loss_terms(
    record: UpdateRecord, index: int, settings: LearningSettings, head: Head, share: str
) -> tuple[Block, ...]:
    """The loss of the followed transition; with CQL its two terms and their sum."""
    loss = record.losses[index].item()
    if record.conservative_losses is None:
        return (Formula((f"{head.loss_name} = ", loss, share)),)
    extra, alpha = record.conservative_losses[index].item(), settings.cql_weight
    chosen = record.chosen_q[index].item()
    return (
        Formula((f"{head.loss_name} = ", loss)),
        Formula(
            (
                "CQL: log Σ_a exp(Q(s, a)) − Q(s, a) = ",
                *(extra / alpha + chosen, " − ", *bracketed(chosen), " = ", extra / alpha),
                ", small where the action taken has by far the largest Q-value",
            )
        ),
        Formula(
            (
                f"loss + {alpha:g} × this = ",
                *(loss, " + ", extra, " = ", loss + extra, share),
            )
        ),
    )


def _td_errors(errors: Float[np.ndarray, " batch"], step: str) -> Block:
    if errors.min() == errors.max():
        return Formula((f"TD error of {_transitions(len(errors), step)}: ", errors[0].item()))
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
    distance = "distance to θ⁻ before"
    if settings.algorithm == "pqn":
        distance = "change since the round acted"
    header = ("layer", "gradient", "change of the weights", distance)
    return Section(
        f"6. Backpropagation through the {network_name}",
        (
            Formula((f"{_optimiser(settings)}, learning rate ", record.learning_rate)),
            *through_time(record),
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


def _optimiser(settings: LearningSettings) -> str:
    """The optimiser in words."""
    steps = {"adam": "Adam", "radam": "rectified Adam", "sgd": "plain gradient descent"}
    return steps.get(settings.optimiser, f"your optimiser {shown_name(settings.optimiser)}")


def _refresh(record: UpdateRecord, settings: LearningSettings, network_name: str) -> Section:
    since = record.updates_since_refresh
    left = settings.target_period_updates - since - 1
    then = f"the next refresh is {counted(left, 'update')} away"
    if record.refreshes_target:
        then = "after this update, a copy: θ⁻ ← θ"
        if settings.tau < 1:
            then = f"after this update, a soft refresh: θ⁻ ← θ⁻ + {settings.tau:g} (θ − θ⁻)"
    return Section(
        f"7. The target {_kind(network_name)} does not change in the update",
        (
            Line(f"last refreshed {counted(since, 'update')} before this one"),
            Formula(("‖θ − θ⁻‖ = ", record.distance_to_target["all"])),
            Line(then),
        ),
    )


def _batch(
    record: UpdateRecord,
    origins: Sequence[Origin | TransitionInData],
    index: int,
    spec: EnvironmentSpec,
) -> Section:
    header = (
        *("transition", "environment", "episode", "step", "env steps ago", "action", "choice"),
        *("r", "terminated", "Q(s, a)", "y", "TD error"),
        *_conservative_column(record),
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
    record: UpdateRecord, number: int, origin: Origin | TransitionInData, spec: EnvironmentSpec
) -> tuple[Cell, ...]:
    batch = record.batch
    where, ago, choice = "data set", "–", "recorded"
    if isinstance(origin, Origin):
        where, ago = origin.env_index, record.env_steps - origin.env_step
        choice = "explored" if origin.explored else "greedy"
    return (
        number,
        where,
        origin.episode,
        origin.step,
        ago,
        spec.action_names[batch.action[number]],
        choice,
        batch.reward[number].item(),
        "yes" if record.terminated[number] else "no",
        record.chosen_q[number].item(),
        record.targets[number].item(),
        record.td_errors[number].item(),
        *(column[number].item() for column in _conservative_column(record).values()),
        *(column[number].item() for column in _sampling_columns(record).values()),
        f"{record.loss_shares[number]:.1%}",
    )


def _conservative_column(record: UpdateRecord) -> dict[str, Float[np.ndarray, " batch"]]:
    """What CQL adds to the loss of each transition; empty without it."""
    losses = record.conservative_losses
    return {} if losses is None else {"CQL's term": losses}


def _kind(network_name: str) -> str:
    return network_name.removeprefix("Q-")


def _transitions(count: int, step: str) -> str:
    return (
        f"the single {step} of the batch" if count == 1 else f"the {count:,} {step}s of the batch"
    )
