"""The parts of an update of Q-learning, in the order of the notes."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from frankrl.config import LearningSettings, Settings
from frankrl.core.figures import counted
from frankrl.environments import EnvironmentSpec, images_under
from frankrl.explaining.batch_narrative import whole_batch
from frankrl.explaining.document import (
    Block,
    Cell,
    Formula,
    Histogram,
    Line,
    NamedValues,
    Section,
    Table,
)
from frankrl.explaining.numerals import bracketed, plain_numbers
from frankrl.explaining.optimiser_narrative import optimiser_in_words
from frankrl.explaining.origin import Origin, TransitionInData
from frankrl.explaining.pqn_narrative import pqn_future, pqn_missing, pqn_target
from frankrl.explaining.record import UpdateRecord
from frankrl.explaining.sequence_narrative import (
    batch_section,
    memory_at_arrival,
    memory_at_s,
    sequence_section,
    through_time,
)
from frankrl.explaining.spread import spread_table
from frankrl.learning import make_head
from frankrl.networks import Head

_BINS = 8
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def q_sections(
    record: UpdateRecord,
    origins: Sequence[Origin | TransitionInData],
    index: int,
    spec: EnvironmentSpec,
    settings: Settings,
) -> tuple[Section, ...]:
    """What follows the transition; arguments as of `narrate`."""
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
    whole = (whole_batch(record, origins, index, spec),)
    if record.sequences is not None:
        whole = sequence_section(record, index, spec), batch_section(record, origins, index)
    return (
        _present(record, index, spec, settings, network_name),
        future,
        target,
        _loss(record, index, settings.learning, head),
        _learning(record, index, settings.learning, network_name),
        last,
        *whole,
    )


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
            Formula((f"{optimiser_in_words(settings)}, learning rate ", record.learning_rate)),
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


def _kind(network_name: str) -> str:
    return network_name.removeprefix("Q-")


def _transitions(count: int, step: str) -> str:
    return (
        f"the single {step} of the batch" if count == 1 else f"the {count:,} {step}s of the batch"
    )
