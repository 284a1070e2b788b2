"""Training: acting and learning in rounds, with evaluations, metrics and checkpoints."""

from frankrl.training.events import (
    Checkpointed,
    EnvironmentRestarted,
    Estimating,
    Evaluated,
    Event,
    Finished,
    NotReproducible,
    Progress,
    SavingFailed,
    Solved,
    Stop,
)
from frankrl.training.initial_state import init_train_state
from frankrl.training.rounds import Round, rounds
from frankrl.training.state import Experiment, TrainState
from frankrl.training.trainer import Trainer

__all__ = [
    "Checkpointed",
    "EnvironmentRestarted",
    "Estimating",
    "Evaluated",
    "Event",
    "Experiment",
    "Finished",
    "NotReproducible",
    "Progress",
    "Round",
    "SavingFailed",
    "Solved",
    "Stop",
    "TrainState",
    "Trainer",
    "init_train_state",
    "rounds",
]
