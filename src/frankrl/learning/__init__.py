"""Targets, losses and the update of the Q-network."""

from frankrl.learning.learner import (
    LearnerState,
    UpdateStatistics,
    batch_loss,
    batch_target,
    init_learner,
    learning_rate_at,
    update,
    updates,
)
from frankrl.learning.losses import elementwise_loss
from frankrl.learning.targets import bootstrap_values, q_of_actions, td_target

__all__ = [
    "LearnerState",
    "UpdateStatistics",
    "batch_loss",
    "batch_target",
    "bootstrap_values",
    "elementwise_loss",
    "init_learner",
    "learning_rate_at",
    "q_of_actions",
    "td_target",
    "update",
    "updates",
]
