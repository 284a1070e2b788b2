"""Targets, losses and the update of the Q-network."""

from frankrl.learning.draws import UpdateDraws
from frankrl.learning.judging import (
    Judgement,
    Lookahead,
    TargetSays,
    batch_loss,
    batch_target,
    judge,
    look_ahead,
    target_says,
    td_errors,
    under_noise,
)
from frankrl.learning.learner import (
    Learned,
    LearnerState,
    UpdateStatistics,
    init_learner,
    learning_rate_at,
    update,
    updates,
)
from frankrl.learning.losses import elementwise_loss
from frankrl.learning.returns import mean_of
from frankrl.learning.targets import bootstrap_values, of_actions, td_target

__all__ = [
    "Judgement",
    "Learned",
    "LearnerState",
    "Lookahead",
    "TargetSays",
    "UpdateDraws",
    "UpdateStatistics",
    "batch_loss",
    "batch_target",
    "bootstrap_values",
    "elementwise_loss",
    "init_learner",
    "judge",
    "learning_rate_at",
    "look_ahead",
    "mean_of",
    "of_actions",
    "target_says",
    "td_errors",
    "td_target",
    "under_noise",
    "update",
    "updates",
]
