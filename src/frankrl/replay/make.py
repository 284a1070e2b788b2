"""From settings to the way in which rows are chosen."""

from frankrl.config import ReplaySettings
from frankrl.replay.given_rows import NewestSampling, UniformSampling
from frankrl.replay.prioritised import PrioritisedSampling
from frankrl.replay.sampling import Sampling


def make_sampling(settings: ReplaySettings) -> Sampling:
    """The way that `replay_sampling` names.

    Args:
        settings: those of a resolved record, where every duration is written out.
    """
    match settings.replay_sampling:
        case "uniform":
            return UniformSampling(settings.batch_size, settings.replay_capacity)
        case "newest":
            return NewestSampling(settings.batch_size, settings.replay_capacity)
        case "prioritised":
            if settings.priority_beta_env_steps is None:
                raise ValueError(
                    "the rise of priority_beta has no duration: call Settings.resolved first"
                )
            return PrioritisedSampling(
                batch_size=settings.batch_size,
                exponent=settings.priority_exponent,
                epsilon=settings.priority_epsilon,
                beta=settings.priority_beta,
                beta_env_steps=settings.priority_beta_env_steps,
            )
