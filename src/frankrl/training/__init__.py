"""Acting and learning joined: the state, the round and the loop."""

from frankrl.training.events import (
    Checkpointed,
    Evaluated,
    Event,
    Finished,
    Inexact,
    Progress,
    SavingFailed,
    Solved,
)
from frankrl.training.loop import Training
from frankrl.training.round import Round, rounds
from frankrl.training.state import TrainState, init_train_state

__all__ = [
    "Checkpointed",
    "Evaluated",
    "Event",
    "Finished",
    "Inexact",
    "Progress",
    "Round",
    "SavingFailed",
    "Solved",
    "TrainState",
    "Training",
    "init_train_state",
    "rounds",
]
