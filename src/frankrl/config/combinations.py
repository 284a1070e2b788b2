"""Which settings go together."""

from typing import TYPE_CHECKING

from frankrl.core.errors import SettingError

if TYPE_CHECKING:
    from frankrl.config import Settings


def check_together(settings: "Settings") -> None:
    """Rules that involve more than one setting.

    Raises:
        SettingError: one of them is broken.
    """
    replay, training = settings.replay, settings.training
    network = settings.network
    for name in ("scale_observation", "layer_norm", "dueling"):
        if network.q_function == "table" and getattr(network, name):
            raise SettingError(f"a Q-table has no {name}: leave it out")
    _check_combination(settings)
    if replay.batch_size > replay.replay_capacity:
        raise SettingError(
            f"batch_size ({replay.batch_size:,}) is larger than the buffer can ever hold "
            f"(replay_capacity {replay.replay_capacity:,}); lower the one or raise the other"
        )
    largest_round = settings.round_env_steps + (replay.n_step - 1) * settings.environment.num_envs
    if largest_round > replay.replay_capacity:
        raise SettingError(
            f"one round can store {largest_round:,} quadruples (num_envs × "
            f"vector_steps_per_round, and what n_step holds back), more than the buffer holds "
            f"(replay_capacity {replay.replay_capacity:,}); lower the one or raise the other"
        )
    first_stored = replay.n_step * settings.environment.num_envs
    if training.learning_starts_env_steps < first_stored:
        raise SettingError(
            f"learning_starts_env_steps must be at least n_step × num_envs = {first_stored:,}, "
            f"so that the buffer is not empty, got {training.learning_starts_env_steps:,}"
        )


def _check_combination(settings: "Settings") -> None:
    """Refuse switches that contradict each other."""
    network, learning = settings.network, settings.learning
    if network.q_function == "table" and network.distribution != "mean":
        raise SettingError("a Q-table has no distribution: leave it out")
    if network.q_function == "table" and settings.exploration.noisy:
        raise SettingError("a Q-table has no noisy layers: leave noisy out")
    if learning.munchausen and learning.double:
        raise SettingError(
            "munchausen takes a mean over all next actions, so there is no best one for double to "
            "pick: leave one of them out"
        )
    if learning.munchausen and network.distribution == "c51":
        raise SettingError(
            "munchausen shifts each action's returns by another amount, which c51's fixed returns "
            "cannot take: use distribution qr or iqn, or leave munchausen out"
        )
    if network.distribution == "c51" and network.value_min >= network.value_max:
        raise SettingError(
            f"value_min ({network.value_min:g}) must be below value_max ({network.value_max:g})"
        )
    if network.distribution == "iqn" and not network.hidden_widths:
        raise SettingError("iqn needs a hidden layer: give hidden_widths at least one width")
