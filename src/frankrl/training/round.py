"""One round: act, store, learn; and the endless sequence of rounds."""

import fractions
import functools
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from frankrl.config import LearningSettings, Settings
from frankrl.environments import EnvironmentVector
from frankrl.exploration import epsilon_greedy, exploration_draws, linear_epsilon
from frankrl.learning import LearnerState, UpdateStatistics, learning_rate_at, update
from frankrl.networks import QNetwork
from frankrl.randomness import Use, sequence
from frankrl.records import FinishedEpisode, QuadrupleBatch, VectorStep
from frankrl.replay import ReplayState, add, gather, n_step_quadruples, sample_indices
from frankrl.training.state import TrainState, Unpack, initial_network, pack


class Round(NamedTuple):
    """What one round did."""

    state: TrainState
    finished: list[FinishedEpisode]
    statistics: Float[Array, "update statistic"]
    """One row per update, columns as in `UpdateStatistics`; computed in the background."""


def rounds(
    settings: Settings, seed: int, envs: EnvironmentVector, state: TrainState
) -> Iterator[Round]:
    """Train for ever, one round at a time.

    A round steps every environment `vector_steps_per_round` times, adds what was seen
    to the buffer and starts the updates that are due, in one compiled call that runs
    in the background. With `overlap` the next round acts with the weights from before
    that call and so does not wait for it; without, it waits.

    The states yielded hold arrays that may still be being computed; reading one waits.
    The generator gives up its own state's buffers at the next round, so read a yielded
    state before asking for more.
    """
    unpack = Unpack(initial_network(settings, envs.spec, seed))
    key = replay_key(seed)
    while True:
        env_steps = state.env_steps
        steps, finished = act(settings, seed, envs, unpack(state.acting), env_steps)
        window, rows, count = n_step_quadruples(
            state.window, steps, settings.replay.n_step, settings.learning.gamma
        )
        env_steps += settings.round_env_steps
        num_updates = updates_due(settings, env_steps) - state.updates
        rate = learning_rate_at(settings.learning, env_steps)
        learner, replay, newest, statistics = learn(
            state.learner,
            state.replay,
            rows,
            np.uint32(count),
            np.float32(rate),
            key,
            settings.learning,
            settings.replay.batch_size,
            num_updates,
        )
        state = TrainState(
            learner=learner,
            replay=replay,
            window=window,
            acting=state.newest if settings.training.overlap else newest,
            newest=newest,
            env_steps=env_steps,
            updates=state.updates + num_updates,
        )
        yield Round(state, finished, statistics)


def act(
    settings: Settings, seed: int, envs: EnvironmentVector, network: QNetwork, env_steps: int
) -> tuple[VectorStep, list[FinishedEpisode]]:
    """Step every environment `vector_steps_per_round` times, ε-greedily.

    Returns:
        The steps, stacked: fields of shape (vector step, env, …); and the episodes
        that ended.
    """
    steps, finished = [], []
    for _ in range(settings.training.vector_steps_per_round):
        coins, choices = exploration_draws(seed, env_steps, envs.num_envs)
        epsilon = linear_epsilon(settings.exploration, env_steps + np.arange(envs.num_envs))
        actions = epsilon_greedy(network(envs.observation), epsilon, coins, choices)
        step, ended = envs.step(actions, env_steps)
        steps.append(step)
        finished += ended
        env_steps += envs.num_envs
    if len(steps) == 1:
        return VectorStep(*(field[None] for field in steps[0])), finished
    return VectorStep(*(np.stack(field) for field in zip(*steps, strict=True))), finished


@functools.partial(
    jax.jit,
    static_argnames=("settings", "batch_size", "num_updates"),
    donate_argnums=(0, 1),
)
def learn(
    learner: LearnerState,
    replay: ReplayState,
    rows: QuadrupleBatch,
    count: Int[Array, ""],
    learning_rate: Float[Array, ""],
    key: Array,
    settings: LearningSettings,
    batch_size: int,
    num_updates: int,
) -> tuple[LearnerState, ReplayState, Float[Array, " weight"], Float[Array, "update statistic"]]:
    """Store a round's quadruples and do the updates that are due, in one compiled call.

    Args:
        learner: given up to the call.
        replay: given up to the call.
        rows: quadruples to store, of fixed size.
        count: how many of the rows are real.
        learning_rate: Adam's step size for these updates.
        key: the run's key for replay.
        settings: what an update is.
        batch_size: quadruples per update.
        num_updates: how many updates.

    Returns:
        The learner, the buffer, the Q-network's weights in a buffer of their own, and
        the updates' statistics.
    """
    replay = add(replay, rows, count)
    if num_updates == 0:
        nothing = jnp.zeros((0, len(UpdateStatistics._fields)), jnp.float32)
        return learner, replay, pack(learner.online), nothing
    indices = sample_indices(replay, key, learner.num_updates, num_updates, batch_size)
    # One gather for all updates: a gather inside the scan pays its overhead each time.
    batches = gather(replay, indices)

    def one(state: LearnerState, batch: QuadrupleBatch) -> tuple[LearnerState, Array]:
        state, statistics = update(settings, state, batch, learning_rate)
        return state, jnp.stack(statistics)

    learner, statistics = jax.lax.scan(one, learner, batches)
    return learner, replay, pack(learner.online), statistics


def replay_key(seed: int) -> Array:
    """The run's key for the replay buffer's draws."""
    words = sequence(seed, Use.REPLAY).generate_state(2)
    return jax.random.wrap_key_data(np.asarray(words, np.uint32), impl="threefry2x32")


def updates_due(settings: Settings, env_steps: int) -> int:
    """Updates that should be done once that many env steps are.

    `replay_ratio` per env step, counted from the round that brings the buffer to
    `learning_starts_env_steps`.
    """
    size = settings.round_env_steps
    before_first = (settings.training.learning_starts_env_steps - 1) // size * size
    ratio = fractions.Fraction(settings.training.replay_ratio).limit_denominator(10**9)
    return max(0, (env_steps - before_first) * ratio.numerator // ratio.denominator)
