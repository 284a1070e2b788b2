"""Checks that what a run holds fits into memory, before it begins or continues."""

import jax

from frankrl.config import Clock
from frankrl.core.errors import MachineError
from frankrl.core.figures import counted
from frankrl.core.seeds import MAX_SEEDS
from frankrl.core.system import total_memory
from frankrl.core.wording import option
from frankrl.training.replay_place import (
    Device,
    data_fit,
    host_device,
    learning_device,
    memory_of,
    most_that_fit,
    replay_host,
)
from frankrl.training.sizes import (
    COPIES,
    buffer_bytes,
    bytes_each,
    bytes_in_round,
    data_bytes,
    in_bytes,
    memory_line,
    update_bytes,
)
from frankrl.training.state import Experiment, TrainState
from frankrl.training.update_time import updates_in_round

_LANES_SHARE = 0.5
"""Share of all memory that the runs of one program may take."""

_LANE_OUTPUTS = 1 << 20
"""Room for what a chunk gives of one run. [bytes]"""


def check_memory(experiment: Experiment) -> None:
    """Refuse a replay buffer that does not fit.

    Raises:
        MachineError: it needs more memory than there is.
    """
    settings = experiment.settings
    if experiment.buffer is None:
        check_network(experiment)
        return
    if (there := _memory_of_replay(experiment)) is not None:
        most = most_that_fit(experiment, there)
        if experiment.data is not None and (settings.is_offline or most <= 0):
            check_data(experiment)
        if experiment.replay.most_transitions > most:
            raise MachineError(
                f"the {memory_line(experiment)} does not fit into {_place(experiment)}: "
                f"{in_bytes(there)} are available, and the buffer is copied once where episodes "
                f"turn out to be short; replay_capacity can be {most:,} at most"
                f"{_elsewhere(experiment)}"
            )
    check_network(experiment)
    if (there := _memory()) is None:
        return
    each = bytes_each(experiment)
    in_round = updates_in_round(settings) * settings.update_batch_size
    # A transition that has been sampled holds two observations, or two stacks of them.
    observations, what, memory = 2, "transitions", 0
    if settings.sequences is not None:
        observations, what = settings.replay.sequence_steps + settings.replay.n_step, "sequences"
        # A step has one in the buffer, and a sequence only that of its beginning.
        memory = 4 * settings.sequences.memory_units
    sampled = observations * (each - memory) * experiment.spec.preprocessing.frame_stack + memory
    if in_round * sampled * COPIES > there:
        by = "num_envs × vector_steps_per_round × replay_ratio"
        by = "updates_per_round" if settings.clock is Clock.UPDATES else by
        raise MachineError(
            f"the updates of one round learn from {in_round:,.0f} {what} at once ({by} × "
            f"batch_size), which does not fit into memory: {in_bytes(there)} are available"
        )


def check_data(experiment: Experiment) -> None:
    """Refuse a data set that does not fit into memory twice, as it is there while it is read.

    Raises:
        MachineError: it needs more memory than there is.
    """
    data, there = experiment.data, _memory_of_replay(experiment)
    if there is None:
        return
    assert data is not None, "there is a data set"
    needed = data_bytes(experiment) or buffer_bytes(experiment)
    if not data_fit(needed, there):
        raise MachineError(
            f"the data set {data.name} takes {in_bytes(needed)} as a buffer of "
            f"{counted(data.num_steps, 'transition')}, and it is there twice while it is read: "
            f"{in_bytes(there)} of memory are available"
        )


def check_weights(experiment: Experiment) -> None:
    """Refuse a network whose weights do not fit into memory.

    Raises:
        MachineError: they need more memory than is available.
    """
    there = _memory()
    settings, weights = experiment.settings.network, experiment.network.layout.size
    needed = 4 * weights * COPIES
    if there is None or needed <= there:
        return
    what, smaller = "your own network", "choose a smaller one"
    if settings.network is None:
        what = f"a network with hidden_widths {list(settings.hidden_widths)} and its head"
        smaller = "choose smaller hidden_widths"
    raise MachineError(
        f"{what} has about {weights:,} weights; learning them takes {in_bytes(needed)} and "
        f"{in_bytes(there)} are available: {smaller}"
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
    needed = update_bytes(experiment, there)
    if needed > there:
        batch = "batch_size" if settings.has_replay else "num_envs, vector_steps_per_round"
        smaller = " or ".join((batch, *network.head.sized_by))
        raise MachineError(
            f"an update of {settings.update_transitions:,} transitions with distribution "
            f"{settings.network.distribution!r} takes about {in_bytes(needed)}, and "
            f"{in_bytes(there)} are available: choose a smaller {smaller}"
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
    for device, own in _bytes_by_device(state).items():
        _check_copy(own, _free_memory(device), num_lanes)


def _check_copy(own: int, free: int | None, num_lanes: int) -> None:
    # They are put together from single ones, so each is there twice for a moment.
    needed = own * max(1, 2 * num_lanes)
    if free is not None and needed > free and num_lanes:
        raise MachineError(
            f"the run was one program with those of {num_lanes:,} seeds, and its updates come to "
            "the same bits only if all of these are computed again, which takes "
            f"{in_bytes(needed)}, and {in_bytes(free)} of memory are free: open it on a machine "
            "with more memory"
        )
    if free is not None and needed > free:
        raise MachineError(
            "an update is opened with a copy of the replay buffer and the networks, which takes "
            f"{in_bytes(needed)}, and {in_bytes(free)} of memory are free: end other programs, or "
            "open it on a machine with more memory"
        )


def lanes_in_memory(experiment: Experiment) -> int:
    """How many runs that differ in their seeds are one program; at least 1.

    Their number decides the bits, so it depends on the memory of the machine, and not on what
    other programs leave of it.
    """
    device = learning_device()
    there = total_memory() if device.platform == "cpu" else memory_of(device)
    if there is None:
        return MAX_SEEDS
    return max(1, int(there * _LANES_SHARE / _lane_bytes(experiment)))


def check_lanes(experiment: Experiment, lanes: int) -> None:
    """Refuse a program of several runs that does not fit into memory.

    Args:
        experiment: that of any of them.
        lanes: how many runs are one program.

    Raises:
        MachineError: it needs more memory than is available.
    """
    needed, there = lanes * _lane_bytes(experiment), _memory()
    if there is not None and lanes > 1 and needed > there:
        raise MachineError(
            f"the runs of {lanes:,} seeds as one program take about {in_bytes(needed)}, and "
            f"{in_bytes(there)} of memory are available: end other programs, take a machine with "
            f"more memory, or begin with {option('processes')}, a process for each seed"
        )


def _lane_bytes(experiment: Experiment) -> int:
    learned = 4 * experiment.network.layout.size + bytes_in_round(experiment)
    # The states of single runs are stacked, so each is there twice for a moment.
    return 2 * buffer_bytes(experiment) + COPIES * learned + _LANE_OUTPUTS


def _memory() -> int | None:
    """Memory available to a run on the device that learns, as far as it is known. [bytes]"""
    return memory_of(learning_device())


def _memory_of_replay(experiment: Experiment) -> int | None:
    """The same where the replay buffer lies. [bytes]"""
    return memory_of(replay_host(experiment) or learning_device())


def _place(experiment: Experiment) -> str:
    """Where the replay buffer is to lie, in words."""
    if host_device() == learning_device():
        return "memory"
    return "the GPU's memory" if replay_host(experiment) is None else "host memory"


def _elsewhere(experiment: Experiment) -> str:
    """Where else a replay buffer that does not fit could lie, the end of a sentence."""
    learner, host = learning_device(), host_device()
    if host == learner:
        return ""
    if host is None:
        return "; JAX_PLATFORMS keeps JAX from host memory: unset it, or add cpu to it"
    if experiment.settings.environment.source == "device":
        return ", or with source host the buffer lies in host memory"
    other = host if replay_host(experiment) is None else learner
    memory = memory_of(other)
    most = 0 if memory is None else max(0, most_that_fit(experiment, memory))
    if other == host:
        return f", or in host memory {most:,}: give {option('replay_device', 'cpu')}"
    return f"; in the GPU's memory {most:,}"


def _bytes_by_device(state: TrainState) -> dict[Device, int]:
    """Bytes of the arrays that a second copy of a run's state takes, by where they lie."""
    found: dict[Device, int] = {}
    for leaf in jax.tree.leaves((state.learner, state.replay, state.demonstrations)):
        (device,) = leaf.devices()
        found[device] = found.get(device, 0) + leaf.nbytes
    return found


def _free_memory(device: Device) -> int | None:
    """Memory that a device of JAX still has, as far as it is known. [bytes]"""
    if device.platform == "cpu":
        return memory_of(device)
    stats = device.memory_stats() or {}
    if "bytes_limit" not in stats:
        return None
    return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
