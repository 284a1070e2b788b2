"""The parts of an update of PQN that the notes tell otherwise, and what it does without."""

import numpy as np

from frankrl.config import Settings
from frankrl.core.figures import counted
from frankrl.environments import EnvironmentSpec
from frankrl.explaining.document import Block, Formula, Line, NamedValues, Section
from frankrl.explaining.numerals import bracketed, plain_numbers
from frankrl.explaining.record import UpdateRecord


def pqn_future(
    record: UpdateRecord, index: int, spec: EnvironmentSpec, network_name: str
) -> Section:
    """What s′ is worth: by the network itself, not by a frozen copy."""
    values = record.target_q_values[index]
    ago = counted(record.updates_since_refresh, "update")
    blocks: list[Block] = [
        NamedValues(
            "Q(s′, ·; θ)", spec.action_names, plain_numbers(values), int(np.argmax(values)), "used"
        ),
        Formula(("the highest of them: V(s′) = ", record.next_values[index].item())),
        Line(
            f"by the same {network_name}, with the weights with which this round acted, {ago} ago: "
            "there is no frozen copy of it"
        ),
    ]
    return Section(f"3. The {network_name} itself evaluates s′", tuple(blocks))


def pqn_target(record: UpdateRecord, index: int, settings: Settings) -> Section:
    """The λ-return of the step."""
    title = "4. The target, what Q(s, a) should have been: a λ-return"
    learning = settings.learning
    y, reward = record.targets[index].item(), record.batch.reward[index].item()
    if record.terminated[index]:
        return Section(title, (Formula(("y = r = ", y, ": no reward follows a terminal state")),))
    gamma, decay = learning.gamma, learning.trace_decay
    value = bracketed(record.next_values[index].item())
    assert record.following_returns is not None
    following = record.following_returns[index].item()
    if np.isnan(following):
        known = Line(
            "the round ends here, or a time limit ended the episode: no later reward is known, "
            "and V(s′) stands alone"
        )
        return Section(
            title,
            (known, Formula(("y = r + γ V(s′) = ", reward, f" + {gamma:g} × ", *value, " = ", y))),
        )
    return Section(
        title,
        (
            Formula(("the λ-return of the next step, worked out first: G = ", following)),
            Formula(
                (
                    "y = r + γ ((1 − λ) V(s′) + λ G) = ",
                    *(reward, f" + {gamma:g} × ({1 - decay:g} × ", *value),
                    *(f" + {decay:g} × ", *bracketed(following), ") = ", y),
                )
            ),
        ),
    )


def pqn_missing(record: UpdateRecord, settings: Settings) -> Section:
    """What PQN does without, compared with the notes."""
    learning, size = settings.learning, settings.round_ticks
    epoch, part = divmod(record.updates_since_refresh, learning.minibatches)
    then = "the round goes on: its targets stay as they are"
    if record.refreshes_target:
        then = (
            "this was the round's last update: its steps are dropped, and the next round acts with "
            "the new weights"
        )
    return Section(
        "7. What the notes have and this update does not",
        (
            Line(
                f"no replay buffer: the {counted(size, 'env step')} that "
                f"{counted(settings.environment.num_envs, 'environment')} took in this round are "
                "learned from now, and never again"
            ),
            Line(
                f"this is minibatch {part + 1} of {learning.minibatches:,} in epoch {epoch + 1} of "
                f"{learning.epochs_per_round:,}"
            ),
            Line(
                "no target network: the targets were computed once, before the round's first "
                "update, by the Q-network itself"
            ),
            Formula(("its weights have moved since then by ", record.distance_to_target["all"])),
            Line(then),
        ),
    )
