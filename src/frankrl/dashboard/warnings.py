"""What is worth a word of warning in a run, in plain language and with its evidence."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from frankrl.config import Settings
from frankrl.dashboard.history import History
from frankrl.dashboard.series import discounted_return

DOCS = "page/warnings.html"


@dataclass(frozen=True)
class RunWarning:
    """Something that a person should look at."""

    title: str
    evidence: str
    """What was seen, with its numbers."""
    advice: str
    """What it means, and what to try."""
    anchor: str
    """Its section in `DOCS`."""

    def plain(self) -> dict[str, str]:
        """As plain data."""
        return {
            "title": self.title,
            "evidence": self.evidence,
            "advice": self.advice,
            "docs": f"{DOCS}#{self.anchor}",
        }


class Diagnostics(NamedTuple):
    """What a look into a checkpoint found."""

    env_steps: int
    """The checkpoint's."""
    dead_units: tuple[int, ...]
    """Units of each hidden layer whose output was 0 for every state that was tried."""
    widths: tuple[int, ...]
    """How many units each hidden layer has."""
    states: int
    """How many states were tried."""
    transitions: int
    """How many the experience replay buffer holds."""
    largest_episode: int
    """How many of them come from the episode that has the most."""
    episodes: int
    """How many episodes they come from."""


Check = Callable[[History, Settings], RunWarning | None]
_FEWEST_ROWS = 20
_FEWEST_TRANSITIONS = 100
"""A buffer of fewer is not there to mix episodes."""


def metrics_warnings(history: History, settings: Settings) -> list[RunWarning]:
    """What the metrics and the settings of a run give reason to say."""
    return [warning for check in CHECKS if (warning := check(history, settings))]


def checkpoint_warnings(diagnostics: Diagnostics) -> list[RunWarning]:
    """What a look into a checkpoint gives reason to say."""
    candidates = (dead_units(diagnostics), mostly_one_episode(diagnostics))
    return [warning for warning in candidates if warning]


def q_grows_away(history: History, settings: Settings) -> RunWarning | None:
    """The largest Q-values stand far above any return that episodes have brought."""
    q, learned = _measured(history, "mean_max_q")
    if len(q) < _FEWEST_ROWS:
        return None
    plain = history.training["mean_return_100"][learned]
    discounted = discounted_return(history, settings)[learned]
    discounted = discounted[np.isfinite(discounted)]
    if not len(discounted):
        return None
    # Where the reward comes at the end, even the discounted return is nearer to the plain one;
    # where a time limit ends an episode, the rewards beyond it count as well.
    a_step = plain / np.maximum(history.training["mean_length_100"][learned], 1.0)
    for_ever = 0.0 if settings.learning.gamma == 1 else 1 / (1 - settings.learning.gamma)
    most = float(max(0.0, np.nanmax(plain), discounted.max(), np.nanmax(a_step) * for_ever))
    size = float(np.abs(discounted).max())
    now, brought = _end(q), _end(discounted)
    if now <= max(1.5 * most, size / 2) or now - brought <= size:
        return None
    return RunWarning(
        "Q grows away from the returns",
        f"The largest Q-value of a state is {now:,.4g} in the mean. Discounted, the episodes bring "
        f"about {brought:,.4g} now. The most that can be made of them is {most:,.4g}.",
        "The Q-network believes in a future that does not come. Its own maximum feeds its targets, "
        "so the error grows. Try double, a lower learning_rate, or a longer target_period_updates.",
        "q-grows-away",
    )


def loss_rises(history: History, settings: Settings) -> RunWarning | None:
    """The loss has grown tenfold, and the return has not improved, or has been lost again."""
    loss, learned = _measured(history, "loss")
    returns = history.training["mean_return_100"][learned]
    known = np.isfinite(returns)
    if len(loss) < _FEWEST_ROWS or not known[-1] or known.sum() < _FEWEST_ROWS:
        return None
    now, before = _end(loss), _beginning(loss)
    returns = returns[known]
    return_now, return_first = _end(returns), _beginning(returns)
    return_before = float(returns[: len(returns) // 2].max())
    gained = max(return_before - return_first, abs(return_first) / 4)
    if now <= 10 * before or before <= 0 or return_now - return_first > gained / 2:
        return None
    return RunWarning(
        "The loss rises and the return does not",
        f"The loss is {now:,.4g}, after {before:,.4g} when learning began. The mean return is "
        f"{return_now:,.4g}, and has been {return_before:,.4g} before.",
        "A loss grows with the Q-values, so a rise alone is no harm. Without a better return it "
        "means that the Q-network cannot follow its targets. Try a lower learning_rate, the Huber "
        "loss, or a smaller max_gradient_norm.",
        "loss-rises",
    )


def epsilon_done_early(history: History, settings: Settings) -> RunWarning | None:
    """ε has fallen to its end before the first update."""
    exploration, starts = settings.exploration, settings.training.learning_starts_env_steps
    decay = exploration.epsilon_decay_env_steps
    if exploration.noisy or exploration.epsilon_start <= exploration.epsilon_end or decay > starts:
        return None
    return RunWarning(
        "ε has fallen before learning starts",
        f"ε reaches {exploration.epsilon_end:g} at env step {decay:,}. "
        f"The first update comes at env step {starts:,}.",
        "While ε falls the Q-values are still random numbers, so the fall changes nothing that is "
        "learned. Make epsilon_decay_env_steps several times learning_starts_env_steps.",
        "epsilon-done-early",
    )


def refreshed_too_seldom(history: History, settings: Settings) -> RunWarning | None:
    """The whole budget holds only a few refreshes of the target network."""
    training, learning = settings.training, settings.learning
    left = max(0, training.total_env_steps - training.learning_starts_env_steps)
    updates = int(left * training.replay_ratio)
    refreshes = updates // learning.target_period_updates
    if updates == 0 or refreshes >= 10:
        return None
    return RunWarning(
        "The target network is refreshed too seldom",
        f"The budget of {training.total_env_steps:,} env steps holds {updates:,} updates. "
        f"A refresh every {learning.target_period_updates:,} updates makes {refreshes} in all.",
        "Each refresh carries the reward one step further back. With fewer than ten the Q-values "
        "stay close to the reward alone. Make target_period_updates smaller, or the budget larger.",
        "refreshed-too-seldom",
    )


def reward_scale(history: History, settings: Settings) -> RunWarning | None:
    """Rewards are so large or so small that the usual settings do not suit them.

    A reward that comes seldom is not small.
    """
    returns, length = history.episodes["episode_return"], history.episodes["length"]
    if not len(returns):
        return None
    largest = float(np.max(np.abs(returns) / np.maximum(length, 1)))
    seen = float(np.max(np.abs(returns)))
    if largest == 0 or (largest <= 100 and (largest >= 1e-3 or seen >= 0.1)):
        return None
    how = "large" if largest > 1 else "small"
    return RunWarning(
        f"The rewards are very {how}",
        f"An env step brings {largest:,.3g} in the mean of the episode where it is most, "
        f"over {len(returns):,} episodes.",
        "The loss goes with the square of the reward, and learning_rate, huber_delta and "
        "max_gradient_norm are made for rewards around 1. Scale the rewards in the environment.",
        "reward-scale",
    )


def slower(history: History, settings: Settings) -> RunWarning | None:
    """The training has lost more than half of its speed; evaluations do not count."""
    timing, starts = history.timing, settings.training.learning_starts_env_steps
    steps = timing["env_steps"]
    evaluated_at = np.concatenate([[], *(e["env_steps"] for e in history.evaluations.values())])
    # A row is written before the evaluation at its env step, whose time falls to the next one.
    evaluations_before = np.searchsorted(np.sort(evaluated_at), steps, side="left")
    without = np.diff(evaluations_before, prepend=0) == 0
    speed = timing["env_steps_per_second"][(steps > 2 * starts) & without]
    if len(speed) < _FEWEST_ROWS:
        return None
    now, before = float(np.median(speed[-5:])), float(np.median(speed[:-5]))
    if now >= before / 2:
        return None
    return RunWarning(
        "The training has become slower",
        f"It does {now:,.0f} env steps per second. Before, it did {before:,.0f}.",
        "Something else may be using the processors, or the disk may be slow. An environment whose "
        "episodes have become longer can also cost more per step. The results are the same.",
        "slower",
    )


def dead_units(diagnostics: Diagnostics) -> RunWarning | None:
    """Half of a hidden layer or more answers 0 to every state."""
    layers = [
        f"{dead} of {width} in hidden layer {number}"
        for number, (dead, width) in enumerate(
            zip(diagnostics.dead_units, diagnostics.widths, strict=True), start=1
        )
        if dead * 2 >= width
    ]
    if not layers or not diagnostics.states:
        return None
    return RunWarning(
        "Many units are dead",
        f"Units that give 0 for each of {diagnostics.states:,} states of the replay buffer: "
        f"{', '.join(layers)} (checkpoint at env step {diagnostics.env_steps:,}).",
        "No gradient flows through a unit that is always 0, so it learns nothing any more. Try a "
        "lower learning_rate, layer_norm, or another activation.",
        "dead-units",
    )


def mostly_one_episode(diagnostics: Diagnostics) -> RunWarning | None:
    """Half of the experience replay buffer or more comes from a single episode."""
    few = diagnostics.transitions < _FEWEST_TRANSITIONS
    if few or diagnostics.largest_episode * 2 < diagnostics.transitions:
        return None
    share = diagnostics.largest_episode / diagnostics.transitions
    return RunWarning(
        "The experience replay buffer holds mostly one episode",
        f"{diagnostics.largest_episode:,} of its {diagnostics.transitions:,} transitions "
        f"({share:.0%}) come from one episode; there are {diagnostics.episodes:,} (checkpoint at "
        f"env step {diagnostics.env_steps:,}).",
        "A batch of neighbours is not a random sample: replay cannot break their correlation. Make "
        "replay_capacity larger, or train on more environments at once (num_envs).",
        "mostly-one-episode",
    )


CHECKS: tuple[Check, ...] = (
    q_grows_away,
    loss_rises,
    epsilon_done_early,
    refreshed_too_seldom,
    reward_scale,
    slower,
)
CHECKED = (
    "Q against the returns",
    "the loss against the return",
    "ε against the start of learning",
    "refreshes of the target network",
    "the size of the rewards",
    "the speed",
    "dead units",
    "episodes in the experience replay buffer",
)
"""What all of them look at, in words."""


def _measured(history: History, column: str) -> tuple[np.ndarray, np.ndarray]:
    """A statistic's finite values, and which rows they are."""
    values = history.training[column]
    finite = np.isfinite(values)
    return values[finite], finite


def _beginning(values: np.ndarray) -> float:
    return float(np.nanmean(values[: max(1, len(values) // 5)]))


def _end(values: np.ndarray) -> float:
    return float(np.nanmean(values[-max(1, len(values) // 10) :]))
