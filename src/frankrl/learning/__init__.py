"""Targets, losses and the update of the Q-network."""

from frankrl.learning.learner import (
    LearnerState,
    UpdateStatistics,
    init_learner,
    learning_rate_at,
    update,
    updates,
)
from frankrl.learning.losses import elementwise_loss
from frankrl.learning.targets import bootstrap_values, td_target

__all__ = [
    "LearnerState",
    "UpdateStatistics",
    "bootstrap_values",
    "elementwise_loss",
    "init_learner",
    "learning_rate_at",
    "td_target",
    "update",
    "updates",
]
