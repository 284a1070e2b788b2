"""About how long the updates of a run take, and where they are computed faster."""

import jax

from frankrl.config import Clock, Settings
from frankrl.core.backend import visible_cpus
from frankrl.core.figures import counted
from frankrl.core.wording import option
from frankrl.training.state import Experiment

_CPU_UPDATE, _CPU_OPERATION = 60e-6, 17e-12
"""Time of an update on one CPU thread, and of each of its floating-point operations. [s]"""

_GPU_UPDATE, _GPU_ROUND = 100e-6, 1e-3
"""Time of a small update on a GPU, and additional time of a round. [s] All four are rough: see
docs/benchmarks/gpu.md."""

_GPU_COMPILED_ROUND = 200e-6
"""Time of an update on the CPU from which on a GPU is worth its longer compilation, if all of a
round is compiled: there its kernels take 46 µs. [s]"""

_GPU_MEMORY_STEP = 100e-6
"""Time of one step of a memory on a GPU. [s] Unlike the numbers above it is a guess that nobody has
measured: some ten small kernels, one after the other, forward and back and for both networks. Where
it is too large, `device auto` stays on the CPU although a GPU is faster; docs/memory.md says so."""

_PATCHES = 1.7
"""Factor of the time of a convolution, whose patches are gathered before they are multiplied."""

_LONG_HOURS = 1.0


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
    return updates_in_round(settings) * saved < _GPU_ROUND


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
    what = f"{total:,} {settings.clock}"
    if settings.clock is not Clock.UPDATES:
        what += " and their updates"
    return (
        f"{what} take about {counted(round(hours), 'hour')} on the processors here: a GPU is much "
        f"faster, a smaller {option(settings.budget_name)} ends earlier"
    )


def _positions(settings: Settings) -> int:
    """Observations that the memory sees one after the other in an update; 0 without a memory."""
    spec = settings.sequences
    return 0 if spec is None else spec.burn_in_steps + spec.learned_steps + settings.replay.n_step


def updates_in_round(settings: Settings) -> float:
    """Mean number of updates in a round, once learning has started."""
    if settings.has_replay and not settings.is_offline:
        return settings.round_ticks * settings.training.replay_ratio
    return settings.updates_due(settings.round_ticks)


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
