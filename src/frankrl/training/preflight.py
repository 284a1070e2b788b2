"""Checks before a run begins or continues."""

import functools
import math
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from gymnasium import spaces

from frankrl.config import Settings
from frankrl.core.backend import held_to_cpu, visible_cpus
from frankrl.core.errors import MachineError, SettingError
from frankrl.core.figures import counted
from frankrl.core.seeds import MAX_SEEDS
from frankrl.core.sequences import Sequences
from frankrl.core.system import available_memory
from frankrl.core.types import ACTION_DTYPE, Transition
from frankrl.core.wording import option
from frankrl.environments import EnvironmentSpec, FrameStack, picture_axes
from frankrl.experience.normaliser import is_normalised
from frankrl.learning import init_learner, update
from frankrl.networks import FeedForwardNetwork
from frankrl.replay import chunk_size, step_shapes
from frankrl.training.noise import noise_shapes
from frankrl.training.state import Experiment, TrainState

_LARGEST_SHARE = 0.45
"""Share of the available memory that the buffer may take. Saving and restoring it take 0.3 GiB
besides, whatever its size (docs/benchmarks.md), but room for more episode ends means a copy."""
_LARGEST_COMPRESSED = 0.1
"""Share of their size to which pictures are taken to shrink in chunks; screens of Atari games
shrink to 0.005 of it."""

_CPU_UPDATE, _CPU_OPERATION = 60e-6, 17e-12
"""Time of an update on one CPU thread, and of each of its floating-point operations. [s]"""
_GPU_UPDATE, _GPU_ROUND = 100e-6, 1e-3
"""Time of a small update on a GPU, and additional time of a round. [s] All four are rough: see
"On a GPU" in docs/benchmarks.md."""
_GPU_COMPILED_ROUND = 200e-6
"""Time of an update on the CPU from which on a GPU is worth its longer compilation, if all of a
round is compiled: there its kernels take 46 µs. [s]"""
_GPU_MEMORY_STEP = 100e-6
"""Time of one step of a memory on a GPU. [s] Unlike the numbers above it is a guess that nobody has
measured: some ten small kernels, one after the other, forward and back and for both networks. Where
it is too large, `device auto` stays on the CPU although a GPU is faster; docs/memory.md says so."""

_LANES_SHARE = 0.8
"""Share of the available memory that the runs of one program may take."""
_LANE_OUTPUTS = 1 << 20
"""Room for what a chunk gives of one run. [bytes]"""
_PATCHES = 1.7
"""Factor of the time of a convolution, whose patches are gathered before they are multiplied."""
_LONG_HOURS = 1.0

_MAX_SHOWN = 60
_COPIES = 8
"""Roughly: both networks, their average, the gradient, Adam's moments, and temporary arrays."""


def memory_line(experiment: Experiment) -> str:
    """The memory of the replay buffer, in words; of PQN what it keeps instead."""
    if experiment.buffer is None:
        kept = counted(experiment.settings.round_env_steps, "env step")
        return f"no replay buffer: the {kept} of a round are learned from and dropped"
    each, held = _bytes_each(experiment), experiment.replay.most_transitions
    size = _size(each * held)
    line = f"replay buffer: {counted(held, 'transition')} × {counted(each, 'byte')} = {size}"
    if held < experiment.replay.capacity:
        capacity = experiment.replay.capacity
        line += f" (total_env_steps fills no more of a replay_capacity of {capacity:,})"
    if experiment.demonstrations is not None:
        held = experiment.demonstrations.capacity
        other = _data_bytes(experiment)
        line += f", and {counted(held, 'transition')} of the data set = {_size(other)}"
    return line


def belongs_on_cpu(experiment: Experiment, num_seeds: int = 1) -> bool:
    """Whether updates are computed on the CPU even if JAX can use another device.

    Args:
        experiment: the run's experiment.
        num_seeds: number of runs that are one program.
    """
    settings = experiment.settings
    training = settings.training
    if training.device != "auto":
        return training.device == "cpu"
    seconds = _update_seconds(experiment) * num_seeds
    waits = _positions(settings) * _GPU_MEMORY_STEP
    if settings.environment.source == "device":
        return seconds < _GPU_COMPILED_ROUND + waits
    saved = seconds - _GPU_UPDATE - waits
    return _updates_in_round(settings) * saved < _GPU_ROUND


def _positions(settings: Settings) -> int:
    """Observations that the memory sees one after the other in an update; 0 without a memory."""
    spec = settings.sequences
    return 0 if spec is None else spec.burn_in_steps + spec.learned_steps + settings.replay.n_step


def _updates_in_round(settings: Settings) -> float:
    """Mean number of updates in a round, once learning has started."""
    if settings.has_replay and not settings.is_offline:
        return settings.round_env_steps * settings.training.replay_ratio
    return settings.updates_due(settings.round_env_steps)


def _update_seconds(experiment: Experiment) -> float:
    """About the time of an update on the CPU. [s]"""
    settings, network = experiment.settings, experiment.network
    rows = settings.update_transitions * max(network.head.num_fractions, 1)
    # Forward pass, gradient of the weights, gradient of the inputs: each takes a product and a
    # sum per weight.
    operations = 6 * network.num_products * rows
    if network.reads_pictures:
        operations *= _PATCHES
    return _CPU_UPDATE + _CPU_OPERATION * operations


def duration_line(experiment: Experiment, step_seconds: float) -> str:
    """About how long a run will take on the CPU, in words; empty if that is no long time.

    Args:
        experiment: the run's experiment.
        step_seconds: time of a step of the environment. [s]
    """
    settings = experiment.settings
    total = settings.budget
    # A compiled step takes next to none of the time of the same step on the host.
    on_device = settings.environment.source == "device"
    stepping = 0.0 if on_device or settings.is_offline else total * step_seconds
    updates = settings.updates_due(total) * _update_seconds(experiment)
    # The two go on at the same time if there are cores for both.
    at_once = settings.training.overlap and visible_cpus() > 1
    hours = (max if at_once else sum)((stepping, updates)) / 3600
    if hours < _LONG_HOURS or jax.default_backend() != "cpu":
        return ""
    what = f"{total:,} {settings.clock}" + ("" if settings.is_offline else " and their updates")
    return (
        f"{what} take about {counted(round(hours), 'hour')} on the processors here: a GPU is much "
        f"faster, a smaller {option(settings.budget_name)} ends earlier"
    )


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
        why = "it finds no GPU: install JAX for yours, as by pip install 'jax[cuda13]'"
    else:
        why = "it was in use before Frank: set JAX_PLATFORMS=cpu"
    raise MachineError(
        f"device is {wanted!r}, but JAX computes on {found!r}, since {why}; or choose device auto"
    )


def check_memory(experiment: Experiment) -> None:
    """Refuse a replay buffer that does not fit.

    Raises:
        MachineError: it needs more memory than there is.
    """
    settings, there = experiment.settings, _memory()
    if there is None:
        return
    if experiment.buffer is None:
        check_network(experiment)
        return
    each = _bytes_each(experiment)
    most = int((there * _LARGEST_SHARE - _data_bytes(experiment)) / each)
    if experiment.data is not None and (settings.is_offline or most <= 0):
        check_data(experiment)
    if experiment.replay.most_transitions > most:
        raise MachineError(
            f"the {memory_line(experiment)} does not fit into memory: {_size(there)} are "
            "available, and the buffer is copied once where episodes turn out to be short; "
            f"replay_capacity can be {most:,} at most"
        )
    check_network(experiment)
    in_round = _updates_in_round(settings) * settings.update_batch_size
    # A transition that has been sampled holds two observations, or two stacks of them.
    observations, what, memory = 2, "transitions", 0
    if settings.sequences is not None:
        observations, what = settings.replay.sequence_steps + settings.replay.n_step, "sequences"
        # A step has one in the buffer, and a sequence only that of its beginning.
        memory = 4 * settings.sequences.memory_units
    sampled = observations * (each - memory) * experiment.spec.preprocessing.frame_stack + memory
    if in_round * sampled * _COPIES > there:
        by = "num_envs × vector_steps_per_round × replay_ratio"
        by = "updates_per_round" if settings.is_offline else by
        raise MachineError(
            f"the updates of one round learn from {in_round:,.0f} {what} at once ({by} × "
            f"batch_size), which does not fit into memory: {_size(there)} are available"
        )


def check_data(experiment: Experiment) -> None:
    """Refuse a data set that does not fit into memory twice, as it is there while it is read.

    Raises:
        MachineError: it needs more memory than there is.
    """
    data, there = experiment.data, _memory()
    if there is None:
        return
    assert data is not None, "there is a data set"
    needed = _data_bytes(experiment) or _buffer_bytes(experiment)
    if needed > there * _LARGEST_SHARE:
        raise MachineError(
            f"the data set {data.name} takes {_size(needed)} as a buffer of "
            f"{counted(data.num_steps, 'transition')}, and it is there twice while it is read: "
            f"{_size(there)} of memory are available"
        )


def check_copy(state: TrainState, num_lanes: int = 0) -> None:
    """Refuse to open an update where a second copy of the run's state does not fit into memory.

    Args:
        state: the state of which a copy is going to be made.
        num_lanes: number of runs that were one program with this one, all of which are repeated; 0:
            it was alone.

    Raises:
        MachineError: the copy needs more memory than is free beside the state.
    """
    leaves = jax.tree.leaves((state.learner, state.replay, state.demonstrations))
    (device,) = leaves[0].devices()
    own, free = sum(leaf.nbytes for leaf in leaves), _free_memory(device)
    # They are put together from single ones, so each is there twice for a moment.
    needed = own * max(1, 2 * num_lanes)
    if free is not None and needed > free and num_lanes:
        raise MachineError(
            f"the run was one program with those of {num_lanes:,} seeds, and its updates come to "
            f"the same bits only if all of these are computed again, which takes {_size(needed)}, "
            f"and {_size(free)} of memory are free: open it on a machine with more memory"
        )
    if free is not None and needed > free:
        raise MachineError(
            "an update is opened with a copy of the replay buffer and the networks, which takes "
            f"{_size(needed)}, and {_size(free)} of memory are free: end other programs, or open "
            "it on a machine with more memory"
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


def check_weights(experiment: Experiment) -> None:
    """Refuse a network whose weights do not fit into memory.

    Raises:
        MachineError: they need more memory than is available.
    """
    there = _memory()
    settings, weights = experiment.settings.network, experiment.network.layout.size
    needed = 4 * weights * _COPIES
    if there is None or needed <= there:
        return
    what, smaller = "your own network", "choose a smaller one"
    if settings.network is None:
        what = f"a network with hidden_widths {list(settings.hidden_widths)} and its head"
        smaller = "choose smaller hidden_widths"
    raise MachineError(
        f"{what} has about {weights:,} weights; learning them takes {_size(needed)} and "
        f"{_size(there)} are available: {smaller}"
    )


def check_network(experiment: Experiment) -> None:
    """Refuse a network that does not fit into memory while it learns.

    Raises:
        MachineError: the network, or an update of it, needs more memory than is available.
    """
    check_weights(experiment)
    there = _memory()
    if there is None:
        return
    settings, network = experiment.settings, experiment.network
    needed = _update_bytes(experiment, there)
    if needed > there:
        batch = "batch_size" if settings.has_replay else "num_envs, vector_steps_per_round"
        smaller = " or ".join((batch, *network.head.sized_by))
        raise MachineError(
            f"an update of {settings.update_transitions:,} transitions with distribution "
            f"{settings.network.distribution!r} takes about {_size(needed)}, and {_size(there)} "
            f"are available: choose a smaller {smaller}"
        )


def _update_bytes(experiment: Experiment, there: int) -> int:
    """Approximate memory of everything that an update computes. [bytes]

    Args:
        experiment: the run's experiment.
        there: available memory; if an update clearly fits, only a lower bound is returned. [bytes]
    """
    settings, network = experiment.settings, experiment.network
    batch_size = settings.update_batch_size
    batch = _batch_shapes(experiment)
    if network.is_own_code or not isinstance(network, FeedForwardNetwork):
        return _computed_bytes(experiment, batch)
    outputs = jax.eval_shape(network.apply, network.shapes, batch.observation)
    widest = max(settings.network.hidden_widths, default=1)
    samples = max(network.head.num_fractions, 1)
    rows = network.num_images * (batch_size * samples * widest + outputs.size)
    if (least := 4 * rows * _COPIES) > there:
        return least
    # A loss may compare each output for an action with each other one.
    if 4 * rows * max(outputs.size // batch_size, samples) * _COPIES < there:
        return least
    return _computed_bytes(experiment, batch)


def _computed_bytes(experiment: Experiment, batch: Transition | Sequences) -> int:
    """Memory of all intermediate results of an update, from its jaxpr. [bytes]"""
    # An update of PQN computes less: it has no target network.
    settings, network = experiment.settings.with_changes(algorithm="dqn"), experiment.network
    learner = jax.eval_shape(
        lambda params: init_learner(settings.learning, network, params), network.shapes
    )
    noise = noise_shapes(network, batch.reward.size)
    step = functools.partial(update, settings.learning, network)
    jaxpr = jax.make_jaxpr(lambda state, batch, noise: step(state, batch, 1.0, noise))(
        learner, batch, noise
    )
    return sum(
        variable.aval.size * variable.aval.dtype.itemsize
        for equation in jaxpr.eqns
        for variable in equation.outvars
    )


def _batch_shapes(experiment: Experiment) -> Transition | Sequences:
    """Shapes of the batch of an update."""
    if experiment.settings.sequences is not None:
        shapes = jax.eval_shape(experiment.empty_replay)
        begun = jax.ShapeDtypeStruct((experiment.settings.update_batch_size,), jnp.uint32)
        return jax.eval_shape(experiment.replay.read_sequences, shapes, begun)
    spec, size = experiment.spec, experiment.settings.update_batch_size
    observation = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((size, *leaf.shape[1:]), leaf.dtype),
        FrameStack(spec, 1).observation,
    )
    number = jax.ShapeDtypeStruct((size,), jnp.float32)
    mask = jax.ShapeDtypeStruct((size, spec.num_actions), jnp.bool_) if spec.is_masked else None
    action = jax.ShapeDtypeStruct((size,), ACTION_DTYPE)
    return Transition(observation, action, number, observation, number, mask, mask)


def check_disk(path: Path, experiment: Experiment, *, already: int = 0) -> None:
    """Refuse a run whose checkpoints do not fit on the disk.

    Args:
        path: the run folder, which need not exist.
        experiment: the run's experiment.
        already: number of checkpoints that exist already.

    Raises:
        MachineError: there is too little room.
    """
    settings = experiment.settings
    transitions = min(settings.replay.replay_capacity, settings.training.total_env_steps)
    if settings.is_offline:
        transitions = experiment.replay.capacity
    # A new checkpoint is written before the oldest one is removed.
    checkpoints = max(1, settings.saving.keep_checkpoints + 1 - already)
    needed = 0
    if settings.has_replay and settings.saving.checkpoint_replay == "all":
        needed = _bytes_on_disk(experiment, transitions, checkpoints) + _data_bytes(experiment)
    there = path.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        free = shutil.disk_usage(there).free
    except OSError:
        return
    if needed > free:
        raise MachineError(
            f"{_size(free)} are free in {there}, and {counted(checkpoints, 'more checkpoint')} "
            f"with {counted(transitions, 'transition')} take {_size(needed)}: choose another "
            f"{option('out')}, or lower replay_capacity or keep_checkpoints"
        )


def _bytes_on_disk(experiment: Experiment, transitions: int, checkpoints: int) -> int:
    """Size of the replay buffers in so many successive checkpoints. [bytes]"""
    settings, shapes = experiment.settings, jax.eval_shape(experiment.empty_replay)
    each = _bytes_each(experiment)
    # Less than a chunk of steps and one of episode ends is in no chunk.
    in_each = min(transitions, 2 * chunk_size(shapes) + settings.environment.num_envs)
    every = (checkpoints - 1) * settings.saving.checkpoint_every_env_steps
    in_chunks = min(transitions + every, settings.training.total_env_steps) - in_each
    if settings.is_offline:
        # They never change, so all checkpoints share them.
        in_chunks = transitions - in_each
    row = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(step_shapes(shapes, 1)))
    pictures = sum(leaf.size for leaf in experiment.spec.leaves if picture_axes(leaf))
    compressed = 1 - (1 - _LARGEST_COMPRESSED) * pictures / row
    return each * in_each * checkpoints + int(each * max(0, in_chunks) * compressed)


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


def lanes_in_memory(experiment: Experiment) -> int:
    """How many runs that differ in their seeds fit into memory as one program; at least 1."""
    there = _memory()
    if there is None:
        return MAX_SEEDS
    learned = 4 * experiment.network.layout.size + _bytes_in_round(experiment)
    # The states of single runs are stacked, so each is there twice for a moment.
    each = 2 * _buffer_bytes(experiment) + _COPIES * learned + _LANE_OUTPUTS
    return max(1, int(there * _LANES_SHARE / each))


def _buffer_bytes(experiment: Experiment) -> int:
    """Memory of the replay buffer; 0 without one. [bytes]"""
    if experiment.buffer is None:
        return 0
    return _bytes_each(experiment) * experiment.replay.most_transitions


def _data_bytes(experiment: Experiment) -> int:
    """Memory of a data set beside the run's own buffer; 0 without one. [bytes]"""
    if experiment.demonstrations is None:
        return 0
    return sum(_bytes(leaf) for leaf in jax.tree.leaves(jax.eval_shape(experiment.empty_data)))


def _bytes(leaf: Any) -> int:
    return leaf.size * leaf.dtype.itemsize


def _bytes_in_round(experiment: Experiment) -> int:
    """Memory of the transitions that the updates of a round learn from. [bytes]"""
    settings, batch = experiment.settings, jax.tree.leaves(_batch_shapes(experiment))
    size = settings.update_batch_size
    each = -(-sum(leaf.size * leaf.dtype.itemsize for leaf in batch) // size)
    if experiment.buffer is None:
        # The steps of the round, and a minibatch of them.
        return each * (settings.round_env_steps + size)
    return each * size * (math.ceil(_updates_in_round(settings)) + 1)


def _memory() -> int | None:
    """Memory available to a run on the device that learns, as far as it is known. [bytes]"""
    device = jax.devices()[0]
    if device.platform == "cpu":
        return available_memory()
    return (device.memory_stats() or {}).get("bytes_limit")


def _free_memory(device: Any) -> int | None:
    """Memory that a device of JAX still has, as far as it is known. [bytes]"""
    if device.platform == "cpu":
        return available_memory()
    stats = device.memory_stats() or {}
    if "bytes_limit" not in stats:
        return None
    return stats["bytes_limit"] - stats.get("bytes_in_use", 0)


def _bytes_each(experiment: Experiment) -> int:
    """Memory of the buffer per transition that it can come to hold. [bytes]"""
    leaves = jax.tree.leaves(jax.eval_shape(experiment.empty_replay))
    whole = sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
    return -(-whole // experiment.replay.most_transitions)


def _short(space: spaces.Space) -> str:
    text = " ".join(str(space).split())
    return text if len(text) <= _MAX_SHOWN else f"{type(space).__name__} {space.shape}"


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:,.1f} GiB"
