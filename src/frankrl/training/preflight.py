"""What is checked before a run begins or goes on."""

import itertools
import math
import shutil
from pathlib import Path

import jax
from gymnasium import spaces

from frankrl.config import Settings
from frankrl.core.backend import held_to_cpu
from frankrl.core.errors import SettingError
from frankrl.environments import EnvironmentSpec
from frankrl.networks import make_head
from frankrl.replay import BYTES_PER_PRIORITY, bytes_per_transition
from frankrl.runs.machine import available_memory

_LARGEST_SHARE = 0.3
"""Part of the available memory that the buffer may take: writing it out takes two copies more."""

_CPU_UPDATE, _CPU_OPERATION = 60e-6, 17e-12
"""What an update takes on one thread of a CPU, and each of its floating-point operations. [s]"""
_GPU_UPDATE, _GPU_ROUND = 100e-6, 1e-3
"""What an update takes on a GPU however small it is, and what a round takes besides. [s] All of
them roughly: see "On a GPU" in docs/benchmarks.md."""

_MAX_SHOWN = 60
_COPIES = 8
"""Roughly: both networks, their mean, the gradient, Adam's moments, and what is in flight."""
_DETAIL = {
    "mean": " or smaller hidden_widths",
    "c51": " or num_atoms",
    "qr": " or num_quantiles",
    "iqn": ", iqn_samples or iqn_acting_fractions",
}


def memory_line(settings: Settings, spec: EnvironmentSpec) -> str:
    """What the replay buffer takes, in words."""
    each = _bytes_each(settings, spec)
    capacity = settings.replay.replay_capacity
    return f"replay buffer: {capacity:,} transitions × {each:,} bytes = {_size(each * capacity)}"


def belongs_on_cpu(settings: Settings, spec: EnvironmentSpec) -> bool:
    """Whether updates are to be computed on the CPU, whatever else JAX can use."""
    training = settings.training
    if training.device != "auto":
        return training.device == "cpu"
    rows = settings.replay.batch_size
    if settings.network.distribution == "iqn":
        rows *= settings.learning.iqn_samples
    # Forward, and the gradients of weights and inputs: a product and a sum for each weight.
    operations = 6 * _weights(settings, spec) * rows
    saved = _CPU_UPDATE + _CPU_OPERATION * operations - _GPU_UPDATE
    return settings.round_env_steps * training.replay_ratio * saved < _GPU_ROUND


def check_device(settings: Settings) -> None:
    """Refuse to learn elsewhere than on the device that is asked for.

    Raises:
        SettingError: JAX, once started, does not compute there.
    """
    wanted, found = settings.training.device, jax.devices()[0].platform
    if wanted in ("auto", found):
        return
    told = jax.config.jax_platforms  # pyright: ignore[reportAttributeAccessIssue]
    if held_to_cpu():
        why = "an earlier run in this process chose it: begin this one in a process of its own"
    elif told:
        why = f"JAX_PLATFORMS is {told!r}: unset it"
    elif wanted == "gpu":
        why = "it finds no GPU: install JAX for yours, as by pip install 'jax[cuda13]'"
    else:
        why = "it was in use before Frank: set JAX_PLATFORMS=cpu"
    raise SettingError(
        f"device is {wanted!r}, but JAX computes on {found!r}, since {why}; or choose device auto"
    )


def check_memory(settings: Settings, spec: EnvironmentSpec) -> None:
    """Refuse a replay buffer that does not fit.

    Raises:
        SettingError: it needs more memory than there is.
    """
    each = _bytes_each(settings, spec)
    check_network(settings, spec)
    there = _memory()
    if there is None:
        return
    updates = settings.round_env_steps * settings.training.replay_ratio
    in_round = updates * settings.replay.batch_size
    if in_round * each * _COPIES > there:
        raise SettingError(
            f"the updates of one round learn from {in_round:,.0f} quadruples at once "
            "(num_envs × vector_steps_per_round × replay_ratio × batch_size), which does not fit "
            f"into memory: {_size(there)} are available"
        )
    most = int(there * _LARGEST_SHARE / each)
    if settings.replay.replay_capacity > most:
        raise SettingError(
            f"the {memory_line(settings, spec)} does not fit into memory: {_size(there)} are "
            "available, and a checkpoint takes twice the buffer again while it is written; "
            f"replay_capacity can be {most:,} at most"
        )


def check_agent(settings: Settings, spec: EnvironmentSpec) -> None:
    """Refuse a Q-table where the states have no numbers.

    Raises:
        SettingError: it is asked for, and they have none.
    """
    space = spec.state_space
    if settings.network.q_function == "table" and not isinstance(space, spaces.Discrete):
        raise SettingError(
            f"a Q-table has a row for each state, and the states of {spec.env_id} are no numbers "
            f"from 0 on (its observation space is {_short(space)}): leave --q-function "
            "table out, and a network learns them"
        )


def check_network(settings: Settings, spec: EnvironmentSpec) -> None:
    """Refuse a network that does not fit.

    Raises:
        SettingError: it, or learning it, needs more memory than there is.
    """
    there = _memory()
    if there is None:
        return
    weights = _weights(settings, spec)
    needed = 4 * weights * _COPIES
    if needed > there:
        raise SettingError(
            f"a network with hidden_widths {list(settings.network.hidden_widths)} and what its "
            f"head asks for has about {weights:,} weights; learning them takes {_size(needed)} "
            f"and {_size(there)} are available: choose smaller ones"
        )
    batch = settings.replay.batch_size
    needed = 4 * batch * _numbers_of_each(settings, spec) * _COPIES
    if needed > there:
        raise SettingError(
            f"an update with batch_size {batch:,} and distribution "
            f"{settings.network.distribution!r} takes about {_size(needed)}, and {_size(there)} "
            f"are available: choose a smaller batch_size{_DETAIL[settings.network.distribution]}"
        )


def _weights(settings: Settings, spec: EnvironmentSpec) -> int:
    """Numbers that are learned, about."""
    network = settings.network
    if network.q_function == "table":
        return math.prod(spec.state_shape) * spec.num_actions
    outputs = (spec.num_actions + network.dueling) * (make_head(network).atoms or 1)
    sizes = (math.prod(spec.state_shape), *network.hidden_widths, outputs)
    weights = sum(a * b + b for a, b in itertools.pairwise(sizes))
    if settings.exploration.noisy:
        weights *= 2
    if network.distribution == "iqn":
        weights += (network.iqn_cosines + 1) * network.hidden_widths[0]
    return weights


def _numbers_of_each(settings: Settings, spec: EnvironmentSpec) -> int:
    """The most numbers that an update has at once for each quadruple, about."""
    network, samples = settings.network, settings.learning.iqn_samples
    widest = max(*network.hidden_widths, spec.num_actions, 1)
    match network.distribution:
        case "mean":
            return widest
        case "c51":
            return network.num_atoms * max(network.num_atoms, spec.num_actions)
        case "qr":
            return network.num_quantiles * max(network.num_quantiles, spec.num_actions)
        case "iqn":
            asked = max(samples, network.iqn_acting_fractions)
            return max(asked * max(widest, network.iqn_cosines), samples**2)


def check_disk(path: Path, settings: Settings, spec: EnvironmentSpec, *, already: int = 0) -> None:
    """Refuse a run whose checkpoints do not fit on the disk.

    Args:
        path: the run folder, which need not be there.
        settings: the run's.
        spec: its environment.
        already: checkpoints that are there.

    Raises:
        SettingError: there is too little room.
    """
    each = _bytes_each(settings, spec)
    transitions = min(settings.replay.replay_capacity, settings.training.total_env_steps)
    # A new checkpoint is written before the oldest one goes.
    checkpoints = max(1, settings.saving.keep_checkpoints + 1 - already)
    needed = each * transitions * checkpoints
    there = path.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        free = shutil.disk_usage(there).free
    except OSError:
        return
    if needed > free:
        raise SettingError(
            f"{_size(free)} are free in {there}, and {checkpoints} more checkpoints with "
            f"{transitions:,} transitions take {_size(needed)}: choose another --out, or lower "
            "replay_capacity or keep_checkpoints"
        )


def check_threshold(settings: Settings, spec: EnvironmentSpec) -> None:
    """Refuse to wait for an environment to be solved that does not say when it is.

    Raises:
        SettingError: it names no reward threshold.
    """
    if settings.evaluation.until_solved and spec.reward_threshold is None:
        raise SettingError(
            f"{spec.env_id} names no reward threshold, so until_solved would never stop it; "
            "give it a budget with total_env_steps instead"
        )


def _memory() -> int | None:
    """Memory that a run can take where it learns, as far as that is known. [bytes]"""
    found = [available_memory(), (jax.devices()[0].memory_stats() or {}).get("bytes_limit")]
    return min((size for size in found if size is not None), default=None)


def _bytes_each(settings: Settings, spec: EnvironmentSpec) -> int:
    """Memory that one row of the buffer takes. [bytes]"""
    each = bytes_per_transition(spec.observation_shape, spec.observation_dtype)
    is_prioritised = settings.replay.replay_sampling == "prioritised"
    return each + BYTES_PER_PRIORITY if is_prioritised else each


def _short(space: spaces.Space) -> str:
    text = " ".join(str(space).split())
    return text if len(text) <= _MAX_SHOWN else f"{type(space).__name__} {space.shape}"


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:,.1f} GiB"
