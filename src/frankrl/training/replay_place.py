"""Where the replay buffer lies: in the memory of the device that learns, or in the host's.

With a GPU the buffer lies in its memory, where reading a batch takes no transfer. One that is too
large for it lies in the host's: batches are then drawn there, and sent to the GPU.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import jax

from frankrl.core.errors import MachineError
from frankrl.core.system import available_memory
from frankrl.runs import machine_facts
from frankrl.training.sizes import bytes_each, data_bytes, in_bytes, memory_line
from frankrl.training.state import Experiment

_LARGEST_SHARE = 0.45
"""Share of the available memory that the buffer may take. Saving and restoring it take 0.3 GiB
besides, whatever its size (docs/benchmarks/data.md); room for more episode ends means a copy."""

Device = Any
"""One of `jax.devices()`, whose type JAX does not name for type checkers."""
_T = TypeVar("_T")


def memory_of(device: Device) -> int | None:
    """Memory available to a run on a device, as far as it is known. [bytes]"""
    if device.platform == "cpu":
        return available_memory()
    return (device.memory_stats() or {}).get("bytes_limit")


def learning_device() -> Device:
    """The device that does the updates."""
    return jax.devices()[0]


def host_device() -> Device | None:
    """The device by which JAX computes in the host's memory; None: JAX is kept from it."""
    try:
        return jax.devices("cpu")[0]
    except RuntimeError:
        return None


def most_that_fit(experiment: Experiment, memory: int) -> int:
    """The largest buffer, beside a data set, for which there is room. [transitions]

    Args:
        experiment: of a run with a replay buffer.
        memory: what is available. [bytes]
    """
    return int((memory * _LARGEST_SHARE - data_bytes(experiment)) / bytes_each(experiment))


def data_fit(needed: int, memory: int) -> bool:
    """Whether there is room for a data set of so many bytes, which is there twice while it is
    read."""
    return needed <= memory * _LARGEST_SHARE


def replay_host(experiment: Experiment) -> Device | None:
    """JAX's device of the host if the buffer lies in the host's memory while another device learns.

    Returns:
        None if the buffer lies where the updates are done, or there is none.

    Raises:
        MachineError: `replay_device` is cpu, and `JAX_PLATFORMS` keeps JAX from the CPU.
    """
    settings = experiment.settings
    learner, host = learning_device(), host_device()
    # What is one compiled program has all its arrays on one device.
    if experiment.buffer is None or settings.environment.source == "device" or learner == host:
        return None
    wanted = settings.training.replay_device == "cpu"
    if host is None and wanted:
        raise MachineError(
            "replay_device is 'cpu', but JAX_PLATFORMS keeps JAX from the CPU: unset it, or leave "
            "replay_device out"
        )
    memory = memory_of(learner)
    fits = memory is None or experiment.replay.most_transitions <= most_that_fit(experiment, memory)
    return host if wanted or not fits else None


def made_in_place(experiment: Experiment, make: Callable[[], _T]) -> _T:
    """What `make` returns, with its arrays where the replay buffer lies.

    Args:
        experiment: the run's experiment.
        make: makes a buffer by JAX, without arrays that are somewhere already.
    """
    host = replay_host(experiment)
    if host is None:
        return make()
    with jax.default_device(host):
        # Bound to the host, so that whatever is computed with them is computed there.
        return jax.device_put(make(), host)


def machine_facts_of(experiment: Experiment) -> dict[str, str | int]:
    """Facts about the machine that may affect the bits of a run, and the processor that draws its
    batches if another one learns."""
    place = {} if replay_host(experiment) is None else {"replay_device": "cpu"}
    return machine_facts() | place


def placed_memory_line(experiment: Experiment) -> str:
    """The memory of the replay buffer and where it lies if not beside the learner, in words."""
    line = memory_line(experiment)
    if replay_host(experiment) is None:
        return line
    if experiment.settings.training.replay_device == "cpu":
        return f"{line}, in host memory"
    memory = memory_of(learning_device())
    assert memory is not None, "it was found to be too small"
    most = max(0, most_that_fit(experiment, memory))
    return (
        f"{line}, in host memory: the {in_bytes(memory)} of the device that learns have room for "
        f"{most:,} transitions"
    )
