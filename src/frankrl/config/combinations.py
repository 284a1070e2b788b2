"""Allowed combinations of settings."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from frankrl.config.choices import Choice, chosen, shown, unless
from frankrl.config.groups import TORSOS
from frankrl.core.errors import SettingError
from frankrl.core.figures import counted

if TYPE_CHECKING:
    from frankrl.config import Settings


class Contradiction(NamedTuple):
    """Two choices that cannot both be made."""

    one: Choice
    other: Choice
    sentence: str
    """The reason, and what to do."""


class Order(NamedTuple):
    """A setting that must be below another one."""

    lower: str
    upper: str
    may_be_equal: bool
    reason: str


_ASYNCHRONOUS = unless("asynchronous_actors", None)
_NOT_ASYNCHRONOUS = (
    (
        chosen("noisy", True),
        "asynchronous_actors explore with an ε of their own for each environment, not by noise: "
        "leave noisy out",
    ),
    *(
        (
            chosen(name, True),
            "asynchronous_actors see their own environments alone, so they have no statistics of "
            f"all that the training has seen: leave {name} out",
        )
        for name in ("normalize_observations", "normalize_rewards")
    ),
    (
        chosen("evaluation_on", "training"),
        "asynchronous_actors use the training environments while an evaluation is played: set "
        "evaluation_on to own",
    ),
    (
        unless("restart_failed_envs", 0),
        "the environments of asynchronous_actors are not made anew: leave restart_failed_envs at 0",
    ),
    (
        unless("frame_stack", None, 1),
        "what asynchronous_actors send begins like an episode in the replay buffer, so no stack "
        "could reach back before it: set frame_stack to 1",
    ),
)
_NOT_PQN = (
    (
        chosen("source", "host"),
        "pqn acts, steps and learns in one compiled call: set source to auto",
    ),
    (
        chosen("distribution", "c51", "qr", "iqn"),
        "pqn learns from λ-returns, which are numbers and no distributions: set distribution to "
        "mean",
    ),
    (chosen("noisy", True), "pqn explores by ε and has no noise for updates: leave noisy out"),
    (
        _ASYNCHRONOUS,
        "pqn acts, steps and learns in one compiled call, so there are no actors: leave "
        "asynchronous_actors out",
    ),
)
_NOT_CLONING = (
    (chosen("dataset", None), "bc imitates the actions of a data set: give dataset one"),
    (
        unless("demonstration_share", 0.0),
        "bc would imitate itself while it acts: leave demonstration_share out",
    ),
    (
        chosen("distribution", "c51", "qr", "iqn"),
        "bc learns a policy and no returns, so there is no distribution of them: set distribution "
        "to mean",
    ),
    (chosen("noisy", True), "bc does not explore: leave noisy out"),
)
_NOT_DATASET = (
    (
        chosen("algorithm", "pqn"),
        "pqn learns from the steps of its own round alone: set algorithm to dqn",
    ),
    (
        chosen("replay_sampling", "newest"),
        "the transitions of a data set are all of the same age, so there are no newest ones: set "
        "replay_sampling to uniform or prioritised",
    ),
    (
        chosen("source", "device"),
        "what a data set holds is put into batches on the host: set source to auto",
    ),
    (
        chosen("checkpoint_replay", "none"),
        "a checkpoint holds the data, so that a run continues without its data set: set "
        "checkpoint_replay to all",
    ),
    (
        _ASYNCHRONOUS,
        "asynchronous_actors keep the learner from drawing batches of two parts: leave "
        "asynchronous_actors out",
    ),
)
_NOT_GRU = (
    (
        chosen("algorithm", "pqn"),
        "pqn learns from single steps and keeps no sequences, so memory gru needs algorithm dqn: "
        "set algorithm to dqn, or memory to none",
    ),
    (
        _ASYNCHRONOUS,
        "what asynchronous_actors send ends like an episode in the replay buffer, so no sequence "
        "could go on beyond it: leave asynchronous_actors out, or set memory to none",
    ),
    (
        chosen("replay_sampling", "newest"),
        "memory gru learns from sequences out of a replay buffer: use replay_sampling uniform or "
        "prioritised, or set memory to none",
    ),
    (
        chosen("symmetry", True),
        "the memory of a mirror image is no mirror image of the memory: set symmetry to false, or "
        "memory to none",
    ),
)
CONTRADICTIONS = (
    *(Contradiction(chosen("memory", "gru"), other, sentence) for other, sentence in _NOT_GRU),
    Contradiction(
        chosen("munchausen", True),
        chosen("value_rescaling", True),
        "munchausen adds a log-probability in units of reward to Q-values, which value_rescaling "
        "puts on another scale: leave one of them out",
    ),
    *(
        Contradiction(unless("dataset", None), other, f"{sentence}, or leave dataset out")
        for other, sentence in _NOT_DATASET
    ),
    *(
        Contradiction(chosen("algorithm", "bc"), other, f"{sentence}, or set algorithm to dqn")
        for other, sentence in _NOT_CLONING
    ),
    *(
        Contradiction(chosen("algorithm", "pqn"), other, f"{sentence}, or set algorithm to dqn")
        for other, sentence in _NOT_PQN
    ),
    Contradiction(
        chosen("munchausen", True),
        chosen("double", True),
        "munchausen takes a mean over all next actions, so there is no best one for double to "
        "pick: leave one of them out",
    ),
    Contradiction(
        chosen("munchausen", True),
        chosen("distribution", "c51"),
        "munchausen shifts each action's returns by another amount, which c51's fixed returns "
        "cannot take: use distribution qr or iqn, or leave munchausen out",
    ),
    Contradiction(
        chosen("q_function", "table"),
        unless("frame_stack", None, 1),
        "a Q-table has a row for one observation, so there is nothing to stack: leave frame_stack "
        "out, or set q_function to network",
    ),
    Contradiction(
        unless("network", None),
        chosen("distribution", "iqn"),
        "a network of your own gets no fractions, which iqn needs: use distribution mean, c51 or "
        "qr, or give your own torso instead of the whole network",
    ),
    *(
        Contradiction(
            own,
            chosen("acting", "host"),
            f"acting host computes with NumPy, and a {own.setting} of your own computes with JAX: "
            "use acting auto or device",
        )
        for own in (unless("network", None), unless("torso", *TORSOS))
    ),
    Contradiction(
        chosen("until_solved", True),
        chosen("final_evaluation_episodes", None),
        "until_solved needs the solved check, which plays final_evaluation_episodes: give them a "
        "number, or leave until_solved out",
    ),
    Contradiction(
        chosen("bootstrap_on", "always"),
        chosen("life_loss_terminates", True),
        "bootstrap_on always ignores every terminal state, lost lives too: leave one of them out",
    ),
    *(
        Contradiction(_ASYNCHRONOUS, other, f"{sentence}, or leave asynchronous_actors out")
        for other, sentence in _NOT_ASYNCHRONOUS
    ),
    Contradiction(
        chosen("evaluation_on", "training"),
        unless("num_envs", 1),
        "evaluation_on training plays in the only training environment: set num_envs to 1",
    ),
    Contradiction(
        chosen("backend", "envpool"),
        unless("restart_failed_envs", 0),
        "EnvPool cannot make one of its environments anew: leave restart_failed_envs at 0, or set "
        "backend to gymnasium",
    ),
    Contradiction(
        chosen("backend", "envpool"),
        unless("info_metrics", ()),
        "EnvPool's environments give no info of their own: leave info_metrics out, or set backend "
        "to gymnasium",
    ),
    Contradiction(
        chosen("evaluation_on", "training"),
        chosen("backend", "envpool"),
        "evaluations always use Gymnasium's environments, so evaluation_on training needs backend "
        "gymnasium",
    ),
    Contradiction(
        chosen("normalize_observations", True),
        chosen("scale_observation", True),
        "normalize_observations and scale_observation both scale what the network gets: leave one "
        "of them out",
    ),
    Contradiction(
        chosen("symmetry", True),
        chosen("normalize_observations", True),
        "the running mean that normalize_observations subtracts is no mirror image of itself: "
        "leave one of them out, or use scale_observation",
    ),
    Contradiction(
        unless("wrappers", ()),
        chosen("backend", "envpool"),
        "EnvPool's environments take no wrappers: set backend to gymnasium, or leave wrappers out",
    ),
)
_MOST_UPDATES = 2**32 - 1
_ROUNDING = 1e-9
"""Part of a batch by which a share may miss a whole number of transitions."""
ORDERS = (
    Order("value_min", "value_max", False, "c51's fixed returns lie between them"),
    Order("batch_size", "replay_capacity", True, "the buffer must hold a batch"),
    Order("burn_in_steps", "sequence_steps", False, "the rest of a sequence is learned from"),
)


def check_together(settings: "Settings") -> None:
    """Check the rules that involve more than one setting.

    Raises:
        SettingError: a rule is violated.
    """
    values = settings.values()
    for rule in CONTRADICTIONS:
        if all(choice.is_made(values[choice.setting]) for choice in (rule.one, rule.other)):
            raise SettingError(rule.sentence)
    for order in ORDERS:
        _check_order(order, values)
    _check_data(settings)
    if not settings.is_offline:
        _check_rounds(settings)
    _check_updates(settings)


def _check_order(order: Order, values: Mapping[str, Any]) -> None:
    lower, upper = values[order.lower], values[order.upper]
    if lower < upper or (order.may_be_equal and lower == upper):
        return
    words = "at most" if order.may_be_equal else "below"
    raise SettingError(
        f"{order.lower} ({shown(lower)}) must be {words} {order.upper} ({shown(upper)}), since "
        f"{order.reason}: lower the one or raise the other"
    )


def _check_rounds(settings: "Settings") -> None:
    """Check the rules about the number of transitions in a round."""
    replay, num_envs = settings.replay, settings.round_envs
    _check_actors(settings)
    if not settings.has_replay:
        _check_minibatches(settings)
        return
    reach = replay.n_step
    names, held_by = "n_step", "n_step holds"
    if settings.sequences is not None:
        reach += settings.sequences.learned_steps - 1
        names = "(sequence_steps - burn_in_steps + n_step - 1)"
        held_by = "sequence_steps and n_step hold"
    largest_round = settings.round_ticks + (reach - 1) * num_envs
    if largest_round > replay.replay_capacity:
        raise SettingError(
            f"one round can store {counted(largest_round, 'transition')} (num_envs × "
            f"vector_steps_per_round, and what {held_by} back), more than the buffer holds "
            f"(replay_capacity {replay.replay_capacity:,}); lower the one or raise the other"
        )
    first_stored = reach * num_envs
    starts = settings.training.learning_starts_env_steps
    if starts < first_stored:
        raise SettingError(
            f"learning_starts_env_steps must be at least {names} × num_envs = {first_stored:,}, "
            f"so that the buffer is not empty, got {starts:,}"
        )


def _check_data(settings: "Settings") -> None:
    """Check how batches are made from a data set."""
    if settings.is_offline and settings.evaluation.evaluation_on == "training":
        raise SettingError(
            "a run that learns from a data set alone has no training environment, in which "
            "evaluation_on training would play: set evaluation_on to own"
        )
    if not settings.has_demonstrations:
        return
    size, share = settings.replay.batch_size, settings.data.demonstration_share
    rows = min(max(settings.demonstration_rows, 1), size - 1)
    if size == 1:
        raise SettingError(
            "a batch of one transition has no share of demonstrations: raise batch_size, or leave "
            "demonstration_share out"
        )
    if abs(rows - share * size) > _ROUNDING * size:
        raise SettingError(
            f"demonstration_share ({shown(share)}) must leave a whole number of the "
            f"{counted(size, 'transition')} of a batch (batch_size) to each part: set it to "
            f"{rows / size!r}, which is {rows:,} of them"
        )


def _check_updates(settings: "Settings") -> None:
    """Check that the updates of the whole run can be counted."""
    if settings.is_offline:
        return
    total = settings.training.total_env_steps
    if (count := settings.updates_due(total)) <= _MOST_UPDATES:
        return
    advice = "replay_ratio" if settings.has_replay else "epochs_per_round or minibatches"
    raise SettingError(
        f"a run can do at most {counted(_MOST_UPDATES, 'update')}, which are counted in 32 bits, "
        f"and {counted(total, 'env step')} would do {count:,}: lower total_env_steps or {advice}"
    )


def _check_actors(settings: "Settings") -> None:
    """Check how the environments are shared out among actors that run freely."""
    actors, num_envs = settings.environment.asynchronous_actors, settings.environment.num_envs
    if actors is None:
        return
    if num_envs % actors:
        nearest = max(1, round(num_envs / actors)) * actors
        raise SettingError(
            f"num_envs ({num_envs:,}) must be a multiple of asynchronous_actors ({actors:,}), "
            f"because all have the same number of environments: set num_envs to {nearest:,}"
        )
    steps, n_step = settings.training.vector_steps_per_round, settings.replay.n_step
    if n_step > steps:
        raise SettingError(
            f"n_step ({n_step:,}) must be at most vector_steps_per_round ({steps:,}), because no "
            "transition goes beyond what one of asynchronous_actors sends at once: raise "
            "vector_steps_per_round, for example to 50"
        )


def _check_minibatches(settings: "Settings") -> None:
    """Check that a round's steps can be divided into equal minibatches."""
    steps, parts = settings.round_ticks, settings.learning.minibatches
    if not steps % parts:
        return
    nearest = max(part for part in range(1, min(parts, steps) + 1) if steps % part == 0)
    raise SettingError(
        f"minibatches ({parts:,}) must divide the {counted(steps, 'env step')} of a round "
        f"(num_envs × vector_steps_per_round) into equal parts: set minibatches to {nearest:,}, "
        "or change num_envs or vector_steps_per_round"
    )
