"""Where the environments of a run are stepped: on the host, or on the device."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from frankrl.experience import Restorable, Source
from frankrl.experience.device import DeviceSource
from frankrl.runs import Tensors
from frankrl.training.device.rounds import source_on_device
from frankrl.training.device.states_codec import environment_tensors, restore_environments
from frankrl.training.rounds import Round, rounds
from frankrl.training.state import Experiment, TrainState

NextStop = Callable[[int], int]
"""Gives the env step at which a chunk of rounds ends at the latest, from the one at which it
begins."""
MakeRounds = Callable[[Experiment, DeviceSource, TrainState, NextStop], Iterator[Round]]
"""Makes the rounds of a run on the device, as `device_rounds`."""


class Stepping(NamedTuple):
    """What a run does otherwise on the host than on the device."""

    source: Restorable
    """Holds where the environments stand."""
    rounds: Callable[[Experiment, TrainState, NextStop], Iterator[Round]]
    """Trains without end, from a state that belongs to that of the source."""
    tensors: Callable[[], dict[str, Tensors]]
    """Gives what a checkpoint holds of the environments beside what every source gives, by file."""
    stand_at: Callable[[Path], None]
    """Lets the environments stand where they stood at a checkpoint, as far as it holds that. Comes
    before `source.restore`; raises `DamagedError` if that part of the checkpoint is damaged."""


def on_host(source: Source) -> Stepping:
    """Of a run whose environments are stepped one action at a time; its actions are repeated."""
    return Stepping(
        source,
        lambda experiment, state, next_stop: rounds(experiment, source, state),
        dict,
        lambda checkpoint: None,
    )


def on_device(experiment: Experiment, make_rounds: MakeRounds) -> Stepping:
    """Of a run whose environments are stepped in compiled code.

    Args:
        experiment: the run's experiment.
        make_rounds: makes its rounds; those of several runs may be one program.

    Raises:
        EnvironmentFailedError: the first episodes begin with what no environment may show.
    """
    source = source_on_device(experiment)
    return Stepping(
        source,
        lambda experiment, state, next_stop: make_rounds(experiment, source, state, next_stop),
        functools.partial(environment_tensors, source),
        functools.partial(restore_environments, source),
    )
