"""One update of a repeated round: its batch is read again, and its learner computed again."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree, UInt32

from frankrl.config import LearningSettings
from frankrl.core.compiling import compiler_options
from frankrl.core.device_random import seed_words
from frankrl.core.errors import warn
from frankrl.core.normalisation import Scales
from frankrl.core.sequences import Sequences
from frankrl.core.types import Params, Steps, Transition
from frankrl.explaining.cloning_record import CloningRecord, cloning_record_of
from frankrl.explaining.opened_update import SampledBatch
from frankrl.explaining.pqn_record import pqn_opened
from frankrl.explaining.record import UpdateRecord, record_of
from frankrl.explaining.sequence_record import (
    SampledSequences,
    sequences_cloning_record_of,
    sequences_record_of,
)
from frankrl.learning import (
    LearnerState,
    UpdateNoise,
    has_own_optimiser,
    learning_rate_at,
    under_noise,
    updates,
)
from frankrl.networks import FeedForwardNetwork, QNetwork, RecurrentNetwork
from frankrl.replay import (
    EndingRoom,
    ReplayBuffer,
    ReplayState,
    Sample,
    Span,
    cut_short,
    joined,
    parted,
    with_ending_rows,
)
from frankrl.training import Experiment, Round, TrainState
from frankrl.training.device.batch import computed_in_lanes
from frankrl.training.device.dqn_round import device_noise


def opened_in_round(
    experiment: Experiment, before: TrainState, result: Round, update: int, num_lanes: int
) -> tuple[UpdateRecord | CloningRecord, Params]:
    """The record of one update of a round, and θ before it, given the state before the round.

    It is computed in as many lanes as the run's own program had, 0 for a run alone.
    """
    if not experiment.settings.has_replay:
        record, learner, last = pqn_opened(experiment, before, result, update, num_lanes)
        _compare_with_run(last, result.state().learner)
        return record, experiment.network.layout.unflatten(learner.params)
    settings, network, replay = experiment.settings, experiment.network, experiment.replay
    sample = jax.tree.map(jnp.asarray, result.output().sample)
    assert sample is not None, "the update's own round did none"
    given = _given(experiment, before, result)
    drawn, other = parted(sample.env_steps, replay.sampler.batch_size)
    found = _read(replay, given.stored, given.steps, drawn, given.scales)[1:]
    if (demonstrations := experiment.demonstrations) is not None:
        assert before.demonstrations is not None, "its data set is in a buffer"
        others = _read(demonstrations, _copies(before.demonstrations), None, other, given.scales)
        found = joined(found, others[1:])
    taken, batches, spans = found
    number = update - before.updates - 1
    products = network.num_products * settings.update_transitions
    learn = _compiled_updates(settings.learning, network, products, num_lanes)
    # On the host, where a part of an array is taken without a compiled program for it.
    taken, batches, noise, sample, spans = jax.tree.map(
        np.asarray, (taken, batches, given.noise, sample, spans)
    )

    def learned(state: LearnerState, first: int, end: int) -> LearnerState:
        """The learner after the updates from `first` to `end` of the round."""
        if first == end:
            return state
        tables = (batches, noise, sample.weights)
        own = jax.tree.map(lambda table: table[first:end], tables)
        return learn(state, own[0], given.learning_rate, *own[1:])[0]

    state = learned(before.learner, 0, number)
    after = learned(state, number, number + 1)
    _compare_with_run(
        learned(after, number + 1, result.updates - before.updates), result.state().learner
    )
    own, begins, batch, noise, span = jax.tree.map(
        lambda table: table[number], (sample, taken, batches, noise, spans)
    )
    clock, rate = experiment.settings.clock, float(given.learning_rate)
    facts = {"env_steps": result.ticks, "clock": clock, "learning_rate": rate}
    record = _record(experiment, (state, after), own, begins, batch, span, noise, facts)
    return record, under_noise(network.layout.unflatten(np.asarray(state.params)), noise)


class _Given(NamedTuple):
    """What the updates of a round were given, besides their samples."""

    stored: ReplayState
    steps: Steps | None
    """The round's steps, which the buffer lacks; None: it has them."""
    learning_rate: Any
    noise: UpdateNoise
    scales: Scales | None


def _given(experiment: Experiment, before: TrainState, result: Round) -> _Given:
    """What the updates of a round were given; `before` is the state before it."""
    given, replay, stored = result.input, experiment.replay, before.replay
    assert stored is not None, "PQN has no replay buffer"
    if given is None:
        count = result.updates - before.updates
        rows, seed = experiment.settings.update_transitions, seed_words(experiment.seed)
        noise = device_noise(experiment.network, rows, seed, before.updates, count)
        rate = np.float32(learning_rate_at(experiment.settings.learning, result.ticks))
        # A copy, because reading takes it over.
        after = copied(result.state()).replay
        assert after is not None
        return _Given(after, None, rate, noise, None)
    if cut := result.collected.cut:
        stored = cut_short(replay, stored, cut)
    steps = given.steps
    if steps is not None and (rows := EndingRoom(replay, stored).grown_to(steps.is_last)):
        stored = with_ending_rows(stored, rows)
    return _Given(stored, steps, given.learning_rate, given.noise, given.scales)


def _record(
    experiment: Experiment,
    learners: tuple[LearnerState, LearnerState],
    sample: Sample,
    begins: UInt32[np.ndarray, "*batch"],
    batch: Transition | Sequences,
    span: Span,
    noise: UpdateNoise,
    facts: dict[str, Any],
) -> UpdateRecord | CloningRecord:
    """The record of an update, given the learners before and after it."""
    learning, network = experiment.settings.learning, experiment.network
    is_cloned = learning.algorithm == "bc"
    if isinstance(batch, Transition):
        assert isinstance(network, FeedForwardNetwork), "one with memory learns from sequences"
        sampled = SampledBatch(sample, batch, span.num_steps, span.terminated)
        if is_cloned:
            return cloning_record_of(network, *learners, sampled, **facts)
        return record_of(learning, network, *learners, sampled, noise=noise, **facts)
    assert isinstance(network, RecurrentNetwork), "only one with memory learns from sequences"
    given = SampledSequences(sample, batch, begins, span.num_steps, span.terminated)
    if is_cloned:
        return sequences_cloning_record_of(network, *learners, given, **facts)
    return sequences_record_of(learning, network, *learners, given, noise=noise, **facts)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def _read(
    replay: ReplayBuffer,
    stored: ReplayState,
    steps: Steps | None,
    env_steps: UInt32[Array, "update batch"],
    scales: Scales | None,
) -> tuple[ReplayState, UInt32[Array, "update batch *step"], Transition | Sequences, Span]:
    """The buffer with the steps of a round, if it lacks them; the env steps at which transitions,
    or the learned steps of sequences, begin; the transitions that were drawn by some env steps and
    their steps, or the sequences and the steps of each of their transitions."""
    if steps is not None:
        stored = replay.add(stored, steps)
    if replay.sequences is None:
        found = replay.read(stored, env_steps, scales), replay.spans(stored, env_steps)
        return stored, env_steps, *found
    firsts = replay.first_learned(stored, env_steps)
    distance = np.arange(replay.sequences.learned_steps, dtype=np.uint32)
    begins = firsts[..., None] + distance * np.uint32(replay.num_envs)
    batch = replay.read_sequences(stored, firsts, scales)
    return stored, begins, batch, replay.spans(stored, begins)


def _compiled_updates(
    settings: LearningSettings, network: QNetwork, products: int, num_lanes: int
) -> Callable[..., Any]:
    """Updates, compiled as the run's own program is."""
    own = functools.partial(updates, settings, network)
    if num_lanes:
        return computed_in_lanes(own, num_lanes, products)
    if has_own_optimiser(settings):
        # Another one, or a changed one, may stand under the same name later.
        return jax.jit(own, compiler_options=compiler_options(products))
    return functools.partial(_updates(products), settings, network)


@functools.lru_cache(maxsize=8)
def _updates(products: int) -> Callable[..., Any]:
    options = compiler_options(products)
    return jax.jit(updates, static_argnums=(0, 1), compiler_options=options)


def _compare_with_run(ours: LearnerState, theirs: LearnerState) -> None:
    """Warn if the round's updates in several calls do not end in the same bits as in one call.

    Another number of updates is another compiled program, which may round differently.
    """
    difference = np.asarray(ours.params) - np.asarray(theirs.params)
    away = float(np.abs(difference).max(initial=0.0))
    if away:
        warn(
            "the updates of this round, computed in parts, end up to "
            f"{away:.1g} away from the run's weights: the numbers shown are right to that"
        )


def copied(state: TrainState) -> TrainState:
    """A copy of the state, whose arrays no later round takes over."""
    # One by one: the buffers may lie on another device than the learner.
    learner, replay, others = map(_copies, (state.learner, state.replay, state.demonstrations))
    return state._replace(learner=learner, replay=replay, demonstrations=others)


@jax.jit
def _copies(arrays: PyTree) -> PyTree:
    return jax.tree.map(jnp.copy, arrays)
