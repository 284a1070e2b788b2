"""From settings to a replay buffer."""

from frankrl.config import ReplaySettings, Settings
from frankrl.replay.buffer import ReplayBuffer
from frankrl.replay.host_samplers import NewestSampler, UniformSampler
from frankrl.replay.prioritised import PrioritisedSampler
from frankrl.replay.sampler import Sampler


def make_replay(settings: Settings) -> ReplayBuffer:
    """The replay buffer of a run.

    Args:
        settings: those of a resolved record, where every duration is written out.
    """
    return ReplayBuffer(
        capacity=settings.replay.replay_capacity,
        num_envs=settings.environment.num_envs,
        n_step=settings.replay.n_step,
        gamma=settings.learning.gamma,
        sampler=_sampler(settings.replay),
    )


def _sampler(settings: ReplaySettings) -> Sampler:
    match settings.replay_sampling:
        case "uniform":
            return UniformSampler(settings.batch_size)
        case "newest":
            return NewestSampler(settings.batch_size)
        case "prioritised":
            if settings.priority_beta_env_steps is None:
                raise ValueError(
                    "the rise of priority_beta has no duration: call Settings.resolved first"
                )
            return PrioritisedSampler(
                batch_size=settings.batch_size,
                exponent=settings.priority_exponent,
                epsilon=settings.priority_epsilon,
                beta=settings.priority_beta,
                beta_env_steps=settings.priority_beta_env_steps,
            )
