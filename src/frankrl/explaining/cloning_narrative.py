"""The parts of an update of behaviour cloning, which has no Q-values and no targets."""

from collections.abc import Callable, Sequence

import numpy as np

from frankrl.config import LearningSettings, Settings
from frankrl.core.figures import counted
from frankrl.environments import EnvironmentSpec
from frankrl.explaining.cloning_record import CloningRecord
from frankrl.explaining.document import Cell, Formula, Line, NamedValues, Section, Table
from frankrl.explaining.numerals import bracketed, plain_numbers
from frankrl.explaining.optimiser_narrative import optimiser_in_words
from frankrl.explaining.origin import Origin, TransitionInData
from frankrl.explaining.sequence_narrative import memory_at_s, memory_norm, through_time


def cloning_sections(
    record: CloningRecord,
    origins: Sequence[Origin | TransitionInData],
    index: int,
    spec: EnvironmentSpec,
    settings: Settings,
) -> tuple[Section, ...]:
    """What follows the transition; arguments as of `narrate`."""
    return (
        _policy(record, index, spec),
        _loss(record, index),
        _step(record, index, settings.learning),
        _batch(record, origins, index, spec),
    )


def _policy(record: CloningRecord, index: int, spec: EnvironmentSpec) -> Section:
    """What the network says of s: logits and their softmax."""
    action, names = record.batch.action[index].item(), spec.action_names
    return Section(
        "2. The network's policy in s",
        (
            *memory_at_s(record, index),
            Line("the outputs are logits: their differences say which action is likelier, no more"),
            NamedValues(
                "logits of s",
                names,
                plain_numbers(record.logits[index]),
                action,
                "taken",
                symbol="logit",
            ),
            Line("their softmax is the policy, π(· | s):"),
            NamedValues(
                "π(· | s)",
                names,
                plain_numbers(record.policy[index]),
                action,
                "taken",
                are_probabilities=True,
            ),
        ),
    )


def _loss(record: CloningRecord, index: int) -> Section:
    """The cross-entropy of the action in the data."""
    loss, size = record.losses[index].item(), len(record.losses)
    chosen = record.chosen[index].item()
    step = "transition" if record.sequences is None else "learned step"
    agrees = np.argmax(record.logits, axis=1) == record.batch.action
    return Section(
        "3. The loss: how surprising the action of the data is",
        (
            Formula(
                (
                    "−log π(a | s) = −log ",
                    *bracketed(chosen),
                    " = ",
                    loss,
                    f": {record.loss_shares[index]:.1%} of the batch's loss",
                )
            ),
            Formula((f"mean over {counted(size, step)} of the batch: ", record.loss)),
            Line(
                f"the likeliest action is the data's in {int(agrees.sum()):,} of {size:,} of them"
            ),
        ),
    )


def _step(record: CloningRecord, index: int, settings: LearningSettings) -> Section:
    """The step of the optimiser."""
    rows = tuple(
        (layer, norm, record.weight_changes[layer]) for layer, norm in record.gradient_norms.items()
    )
    return Section(
        "4. Backpropagation through the network",
        (
            Formula((f"{optimiser_in_words(settings)}, learning rate ", record.learning_rate)),
            *through_time(record),
            Table("L2 norms of each layer", ("layer", "gradient", "change of the weights"), rows),
            Formula(
                (
                    "π(a | s) was ",
                    record.chosen[index].item(),
                    " and is now ",
                    record.chosen_after[index].item(),
                )
            ),
            Line(
                f"r, s′ and γ ({settings.gamma:g}) play no part: there is no target and no target "
                "network"
            ),
        ),
    )


def _batch(
    record: CloningRecord,
    came_from: Sequence[Origin | TransitionInData],
    index: int,
    spec: EnvironmentSpec,
) -> Section:
    """All transitions of the batch; with memory those of the followed sequence."""
    header = ("episode of the data", "step", "action", "π(a | s)", "−log π(a | s)")
    title, numbers = "The whole batch", range(len(record.losses))
    first: dict[str, Callable[[int], Cell]] = {"transition": lambda number: number}
    caption = "All transitions of the batch, in the order in which they were sampled"
    if (own := record.sequences) is not None:
        title = f"5. Sequence {own.sequence[index]}, step by step"
        caption, numbers = "Its learned steps", own.rows_of(own.sequence[index]).tolist()
        first = {
            "learned step": lambda number: int(own.step[number]),
            "‖h‖": lambda number: memory_norm(own, number),
        }
    rows: list[tuple[Cell, ...]] = [
        (
            *(column(number) for column in first.values()),
            came_from[number].episode,
            came_from[number].step,
            spec.action_names[record.batch.action[number]],
            record.chosen[number].item(),
            record.losses[number].item(),
        )
        for number in numbers
    ]
    table = Table(caption, (*first, *header), tuple(rows), numbers.index(index), "followed")
    return Section(title, (table,), too_wide_for_terminals=own is None)
