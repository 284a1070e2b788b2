"""Where the replay buffer lies: in the memory of the device that learns, or in the host's.

With a GPU the buffer lies in its memory, where reading a batch takes no transfer. One that is too
large for it lies in the host's: batches are then drawn there, and sent to the GPU.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import jax

from frankrl.core.backend import visible_cpus
from frankrl.core.errors import MachineError, SettingError
from frankrl.core.system import available_memory
from frankrl.core.wording import option
from frankrl.runs import machine_facts
from frankrl.training.sizes import bytes_each, data_bytes, in_bytes, memory_line
from frankrl.training.state import Experiment

_LARGEST_SHARE = 0.45
"""Share of the available memory that the buffer may take. Saving and restoring it take 0.3 GiB
besides, whatever its size (docs/benchmarks/data.md); room for more episode ends means a copy."""
_DRAWN_BY, _LEARNER = "batches_drawn_by", "the device that learns"
"""A fact about a run where there is more than one processor, and its value if the buffer lies
beside the learner."""

Device = Any
"""One of `jax.devices()`, whose type JAX does not name for type checkers."""
_T = TypeVar("_T")


class Placed(NamedTuple):
    """A run whose replay buffer has its place."""

    experiment: Experiment
    note: str
    """Why it lies in host memory, a line for people; empty if it does not, or as the run was
    told."""


def memory_of(device: Device) -> int | None:
    """Memory available to a run on a device, as far as it is known. [bytes]

    Of a GPU it is what JAX may take: three quarters of all its memory, unless
    `XLA_PYTHON_CLIENT_MEM_FRACTION` is set.
    """
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


def check_place(experiment: Experiment) -> None:
    """Refuse a place of the replay buffer that there is not.

    Raises:
        SettingError: `replay_device` is cpu, and the environment is stepped where the updates are
            done.
        MachineError: `replay_device` is cpu, and `JAX_PLATFORMS` keeps JAX from the CPU.
    """
    settings, host = experiment.settings, host_device()
    if settings.training.replay_device == "auto" or learning_device() == host:
        return
    if settings.environment.source == "device":
        raise SettingError(
            "replay_device is 'cpu', but the loop of a functional environment is one program on "
            f"the device that learns: give {option('replay_device', 'auto')}, or begin a run with "
            "source host"
        )
    if host is None:
        raise MachineError(
            "replay_device is 'cpu', but JAX_PLATFORMS keeps JAX from the CPU: unset it, or set "
            "replay_device to auto"
        )


def with_place(experiment: Experiment) -> Placed:
    """The experiment of a run that begins, in which `replay_device` auto has become cpu if the
    buffer does not fit beside the learner. A run stores that, so that it stays where it is."""
    settings, learner, host = experiment.settings, learning_device(), host_device()
    may_move = settings.training.replay_device == "auto" and settings.environment.source != "device"
    if experiment.buffer is None or not may_move or host in (None, learner):
        return Placed(experiment, "")
    if (memory := memory_of(learner)) is None:
        return Placed(experiment, "")
    most = max(0, most_that_fit(experiment, memory))
    if experiment.replay.most_transitions <= most:
        return Placed(experiment, "")
    settings = settings.with_changes(replay_device="cpu")
    why = (
        f"the replay buffer lies in host memory: in the {in_bytes(memory)} that JAX may take of "
        f"the device that learns there is room for {most:,} transitions"
    )
    return Placed(replace(experiment, settings=settings), why)


def replay_host(experiment: Experiment) -> Device | None:
    """JAX's device of the host if the buffer lies in the host's memory while another device learns.

    Returns:
        None if the buffer lies where the updates are done, or there is none.
    """
    settings, host = experiment.settings, host_device()
    is_elsewhere = settings.training.replay_device == "cpu" and host != learning_device()
    # What is one compiled program has all its arrays on one device.
    on_device = settings.environment.source == "device"
    return None if experiment.buffer is None or on_device or not is_elsewhere else host


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
    """Facts about the machine that may affect the bits of a run; where there is more than one
    processor, also by which batches are drawn."""
    facts = machine_facts()
    if experiment.buffer is None or learning_device() == host_device():
        return facts
    if replay_host(experiment) is None:
        return facts | {_DRAWN_BY: _LEARNER}
    return facts | {_DRAWN_BY: f"the CPU in {visible_cpus()} threads"}


def as_it_lay(experiment: Experiment, facts: Mapping[str, Any]) -> Experiment:
    """The experiment with its buffer where it lay in a process of these facts."""
    if experiment.buffer is None:
        return experiment
    place = "auto" if facts.get(_DRAWN_BY, _LEARNER) == _LEARNER else "cpu"
    return replace(experiment, settings=experiment.settings.with_changes(replay_device=place))


def placed_memory_line(experiment: Experiment) -> str:
    """The memory of the replay buffer, and where it lies if not beside the learner, in words."""
    where = "" if replay_host(experiment) is None else ", in host memory"
    return memory_line(experiment) + where
