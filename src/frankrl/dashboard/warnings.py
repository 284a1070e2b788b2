"""Warnings about a run, each with its evidence and advice."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from frankrl.config import Settings
from frankrl.core.figures import counted, figure
from frankrl.core.value_scale import on_value_scale
from frankrl.dashboard.history import History
from frankrl.dashboard.series import discounted_return

DOCS = "page/warnings.html"


@dataclass(frozen=True)
class RunWarning:
    """A reason to look at a run more closely."""

    title: str
    evidence: str
    """The numbers that raised the warning."""
    advice: str
    """What the warning means and what to try."""
    anchor: str
    """Its section in `DOCS`."""

    def plain(self) -> dict[str, str]:
        """As JSON data."""
        return {
            "title": self.title,
            "evidence": self.evidence,
            "advice": self.advice,
            "docs": f"{DOCS}#{self.anchor}",
        }


class Diagnostics(NamedTuple):
    """Diagnostics of a checkpoint."""

    env_steps: int
    """Env step of the checkpoint."""
    dead_units: tuple[int, ...]
    """Number of units in each hidden layer that output 0 for every state tried."""
    widths: tuple[int, ...]
    """Number of units in each hidden layer."""
    states: int
    """Number of states tried."""
    transitions: int
    """Number of transitions in the replay buffer."""
    largest_episode: int
    """Number of transitions from the episode that has the most."""
    episodes: int
    """Number of episodes that the transitions come from."""


Check = Callable[[History, Settings], RunWarning | None]
_FEWEST_ROWS = 20
_FEWEST_TRANSITIONS = 100
"""A smaller replay buffer is not meant to mix episodes."""


def metrics_warnings(history: History, settings: Settings) -> list[RunWarning]:
    """The warnings that the metrics and settings of a run raise."""
    return [warning for check in CHECKS if (warning := check(history, settings))]


def checkpoint_warnings(diagnostics: Diagnostics) -> list[RunWarning]:
    """The warnings that the diagnostics of a checkpoint raise."""
    candidates = (dead_units(diagnostics), mostly_one_episode(diagnostics))
    return [warning for warning in candidates if warning]


def q_grows_away(history: History, settings: Settings) -> RunWarning | None:
    """The largest Q-values lie far above every return so far."""
    q, learned = _measured(history, "mean_max_q")
    if len(q) < _FEWEST_ROWS:
        return None
    plain = history.training["mean_return_100"][learned]
    discounted = discounted_return(history, settings)[learned]
    discounted = discounted[np.isfinite(discounted)]
    if not len(discounted):
        return None
    # The estimate assumes even rewards. If the reward comes at the end, the discounted return
    # can be near the undiscounted one; if a time limit truncates, Q counts rewards beyond it.
    a_step = plain / np.maximum(history.training["mean_length_100"][learned], 1.0)
    for_ever = 0.0 if settings.learning.gamma == 1 else 1 / (1 - settings.learning.gamma)
    most = float(max(0.0, np.nanmax(plain), discounted.max(), np.nanmax(a_step) * for_ever))
    size = float(np.abs(discounted).max())
    now, brought = _end(q), _end(discounted)
    rescaled = settings.learning.value_rescaling
    # h is strictly monotone, so returns can be compared on either scale.
    bound = max(1.5 * most, size / 2, brought + size)
    bound, brought, most = on_value_scale(np.array([bound, brought, most]), is_rescaled=rescaled)
    if now <= bound:
        return None
    where = "On the scale h of value_rescaling, the" if rescaled else "The"
    return RunWarning(
        "Q-values grow beyond the returns",
        f"{where} mean of the largest Q-value of a state is {figure(now)}. The discounted return "
        f"is now about {figure(brought)}. An upper estimate from all episodes so far is "
        f"{figure(most)}.",
        "The Q-network overestimates. The targets contain its own maximum, so the error grows. Try "
        "double, a lower learning_rate, or a longer target_period_updates.",
        "q-grows-away",
    )


def loss_rises(history: History, settings: Settings) -> RunWarning | None:
    """The loss has grown tenfold, and the return has not improved or has fallen again."""
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
        f"The loss is {figure(now)}; it was {figure(before)} when learning started. The mean "
        f"return is {figure(return_now)}; its best in the first half of the run was "
        f"{figure(return_before)}.",
        "The loss grows with the Q-values, so a rise alone is harmless. Without a better return it "
        "means that the Q-network cannot follow its targets. Try a lower learning_rate, the Huber "
        "loss, or a smaller max_gradient_norm.",
        "loss-rises",
    )


def epsilon_done_early(history: History, settings: Settings) -> RunWarning | None:
    """ε reaches its final value before the first update."""
    exploration, starts = settings.exploration, settings.first_update_ticks
    decay = exploration.epsilon_decay_env_steps
    if (
        settings.is_offline
        or exploration.noisy
        or exploration.epsilon_start <= exploration.epsilon_end
        or decay > starts
    ):
        return None
    return RunWarning(
        "ε has decayed before learning starts",
        f"ε reaches {exploration.epsilon_end:g} at env step {decay:,}. "
        f"The first update is at env step {starts:,}.",
        "While ε decays, the Q-network is still untrained, so the decay has no effect on learning. "
        "Set epsilon_decay_env_steps to several times learning_starts_env_steps.",
        "epsilon-done-early",
    )


def refreshed_too_rarely(history: History, settings: Settings) -> RunWarning | None:
    """The target network is refreshed only a few times in the whole run."""
    training, learning = settings.training, settings.learning
    if not settings.has_target_network:
        return None
    left = max(0, training.total_env_steps - training.learning_starts_env_steps)
    updates = int(left * training.replay_ratio)
    if settings.is_offline:
        updates = training.total_updates
    refreshes = updates // learning.target_period_updates
    if updates == 0 or refreshes >= 10:
        return None
    run = f"The run of {counted(settings.budget, settings.clock.unit)}"
    if settings.is_offline:
        run = "The run"
    return RunWarning(
        "The target network is refreshed too rarely",
        f"{run} does {counted(updates, 'update')}. With target_period_updates "
        f"{learning.target_period_updates:,} that makes "
        f"{counted(refreshes, 'refresh', 'refreshes')}.",
        "Each refresh propagates the reward one step further back. With fewer than ten refreshes "
        "the Q-values hardly look beyond the next rewards. Make target_period_updates smaller, or "
        f"{settings.budget_name} larger.",
        "refreshed-too-rarely",
    )


def reward_scale(history: History, settings: Settings) -> RunWarning | None:
    """Rewards are so large or so small that the usual settings do not suit them.

    A rare reward is not a small one.
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
        f"The largest mean reward per env step of an episode is {figure(largest)}, "
        f"over {len(returns):,} episodes.",
        "The loss grows with the square of the reward, and learning_rate, huber_delta and "
        "max_gradient_norm suit rewards around 1. Scale the rewards in the environment.",
        "reward-scale",
    )


def slower(history: History, settings: Settings) -> RunWarning | None:
    """The training has lost more than half of its speed, evaluations aside."""
    timing, starts = history.timing, settings.first_update_ticks
    steps = timing["env_steps"]
    evaluated_at = np.concatenate([[], *(e["env_steps"] for e in history.evaluations.values())])
    # A row is written before the evaluation at its env step, so the next row includes its time.
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
        f"It runs at {now:,.0f} {settings.clock} per second. Before, it ran at {before:,.0f}.",
        "Another program may be using the processors, or the disk may be slow. Env steps can also "
        "cost more as the policy changes. The results are the same.",
        "slower",
    )


def dead_units(diagnostics: Diagnostics) -> RunWarning | None:
    """At least half of a hidden layer outputs 0 for every state."""
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
        f"Units that output 0 for each of {diagnostics.states:,} states of the replay buffer: "
        f"{', '.join(layers)} (checkpoint at env step {diagnostics.env_steps:,}).",
        "No gradient flows through a unit that always outputs 0, so it no longer learns. Try a "
        "lower learning_rate, layer_norm, or another activation.",
        "dead-units",
    )


def mostly_one_episode(diagnostics: Diagnostics) -> RunWarning | None:
    """At least half of the replay buffer comes from a single episode."""
    few = diagnostics.transitions < _FEWEST_TRANSITIONS
    if few or diagnostics.largest_episode * 2 < diagnostics.transitions:
        return None
    share = diagnostics.largest_episode / diagnostics.transitions
    return RunWarning(
        "The replay buffer holds mostly one episode",
        f"{diagnostics.largest_episode:,} of its {diagnostics.transitions:,} transitions "
        f"({share:.0%}) come from one of {diagnostics.episodes:,} episodes (checkpoint at env step "
        f"{diagnostics.env_steps:,}).",
        "Transitions of one episode are correlated, so a batch is not a random sample. Make "
        "replay_capacity larger, or train on more environments at once (num_envs).",
        "mostly-one-episode",
    )


CHECKS: tuple[Check, ...] = (
    q_grows_away,
    loss_rises,
    epsilon_done_early,
    refreshed_too_rarely,
    reward_scale,
    slower,
)


def checked(settings: Settings) -> list[str]:
    """What the checks look at in a run, in words: what it does not have is left out."""
    acts = not settings.is_offline
    looked_at = {
        "Q-values against returns": acts,
        "loss against return": acts,
        "end of the decay of ε": acts and not settings.exploration.noisy,
        "refreshes of the target network": settings.has_target_network,
        "size of the rewards": acts,
        "speed": True,
        "dead units": True,
        "episodes in the replay buffer": settings.has_replay,
    }
    return [words for words, is_there in looked_at.items() if is_there]


def _measured(history: History, column: str) -> tuple[np.ndarray, np.ndarray]:
    """The finite values of a statistic, and a mask of their rows."""
    values = history.training[column]
    finite = np.isfinite(values)
    return values[finite], finite


def _beginning(values: np.ndarray) -> float:
    return float(np.nanmean(values[: max(1, len(values) // 5)]))


def _end(values: np.ndarray) -> float:
    return float(np.nanmean(values[-max(1, len(values) // 10) :]))
