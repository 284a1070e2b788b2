"""Makes a replay buffer from settings."""

from typing import TYPE_CHECKING

import jax
import numpy as np

from frankrl.config import ReplaySettings, Settings
from frankrl.core.random import Use
from frankrl.replay.buffer import ReplayBuffer, first_ending_rows
from frankrl.replay.host_samplers import NewestSampler, UniformSampler
from frankrl.replay.prioritised import PrioritisedSampler
from frankrl.replay.sampler import Sampler
from frankrl.replay.state import ReplayState

if TYPE_CHECKING:
    from frankrl.environments import EnvironmentSpec


_LEAST_ENV_STEPS = 4_096
"""A buffer for fewer env steps would save no memory worth the name."""
_ROUNDED_TO_POWERS = 65_536
"""Up to so many env steps a buffer has rows for a power of two of them."""


def make_replay(settings: Settings, frame_stack: int = 1, first_env_step: int = 0) -> ReplayBuffer:
    """The replay buffer of a run.

    Args:
        settings: resolved settings, in which every duration is a number.
        frame_stack: observations that the network gets together.
        first_env_step: env step of the run at which it begins.
    """
    demonstrations = settings.demonstration_rows if settings.has_demonstrations else 0
    return ReplayBuffer(
        capacity=settings.replay.replay_capacity,
        num_envs=settings.round_envs,
        n_step=settings.replay.n_step,
        gamma=settings.learning.gamma,
        sampler=_sampler(settings.replay, settings.replay.batch_size - demonstrations),
        frame_stack=frame_stack,
        most_env_steps=_most_env_steps(settings),
        first_env_step=first_env_step,
        rounds_end_episodes=settings.environment.asynchronous_actors is not None,
        all_may_end=settings.environment.source == "device",
        sequences=settings.sequences,
    )


def make_data_replay(settings: Settings, num_steps: int, frame_stack: int = 1) -> ReplayBuffer:
    """The buffer of a data set, which is filled once and never changes but in its priorities.

    Args:
        settings: resolved settings.
        num_steps: steps of the data set.
        frame_stack: observations that the network gets together.
    """
    rows, use = settings.replay.batch_size, Use.REPLAY
    if settings.has_demonstrations:
        rows, use = settings.demonstration_rows, Use.DEMONSTRATIONS
    return ReplayBuffer(
        capacity=num_steps,
        num_envs=1,
        n_step=settings.replay.n_step,
        gamma=settings.learning.gamma,
        sampler=_sampler(settings.replay, rows, use),
        frame_stack=frame_stack,
        most_env_steps=num_steps,
        rounds_end_episodes=True,
        sequences=settings.sequences,
    )


def _most_env_steps(settings: Settings) -> int | None:
    """At least the env steps of the run, of which the last round may go beyond the budget.

    Rounded up, so that runs with similar budgets share their compiled code: to a power of two, or
    where that could be much memory to a sixteenth of it. None if the run can fill the buffer.
    """
    env_steps = settings.training.total_env_steps + settings.round_ticks
    power = max(_LEAST_ENV_STEPS, 1 << (env_steps - 1).bit_length())
    unit = power if power <= _ROUNDED_TO_POWERS else power // 16
    most = -(-env_steps // unit) * unit
    return most if most < settings.replay.replay_capacity else None


def init_replay(
    buffer: ReplayBuffer,
    spec: "EnvironmentSpec",
    round_env_steps: int,
    ending_rows: int | None = None,
) -> ReplayState:
    """The empty buffer of a run.

    Args:
        buffer: its definition.
        spec: the environment; it decides shapes and dtypes of observations.
        round_env_steps: env steps that are added at once.
        ending_rows: rows for the last observations of episodes; None: those of a new buffer.
    """
    rows = np.zeros((1, *spec.row_shape), spec.row_dtype)
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), spec.observation(rows)
    )
    if ending_rows is None:
        ending_rows = first_ending_rows(buffer, round_env_steps)
    return buffer.init(shapes, spec.num_actions if spec.is_masked else None, ending_rows)


def _sampler(settings: ReplaySettings, batch_size: int, use: Use = Use.REPLAY) -> Sampler:
    match settings.replay_sampling:
        case "uniform":
            return UniformSampler(batch_size, use)
        case "newest":
            return NewestSampler(batch_size)
        case "prioritised":
            duration = settings.priority_beta_env_steps or settings.priority_beta_updates
            if duration is None:
                raise ValueError(
                    "the rise of priority_beta has no duration: call Settings.resolved first"
                )
            return PrioritisedSampler(
                batch_size=batch_size,
                exponent=settings.priority_exponent,
                epsilon=settings.priority_epsilon,
                beta=settings.priority_beta,
                beta_ticks=duration,
                use=use,
            )
