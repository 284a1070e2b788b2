"""Training: acting and learning in rounds, with evaluations, metrics and checkpoints."""

from frankrl.training.events import (
    Checkpointed,
    Evaluated,
    Event,
    Finished,
    NotReproducible,
    Progress,
    SavingFailed,
    Solved,
)
from frankrl.training.rounds import Round, rounds
from frankrl.training.state import Experiment, TrainState, init_train_state
from frankrl.training.trainer import Trainer

__all__ = [
    "Checkpointed",
    "Evaluated",
    "Event",
    "Experiment",
    "Finished",
    "NotReproducible",
    "Progress",
    "Round",
    "SavingFailed",
    "Solved",
    "TrainState",
    "Trainer",
    "init_train_state",
    "rounds",
]
