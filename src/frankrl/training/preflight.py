"""Checks before a run begins or continues."""

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import jax
from gymnasium import spaces

from frankrl.config import Settings
from frankrl.core.backend import held_to_cpu
from frankrl.core.errors import MachineError, SettingError
from frankrl.core.figures import counted
from frankrl.core.wording import option
from frankrl.environments import EnvironmentSpec
from frankrl.experience.normaliser import is_normalised
from frankrl.training.sizes import (
    bytes_on_disk,
    data_bytes,
    in_bytes,
)
from frankrl.training.state import Experiment

_MAX_SHOWN = 60


def check_device(settings: Settings) -> None:
    """Refuse to learn on another device than the requested one.

    Raises:
        MachineError: JAX computes on another device.
    """
    wanted, found = settings.training.device, jax.devices()[0].platform
    if wanted in ("auto", found):
        return
    platforms = jax.config.jax_platforms  # pyright: ignore[reportAttributeAccessIssue]
    if held_to_cpu():
        why = "an earlier run in this process chose it: begin this one in a process of its own"
    elif platforms:
        why = f"JAX_PLATFORMS is {platforms!r}: unset it"
    elif wanted == "gpu":
        why = 'it finds no GPU: install JAX for yours, as by pip install "jax[cuda13]"'
    else:
        why = "it was in use before Frank: set JAX_PLATFORMS=cpu"
    raise MachineError(
        f"device is {wanted!r}, but JAX computes on {found!r}, since {why}; or choose device auto"
    )


def check_agent(settings: Settings, spec: EnvironmentSpec) -> None:
    """Refuse what does not fit the observations of an environment.

    Raises:
        SettingError: a Q-table is wanted and the states have no numbers, or observations are to be
            normalised and hold no real numbers.
    """
    if settings.environment.normalize_observations and not any(
        is_normalised(leaf.dtype) for leaf in spec.leaves
    ):
        raise SettingError(
            f"normalize_observations scales real numbers, and {spec.env_id} shows bytes or "
            f"numbered values alone (its observation space is {_short(spec.state_space)}): leave "
            "it out"
        )
    space = spec.state_space
    if settings.network.q_function == "table" and not isinstance(space, spaces.Discrete):
        raise SettingError(
            f"a Q-table has a row for each state, and the states of {spec.env_id} are no numbers "
            f"(its observation space is {_short(space)}): leave out "
            f"{option('q_function', 'table')} to learn with a network"
        )


def check_threshold(settings: Settings, spec: EnvironmentSpec) -> None:
    """Refuse `until_solved` for an environment without a reward threshold.

    Raises:
        SettingError: the environment names no reward threshold.
    """
    if settings.evaluation.until_solved and spec.reward_threshold is None:
        raise SettingError(
            f"{spec.env_id} names no reward threshold, so until_solved would never stop it; "
            f"give it a budget with {settings.budget_name} instead"
        )


def check_disk(path: Path, experiment: Experiment, *, already: Sequence[int] = (0,)) -> None:
    """Refuse runs whose checkpoints do not fit on the disk.

    Args:
        path: the run folder, or that of several runs; it need not exist.
        experiment: that of any of them.
        already: number of checkpoints of each run that exist already.

    Raises:
        MachineError: there is too little room.
    """
    settings = experiment.settings
    transitions = min(settings.replay.replay_capacity, settings.training.total_env_steps)
    if settings.is_offline:
        transitions = experiment.replay.capacity
    # A new checkpoint is written before the oldest one is removed.
    checkpoints = [max(1, settings.saving.keep_checkpoints + 1 - there) for there in already]
    needed = 0
    if settings.has_replay and settings.saving.checkpoint_replay == "all":
        for count, runs in Counter(checkpoints).items():
            each = bytes_on_disk(experiment, transitions, count) + data_bytes(experiment)
            needed += runs * each
    there = path.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        free = shutil.disk_usage(there).free
    except OSError:
        return
    if needed <= free:
        return
    with_each = f"with {counted(transitions, 'transition')} take {in_bytes(needed)}"
    if len(already) > 1:
        raise MachineError(
            f"{in_bytes(free)} are free in {there}, and the checkpoints of {len(already):,} runs "
            f"{with_each}: free some space, or begin elsewhere, or with a lower replay_capacity or "
            "keep_checkpoints"
        )
    more = counted(checkpoints[0], "more checkpoint")
    raise MachineError(
        f"{in_bytes(free)} are free in {there}, and {more} {with_each}: choose another "
        f"{option('out')}, or lower replay_capacity or keep_checkpoints"
    )


def _short(space: spaces.Space) -> str:
    text = " ".join(str(space).split())
    return text if len(text) <= _MAX_SHOWN else f"{type(space).__name__} {space.shape}"
