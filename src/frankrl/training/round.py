"""One round: act, store, learn; and the endless sequence of rounds."""

import contextlib
import fractions
import functools
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

from frankrl.config import LearningSettings, Settings
from frankrl.core.types import FinishedEpisode, QuadrupleBatch, VectorStep
from frankrl.environments import EnvironmentVector
from frankrl.experience.exploration import epsilon_greedy, exploration_draws, linear_epsilon
from frankrl.learning import UpdateDraws, learning_rate_at, updates
from frankrl.networks import QNetwork
from frankrl.replay import (
    Drawn,
    Due,
    NStepWindow,
    Sampling,
    gather,
    make_sampling,
    n_step_quadruples,
)
from frankrl.training.noise import acting_noise, update_draws
from frankrl.training.state import HostNetwork, TrainState, initial_network


class Lesson(NamedTuple):
    """What one round gives the learner."""

    rows: QuadrupleBatch
    """Of fixed size; the first `count` are new quadruples for the buffer."""
    begun: UInt32[Any, " row"]
    """Env step of the run that each row begins with."""
    count: UInt32[Any, ""]
    choice: Any
    """From what the rows of each update that can be due are found, by `Sampling.choice`."""
    num_updates: UInt32[Any, ""]
    """How many are due."""
    learning_rate: Float[Any, ""]
    draws: UpdateDraws = UpdateDraws()
    """Random numbers for each update that can be due."""


class Outcome(NamedTuple):
    """What the learner's call of one round gives.

    On the CPU its arrays are still being computed; whoever reads one waits for it.
    """

    leaves: list[Array]
    """Of the learner and the buffer; given up to the next call."""
    newest: Float[Array, " weight"]
    """The weights after the round's updates."""
    playing: Float[Array, " weight"]
    """The weights that play greedily after them."""
    statistics: Float[Array, "update statistic"]
    """A row for each of the round's updates and some to spare, columns as in
    `UpdateStatistics`."""
    td_errors: Float[Array, " batch"]
    """y - Q(s, a) of the last of them, if there is one. [reward]"""
    drawn: Drawn
    """The rows that those updates learn from, and some to spare."""


class Round(NamedTuple):
    """What one round did."""

    env_steps: int
    """Transitions collected in the whole run."""
    updates: int
    """Updates done, or under way, in the whole run."""
    finished: list[FinishedEpisode]
    lesson: Lesson
    """What the learner got."""
    outcome: Callable[[], Outcome]
    """What it makes of it; on a GPU this waits for the call. Once the next round has begun its
    `leaves` are gone; all else stays."""
    state: Callable[[], TrainState]
    """The whole state after the round. To be read before the next round: its buffers are
    then given up to the next compiled call."""


def rounds(
    settings: Settings, seed: int, envs: EnvironmentVector, state: TrainState
) -> Iterator[Round]:
    """Train for ever, one round at a time.

    A round steps every environment `vector_steps_per_round` times, adds what was seen
    to the buffer and starts the updates that are due, in one compiled call that runs
    in the background. With `overlap` the next round acts with the weights from before
    that call and so does not wait for it; without, it waits.

    Args:
        settings: the run's, resolved.
        seed: the run's.
        envs: standing where the state says.
        state: given up to the rounds.
    """
    first_network = initial_network(settings, envs.spec, seed)
    network = HostNetwork(first_network)
    window, acting, newest = state.window, state.acting, state.newest
    outcome: Callable[[], Outcome] | None = None
    env_steps, done = state.env_steps, state.updates
    sampling = make_sampling(settings.replay)
    most = most_updates(settings)
    num_added = int(state.replay.num_added)
    # Flattening the state's records at each call would cost more than a small update.
    leaves, structure = jax.tree.flatten((state.learner, state.replay))
    learn = compiled_learn(structure, settings.learning, sampling)
    with _starter() as start:
        while True:
            steps, finished = act(settings, seed, envs, network.set(acting), env_steps)
            window, rows, offsets, count = n_step_quadruples(
                window,
                with_future(settings.learning, steps),
                settings.replay.n_step,
                settings.learning.gamma,
            )
            begun = (env_steps + offsets).astype(np.uint32)
            env_steps += settings.round_env_steps
            num_updates = updates_due(settings, env_steps) - done
            num_added += count
            choice = sampling.choice(
                seed, Due(done, num_updates, most, num_added, count, env_steps)
            )
            draws = update_draws(settings, first_network, seed, done, most)
            done += num_updates
            rate = np.float32(learning_rate_at(settings.learning, env_steps))
            lesson = Lesson(
                rows, begun, np.uint32(count), choice, np.uint32(num_updates), rate, draws
            )
            if outcome is not None:
                leaves, newest = outcome().leaves, outcome().newest
            outcome = start(learn, leaves, lesson)
            acting = newest if settings.training.overlap else outcome().newest

            def whole(
                outcome: Callable[[], Outcome] = outcome,
                window: NStepWindow = window,
                acting: Array = acting,
                env_steps: int = env_steps,
                updates: int = done,
            ) -> TrainState:
                given = outcome()
                learner, replay = jax.tree.unflatten(structure, given.leaves)
                weights = (acting, given.newest, given.playing)
                return TrainState(learner, replay, window, *weights, env_steps, updates)

            yield Round(env_steps, done, finished, lesson, outcome, whole)


@contextlib.contextmanager
def _starter() -> Iterator[Callable[..., Callable[[], Outcome]]]:
    """How the learner's call is started.

    On the CPU JAX computes in a thread of its own, and a call comes back at once. On a GPU it
    comes back when all updates are done, since after each the host decides whether another
    follows; so there it waits in a thread, and the environments do not.
    """
    if jax.default_backend() == "cpu":
        yield _started
    else:
        with ThreadPoolExecutor(1, "learner") as pool:
            yield lambda learn, *given: pool.submit(learn, *given).result


def _started(learn: Callable[..., Outcome], *given: Any) -> Callable[[], Outcome]:
    outcome = learn(*given)
    return lambda: outcome


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
        noise = acting_noise(network, seed, env_steps // envs.num_envs)
        acting = network if noise is None else network.perturbed(noise)
        actions = epsilon_greedy(acting(envs.observation), epsilon, coins, choices)
        step, ended = envs.step(actions, env_steps)
        steps.append(step)
        finished += ended
        env_steps += envs.num_envs
    if len(steps) == 1:
        return VectorStep(*(field[None] for field in steps[0])), finished
    return VectorStep(*(np.stack(field) for field in zip(*steps, strict=True))), finished


def with_future(settings: LearningSettings, steps: VectorStep) -> VectorStep:
    """The steps as the learner is to see their ends, by `bootstrap_on`.

    An episode's end stays one either way: no quadruple reaches across it.
    """
    match settings.bootstrap_on:
        case "truncation":
            return steps
        case "never":
            return steps._replace(terminated=steps.terminated | steps.truncated)
        case "always":
            return steps._replace(
                terminated=np.zeros_like(steps.terminated),
                truncated=steps.terminated | steps.truncated,
            )


@functools.lru_cache(maxsize=8)
def compiled_learn(structure: Any, settings: LearningSettings, sampling: Sampling) -> Callable:
    """Add to the buffer, then learn from it, over flat leaves of both, compiled.

    The leaves are given up to the call: otherwise each would copy the whole buffer.
    """

    @functools.partial(jax.jit, donate_argnums=(0,))
    def compiled(leaves: list[Array], lesson: Lesson) -> Outcome:
        learner, replay = jax.tree.unflatten(structure, leaves)
        replay = sampling.add(replay, lesson.rows, lesson.begun, lesson.count)
        drawn = sampling.drawn(replay, lesson.choice)
        # One gather for all updates: one for each would pay its overhead each time.
        batches = gather(replay, drawn.indices)
        learned = updates(
            settings,
            learner,
            batches,
            lesson.num_updates,
            lesson.learning_rate,
            lesson.draws,
            drawn.weights,
        )
        learner = learned.state
        replay = sampling.learned(replay, drawn, learned.surprises, lesson.num_updates)
        return Outcome(
            leaves=jax.tree.leaves((learner, replay)),
            # Copies, because the leaves are given up to the next call.
            newest=jnp.copy(learner.online.weights),
            playing=jnp.copy(learner.playing),
            statistics=learned.statistics,
            td_errors=learned.td_errors,
            drawn=drawn,
        )

    return compiled


def updates_due(settings: Settings, env_steps: int) -> int:
    """Updates that should be done once that many env steps are.

    `replay_ratio` per env step, counted from the round that brings the buffer to
    `learning_starts_env_steps`.
    """
    size = settings.round_env_steps
    before_first = (settings.training.learning_starts_env_steps - 1) // size * size
    ratio = _exact(settings.training.replay_ratio)
    return max(0, (env_steps - before_first) * ratio.numerator // ratio.denominator)


def most_updates(settings: Settings) -> int:
    """The most updates that can be due after one round."""
    return math.ceil(settings.round_env_steps * _exact(settings.training.replay_ratio))


@functools.cache
def _exact(ratio: float) -> fractions.Fraction:
    """The fraction that a ratio was meant as: 0.1 is one tenth, not its nearest float."""
    return fractions.Fraction(ratio).limit_denominator(10**9)
