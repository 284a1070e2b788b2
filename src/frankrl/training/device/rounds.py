"""The rounds of a run on the device, a chunk at a time."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from frankrl.core.errors import EnvironmentFailedError
from frankrl.core.types import FinishedEpisode, Steps
from frankrl.environments import EnvironmentSpec
from frankrl.environments.functional import functional_of
from frankrl.experience import Collected, linear_epsilon
from frankrl.experience.device import DeviceEnvironments, DeviceSource
from frankrl.learning import has_own_optimiser, learning_rate_at
from frankrl.networks import FeedForwardNetwork
from frankrl.replay import Sample
from frankrl.training.device.chunk import ChunkOutput, RoundOutput, compiled_chunk
from frankrl.training.device.dqn_round import DqnCarry, DqnRound, DqnSchedule
from frankrl.training.device.failures import check_first, check_round, some_failure
from frankrl.training.device.pqn_round import PqnCarry, PqnRound, PqnSchedule
from frankrl.training.learner_call import LearnerOutput
from frankrl.training.rounds import Round
from frankrl.training.state import Experiment, TrainState

_MAX_ROUNDS = 256
"""Most rounds of a chunk: what a stop waits for, and as many as there are TD errors of."""
_MAX_ENV_STEPS = 65_536
"""Most env steps of a chunk of several rounds; the host holds a few numbers for each."""


_NONE = np.zeros(0, np.float32)
_NO_STEPS = Steps(
    None, None, _NONE, _NONE, _NONE.astype(np.bool_), _NONE.astype(np.bool_), None, None
)
"""The steps of a chunk stay on the device."""


def source_on_device(experiment: Experiment) -> DeviceSource:
    """The source of a run on the device, at the beginning of the first episodes.

    Raises:
        EnvironmentFailedError: they begin with what no environment may show.
    """
    functional = functional_of(experiment.spec)
    assert functional is not None, f"{experiment.spec.env_id} is no functional environment"
    counts = (experiment.settings.environment.num_envs, experiment.network.memory_units)
    environments = DeviceEnvironments.of(functional, experiment.spec, *counts)
    source = DeviceSource(environments, experiment.seed)
    check_first(source.states, experiment.spec)
    return source


def round_of(experiment: Experiment, source: DeviceSource) -> DqnRound | PqnRound:
    """The round function of a run."""
    settings, network = experiment.settings, experiment.network
    if not settings.has_replay:
        assert isinstance(network, FeedForwardNetwork), "pqn is refused with a memory"
        return PqnRound(
            learning=settings.learning,
            network=network,
            environments=source.environments,
            vector_steps=settings.training.vector_steps_per_round,
            clip_rewards=experiment.spec.preprocessing.clip_rewards,
        )
    return DqnRound(
        learning=settings.learning,
        network=network,
        replay=experiment.replay,
        environments=source.environments,
        vector_steps=settings.training.vector_steps_per_round,
        counts=tuple(sorted({0, *settings.updates_per_round})),
        overlap=settings.training.overlap,
        clip_rewards=experiment.spec.preprocessing.clip_rewards,
    )


def max_rounds(round_env_steps: int) -> int:
    """Most rounds of a chunk."""
    return max(1, min(_MAX_ROUNDS, _MAX_ENV_STEPS // round_env_steps))


def device_rounds(
    experiment: Experiment,
    source: DeviceSource,
    state: TrainState,
    next_stop: Callable[[int], int],
) -> Iterator[Round]:
    """Train without end, a chunk of rounds at a time; as `rounds` with environments on the device.

    Args:
        experiment: the run's experiment.
        source: holds the environments, in the state that belongs to `state`.
        state: the state to start from; its buffers are donated.
        next_stop: the env step at which a chunk that begins at a given one ends at the latest.

    Raises:
        EnvironmentFailedError: an environment gave what none may give. The rounds before it have
            been given; the last such record may hold none.
    """
    settings = experiment.settings
    size, one_round = settings.round_ticks, round_of(experiment, source)
    own = has_own_optimiser(settings.learning)
    chunk = (compiled_chunk.__wrapped__ if own else compiled_chunk)(one_round)
    carry = first_carry(one_round, state, source)
    env_steps, done = state.ticks, state.updates
    episodes = np.asarray(source.states.episode).astype(np.int64)
    while True:
        wanted = -(-(next_stop(env_steps) - env_steps) // size)
        # The first chunk is one round, because starting up takes until its end.
        most = 1 if env_steps == state.ticks else max_rounds(size)
        num_rounds = max(1, min(wanted, most))
        due = [experiment.updates_due(env_steps + (n + 1) * size) for n in range(num_rounds)]
        counts = np.diff([done, *due])
        schedule = schedule_for(experiment, one_round, env_steps, done, counts)
        output = chunk(carry, source.seed, schedule, np.int32(num_rounds))
        carry = output.carry
        source.states = carry.environments
        whole = whole_rounds(output.rounds, num_rounds)
        before, started = env_steps, episodes.copy()
        ended = ended_episodes(output.rounds, whole, env_steps, episodes)
        env_steps += whole * size
        done += int(counts[:whole].sum())
        yield whole_round(output, counts[:whole], ended, env_steps, done)
        if whole < num_rounds:
            row = jax.tree.map(lambda table: table[whole], schedule)  # noqa: B023
            check_round(one_round, carry, (source.seed, row), experiment.spec, episodes)
            raise failure_in(output.rounds, experiment.spec, before, started)


def first_carry(
    one_round: DqnRound | PqnRound, state: TrainState, source: DeviceSource
) -> DqnCarry | PqnCarry:
    """What the first chunk begins with."""
    if isinstance(one_round, PqnRound):
        return PqnCarry(state.learner, source.states)
    assert state.replay is not None
    behaviour = jnp.copy(state.behaviour_params) if one_round.overlap else None
    return DqnCarry(state.learner, state.replay, behaviour, source.states)


def schedule_for(
    experiment: Experiment,
    one_round: DqnRound | PqnRound,
    env_steps: int,
    done: int,
    counts: np.ndarray,
) -> DqnSchedule | PqnSchedule:
    """The tables of a chunk; arguments as for `schedule_of`."""
    if isinstance(one_round, PqnRound):
        return pqn_schedule(experiment, one_round, env_steps)
    return schedule_of(experiment, one_round, env_steps, done, counts)


def pqn_schedule(experiment: Experiment, one_round: PqnRound, env_steps: int) -> PqnSchedule:
    """The tables of a chunk of PQN that begins after `env_steps`; as for `schedule_of`."""
    settings = experiment.settings
    size, length = settings.round_ticks, max_rounds(settings.round_ticks)
    before = env_steps + size * np.arange(length)
    epsilon = linear_epsilon(settings.exploration, before[:, None] + np.arange(size))
    rates = [learning_rate_at(settings.learning, int(at) + size) for at in before]
    return PqnSchedule(
        env_steps=before.astype(np.uint32),
        first_epoch=(before // size * settings.learning.epochs_per_round).astype(np.uint32),
        epsilon=epsilon.astype(np.float32).reshape(length, one_round.vector_steps, -1),
        learning_rate=np.array(rates, np.float32),
    )


def schedule_of(
    experiment: Experiment,
    one_round: DqnRound,
    env_steps: int,
    done: int,
    counts: np.ndarray,
) -> DqnSchedule:
    """The tables of a chunk, as long as the longest one.

    Args:
        experiment: the run's experiment.
        one_round: the run's round function.
        env_steps: env steps of the run before the chunk.
        done: updates before it.
        counts: number of updates of each round.
    """
    settings = experiment.settings
    size, length = settings.round_ticks, max_rounds(settings.round_ticks)
    before = env_steps + size * np.arange(length)
    every = np.zeros(length, np.int64)
    every[: len(counts)] = counts
    steps = before[:, None] + np.arange(size)
    epsilon = linear_epsilon(settings.exploration, steps).astype(np.float32)
    rates = [learning_rate_at(settings.learning, int(at) + size) for at in before]
    return DqnSchedule(
        env_steps=before.astype(np.uint32),
        first_update=(done + np.cumsum(every) - every).astype(np.uint32),
        branch=np.searchsorted(one_round.counts, every).astype(np.int32),
        epsilon=epsilon.reshape(length, one_round.vector_steps, -1),
        learning_rate=np.array(rates, np.float32),
    )


def ended_episodes(
    outputs: RoundOutput, num_rounds: int, env_steps: int, episodes: np.ndarray
) -> list[FinishedEpisode]:
    """The episodes that ended in a chunk, in order of env steps.

    Args:
        outputs: what the rounds of the chunk gave.
        num_rounds: number of rounds that were done.
        env_steps: env steps of the run before the chunk.
        episodes: number of each environment's running episode; counted on.
    """
    lengths = np.asarray(outputs.episode_length)[:num_rounds].reshape(-1)
    returns = np.asarray(outputs.episode_return)[:num_rounds].reshape(-1)
    found = []
    for place in np.flatnonzero(lengths).tolist():
        index = place % len(episodes)
        found.append(
            FinishedEpisode(
                env_steps + place + 1,
                index,
                int(episodes[index]),
                float(returns[place]),
                int(lengths[place]),
            )
        )
        episodes[index] += 1
    return found


def whole_rounds(outputs: RoundOutput, num_rounds: int) -> int:
    """How many rounds of a chunk were done before an environment failed; at most `num_rounds`."""
    failed = np.asarray(outputs.unfit)[:num_rounds].any(axis=1)
    return int(np.argmax(failed)) if failed.any() else num_rounds


def failure_in(
    outputs: RoundOutput, spec: EnvironmentSpec, env_steps: int, episodes: np.ndarray
) -> EnvironmentFailedError:
    """The error of the first step in a chunk at which an environment failed.

    Args:
        outputs: what the rounds of the chunk gave.
        spec: the environment's description.
        env_steps: env steps of the run before the chunk.
        episodes: number of each environment's running episode before the chunk.
    """
    place = int(np.flatnonzero(np.asarray(outputs.unfit))[0])
    index = place % len(episodes)
    earlier = np.asarray(outputs.episode_length).reshape(-1)[index : place : len(episodes)]
    episode = int(episodes[index]) + int(np.count_nonzero(earlier))
    return some_failure(spec, index, episode, env_steps + place + 1)


def whole_round(
    output: ChunkOutput,
    counts: np.ndarray,
    ended: list[FinishedEpisode],
    env_steps: int,
    done: int,
) -> Round:
    """The record of the whole rounds of a chunk, in the form of a round."""
    collected = Collected(_NO_STEPS, ended, {}, [], [])
    metrics = np.asarray(output.rounds.metrics)[: len(counts)]
    learned = counts > 0
    is_real = np.arange(metrics.shape[1]) < counts[:, None]
    # After a failure the newest sample is of no round.
    is_whole = len(counts) and not np.asarray(output.rounds.unfit).any()
    sample: Any = output.newest if is_whole and counts[-1] else None
    if isinstance(sample, Sample):
        sample = jax.tree.map(lambda leaf: leaf[: counts[-1]], sample)
    found = LearnerOutput(
        leaves=[],
        params=output.params,
        eval_params=output.eval_params,
        metrics=metrics[is_real],
        td_errors=np.asarray(output.rounds.td_errors)[: len(counts)][learned],
        sample=sample,
    )

    def state() -> TrainState:
        return train_state_of(output.carry, found, env_steps, done)

    return Round(env_steps, done, collected, None, lambda: found, state)


def train_state_of(
    carry: DqnCarry | PqnCarry, output: LearnerOutput, env_steps: int, updates: int
) -> TrainState:
    """The training state after a chunk with this carry."""
    replay, behaviour = None, None
    if isinstance(carry, DqnCarry):
        replay, behaviour = carry.replay, carry.behaviour_params
    return TrainState(
        carry.learner,
        replay,
        jnp.copy(output.params if behaviour is None else behaviour),
        jnp.asarray(output.params),
        jnp.asarray(output.eval_params),
        env_steps,
        updates,
    )
