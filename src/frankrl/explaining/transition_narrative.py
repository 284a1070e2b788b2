"""The part of an update that says which transition is followed, and where it came from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from frankrl.config import Settings
from frankrl.core.figures import counted
from frankrl.environments import EnvironmentSpec
from frankrl.explaining.document import Block, Formula, Line, Section
from frankrl.explaining.observations import state_blocks
from frankrl.explaining.opened_update import OpenedUpdate
from frankrl.explaining.origin import Origin, TransitionInData
from frankrl.explaining.sequence_narrative import place_in_batch

_NORMALISED = (
    "real numbers of s and s′ are shown as the network got them: normalised by the running mean "
    "and variance at the time of the update"
)


def transition_section(
    record: OpenedUpdate,
    origin: Origin | TransitionInData,
    index: int,
    spec: EnvironmentSpec,
    settings: Settings,
    saliency: Sequence[Float[np.ndarray, "height width"]],
) -> Section:
    """The transition, and how it was sampled.

    Args:
        record: the update.
        origin: where the transition came from.
        index: its position in the batch.
        spec: the environment.
        settings: the run's settings.
        saliency: for each picture leaf, the map that is laid over the newest picture of s.
    """
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


def _origin(record: OpenedUpdate, origin: Origin | TransitionInData) -> tuple[str, tuple[Any, ...]]:
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


def _sampling(record: OpenedUpdate, index: int) -> list[Block]:
    """Sampling probability and weight; nothing if sampling was uniform."""
    columns = sampling_columns(record)
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


def sampling_columns(
    record: OpenedUpdate,
) -> dict[str, Float[np.ndarray, " batch"]]:
    """Sampling probability and weight of each transition; empty if sampling was uniform."""
    columns = {"probability": record.probabilities, "weight": record.weights}
    return {name: column for name, column in columns.items() if column is not None}
