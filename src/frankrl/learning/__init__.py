"""Targets, losses and the update of the Q-network."""

from frankrl.learning.cloning import CloningTerms, cloning_terms
from frankrl.learning.cross_entropy import cross_entropy
from frankrl.learning.fitted_q import GreedyPolicy, evaluation_updates
from frankrl.learning.heads import ExpectedHead, make_head
from frankrl.learning.lambda_returns import lambda_returns
from frankrl.learning.learner import learning_rate_at, refresh_target, update, updates
from frankrl.learning.learner_state import LearnerState, init_learner
from frankrl.learning.loss_terms import (
    LossTerms,
    UpdateTerms,
    batch_loss,
    batch_loss_terms,
    predictions,
    td_errors,
    under_noise,
    update_terms,
)
from frankrl.learning.make_network import network_for
from frankrl.learning.noise import NO_NOISE, UpdateNoise
from frankrl.learning.optimiser import has_own_optimiser
from frankrl.learning.pqn import Rollout, all_targets, minibatch_of, pqn_updates
from frankrl.learning.recurrent import (
    SequenceTerms,
    sequence_cloning_terms,
    sequence_priorities,
    sequence_terms,
)
from frankrl.learning.targets import bootstrap_values, of_actions, td_target
from frankrl.learning.update_output import UpdateMetrics, UpdateOutput, metrics_of

__all__ = [
    "NO_NOISE",
    "CloningTerms",
    "ExpectedHead",
    "GreedyPolicy",
    "LearnerState",
    "LossTerms",
    "Rollout",
    "SequenceTerms",
    "UpdateMetrics",
    "UpdateNoise",
    "UpdateOutput",
    "UpdateTerms",
    "all_targets",
    "batch_loss",
    "batch_loss_terms",
    "bootstrap_values",
    "cloning_terms",
    "cross_entropy",
    "evaluation_updates",
    "has_own_optimiser",
    "init_learner",
    "lambda_returns",
    "learning_rate_at",
    "make_head",
    "metrics_of",
    "minibatch_of",
    "network_for",
    "of_actions",
    "pqn_updates",
    "predictions",
    "refresh_target",
    "sequence_cloning_terms",
    "sequence_priorities",
    "sequence_terms",
    "td_errors",
    "td_target",
    "under_noise",
    "update",
    "update_terms",
    "updates",
]
