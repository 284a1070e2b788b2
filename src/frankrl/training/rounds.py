"""Rounds: act, store, learn, again and again."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from frankrl.config import LearningSettings
from frankrl.core.compiling import compiler_options
from frankrl.core.normalisation import Scales
from frankrl.core.numerics import in_own_jax
from frankrl.core.sequences import Sequences
from frankrl.core.types import Steps, Transition
from frankrl.experience import Collected, Source, make_policy
from frankrl.learning import (
    UpdateMetrics,
    UpdateNoise,
    has_own_optimiser,
    learning_rate_at,
    updates,
)
from frankrl.networks import QNetwork
from frankrl.replay import (
    EndingRoom,
    ReplayBuffer,
    ReplayState,
    Sample,
    SampleRequest,
    cut_short,
    joined,
    parted,
    with_ending_rows,
)
from frankrl.training.noise import update_noise
from frankrl.training.state import Experiment, TrainState

Buffers = tuple[ReplayBuffer, ReplayBuffer | None]
"""Definitions: of a run's own buffer, and of that of a data set, of which batches have a part."""


class LearnerInput(NamedTuple):
    """Input of the learner's call of one round."""

    steps: Steps | None
    """Steps of the round; their number is fixed. None: the run does not act."""
    draws: Any
    """Input for sampling the transitions of the updates that are due, the result of
    `Sampler.draws`; None if none is due."""
    learning_rate: Float[Any, ""]
    noise: UpdateNoise
    """Random numbers of the updates that are due."""
    scales: Scales | None = None
    """How observations and rewards are normalised; None: they are not."""
    demonstration_draws: Any = None
    """Input for sampling the share of a data set, as `draws`; None: there is none."""


class LearnerOutput(NamedTuple):
    """Output of the learner's call of one round.

    On the CPU its arrays may still be being computed; reading one waits for it.
    """

    leaves: list[Array]
    """Leaves of the learner and the buffers; donated to the next call."""
    params: Float[Array, " weight"]
    """θ after the updates of the round."""
    eval_params: Float[Array, " weight"]
    """Parameters for greedy acting after these updates."""
    metrics: Float[Any, "update metric"]
    """A row for each update of the round; columns as in `UpdateMetrics`."""
    td_errors: Float[Any, "round batch"]
    """y - Q(s, a) in the last of these updates; no row if there is none. [reward]"""
    sample: PyTree
    """The transitions that these updates learned from, a `Sample`, or with PQN a `PqnSample`; None
    if there is none."""


class Round(NamedTuple):
    """The result of one round, or of several that were one call on the device."""

    ticks: int
    """Of the run's clock so far."""
    updates: int
    """Updates of the run so far, including those still being computed."""
    collected: Collected
    """The experience of the round."""
    input: LearnerInput | None
    """Input of the learner's call; None on the device, where it never left."""
    output: Callable[[], LearnerOutput]
    """Returns the output of the learner's call; on a GPU this waits for the call. Its `leaves` are
    only valid until the next round begins."""
    state: Callable[[], TrainState]
    """Returns the state after the round. Read it before the next round begins, because its buffers
    are donated to the next compiled call."""


def rounds(experiment: Experiment, source: Source, state: TrainState) -> Iterator[Round]:
    """Train without end, one round at a time.

    A round steps every environment `vector_steps_per_round` times, adds the steps to the buffer
    and starts the updates that are due, in one compiled call that runs in the background. With
    `overlap`, the next round acts with the parameters from before that call and does not wait
    for it; without, it waits.

    Args:
        experiment: the run's experiment.
        source: the source of experience, in the state that belongs to `state`.
        state: the state to start from; its buffers are donated.
    """
    settings, network = experiment.settings, experiment.network
    policy = make_policy(settings.training.acting, network)
    behaviour_params, params = state.behaviour_params, state.params
    output: Callable[[], LearnerOutput] | None = None
    ticks, done = state.ticks, state.updates
    assert state.replay is not None, "PQN has no replay buffer, and runs on the device alone"
    room = None if settings.is_offline else EndingRoom(experiment.replay, state.replay)
    # Flattening the state's records in each call would cost more than a small update.
    leaves, structure = jax.tree.flatten((state.learner, state.replay, state.demonstrations))
    # Another optimiser, or a changed one, may stand under a name of the user's own in a later run.
    own = has_own_optimiser(settings.learning)
    compiled = compiled_learn.__wrapped__ if own else compiled_learn
    demonstrations = experiment.demonstrations
    learn = compiled(settings.learning, network, experiment.replay, structure, demonstrations)
    policy.load(behaviour_params)
    with _starter() as start:
        while True:
            collected = source.collect(policy, ticks)
            steps = collected.steps
            ticks += settings.round_ticks
            num_updates = experiment.updates_due(ticks) - done
            given = learner_input(experiment, steps, ticks, done, num_updates, source.scales())
            done += num_updates
            if output is not None:
                leaves, params = output().leaves, output().params
            if collected.cut:
                learner, stored, others = jax.tree.unflatten(structure, leaves)
                stored = cut_short(experiment.replay, stored, collected.cut)
                room = EndingRoom(experiment.replay, stored)
                leaves = jax.tree.leaves((learner, stored, others))
            if room is not None and steps is not None and (rows := room.grown_to(steps.is_last)):
                learner, stored, others = jax.tree.unflatten(structure, leaves)
                leaves = jax.tree.leaves((learner, with_ending_rows(stored, rows), others))
            if settings.training.overlap:
                behaviour_params = params
                policy.load(behaviour_params)
                source.look_ahead(policy, ticks)
            output = start(learn, leaves, given)
            if not settings.training.overlap:
                behaviour_params = output().params
                policy.load(behaviour_params)

            def whole(
                output: Callable[[], LearnerOutput] = output,
                behaviour_params: Array = behaviour_params,
                ticks: int = ticks,
                updates: int = done,
            ) -> TrainState:
                found = output()
                learner, replay, others = jax.tree.unflatten(structure, found.leaves)
                weights = (behaviour_params, found.params, found.eval_params)
                return TrainState(learner, replay, *weights, ticks, updates, others)

            yield Round(ticks, done, collected, given, output, whole)


def learner_input(
    experiment: Experiment,
    steps: Steps | None,
    ticks: int,
    first_update: int,
    num_updates: int,
    scales: Scales | None = None,
) -> LearnerInput:
    """Input of the learner's call of a round.

    Args:
        experiment: the run's experiment.
        steps: steps of the round; None: the run does not act.
        ticks: of the run's clock at the end of the round.
        first_update: number of the round's first update, from 0.
        num_updates: number of updates that are due in this round.
        scales: how observations and rewards are normalised at the end of the round.
    """
    settings, replay = experiment.settings, experiment.replay
    first, end = replay.drawable(experiment.stored_steps(ticks))
    before = experiment.stored_steps(ticks - settings.round_ticks)
    num_new = end - replay.drawable(before)[1]
    request = SampleRequest(first_update, num_updates, first, end, num_new, ticks)
    others, other_draws = experiment.demonstrations, None
    if others is not None and num_updates:
        whole = request._replace(first=0, end=others.capacity, num_new=0)
        other_draws = others.sampler.draws(experiment.seed, whole)
    return LearnerInput(
        steps=steps,
        draws=replay.sampler.draws(experiment.seed, request) if num_updates else None,
        learning_rate=np.float32(learning_rate_at(settings.learning, ticks)),
        noise=update_noise(
            experiment.network,
            settings.update_transitions,
            experiment.seed,
            first_update,
            num_updates,
        ),
        scales=scales,
        demonstration_draws=other_draws,
    )


@contextlib.contextmanager
def _starter() -> Iterator[Callable[..., Callable[[], LearnerOutput]]]:
    """Returns how to start the learner's call without waiting for it.

    On the CPU, JAX computes in a thread of its own and a call returns at once. On a GPU, a call
    returns when all kernels have been launched, so it is made in a separate thread.
    """
    if jax.default_backend() == "cpu":
        yield _started
    else:
        with ThreadPoolExecutor(1, "learner") as pool:
            yield lambda learn, *given: pool.submit(in_own_jax, learn, *given).result


def _started(learn: Callable[..., LearnerOutput], *given: Any) -> Callable[[], LearnerOutput]:
    output = learn(*given)
    return lambda: output


def sampled(
    buffers: Buffers, stored: ReplayState, others: ReplayState | None, given: LearnerInput
) -> tuple[Sample, Transition | Sequences]:
    """The transitions of all updates of a round; those of a data set stand behind the own ones."""
    replay, demonstrations = buffers
    own = replay.sample(stored, given.draws, given.scales)
    if demonstrations is None or others is None:
        return own
    return joined(own, demonstrations.sample(others, given.demonstration_draws, given.scales))


def _batch_size(buffers: Buffers) -> int:
    return sum(buffer.sampler.batch_size for buffer in buffers if buffer is not None)


@functools.lru_cache(maxsize=8)
def compiled_learn(
    settings: LearningSettings,
    network: QNetwork,
    replay: ReplayBuffer,
    structure: Any,
    demonstrations: ReplayBuffer | None = None,
) -> Callable[[list[Array], LearnerInput], LearnerOutput]:
    """The compiled learner's call: adds steps to the buffer, then does the updates.

    It takes the flat leaves of learner and buffers, which are donated; otherwise each call would
    copy the whole buffer. The number of updates follows from the shape of the draws. A run has at
    most three: none, and `replay_ratio` × env steps of a round, rounded down and up.
    """
    buffers = replay, demonstrations
    transitions = sum(buffer.update_transitions for buffer in buffers if buffer is not None)
    options = compiler_options(network.num_products * transitions)

    @functools.partial(jax.jit, donate_argnums=(0,), compiler_options=options)
    def compiled(leaves: list[Array], given: LearnerInput) -> LearnerOutput:
        learner, stored, others = jax.tree.unflatten(structure, leaves)
        if given.steps is not None:
            stored = replay.add(stored, given.steps)
        metrics = jnp.zeros((0, len(UpdateMetrics._fields)), jnp.float32)
        td_errors = jnp.zeros((0, _batch_size(buffers)), jnp.float32)
        sample = None
        if given.draws is not None:
            # One gather for all updates is faster than one for each.
            sample, batches = sampled(buffers, stored, others, given)
            learner, output = updates(
                settings,
                network,
                learner,
                batches,
                given.learning_rate,
                given.noise,
                sample.weights,
            )
            if demonstrations is None:
                stored = replay.set_priorities(stored, sample, output.priorities)
            else:
                own, other = parted((sample, output.priorities), replay.sampler.batch_size)
                stored = replay.set_priorities(stored, *own)
                others = demonstrations.set_priorities(others, *other)
            metrics, td_errors = output.metrics, output.td_errors[-1:]
        return LearnerOutput(
            leaves=jax.tree.leaves((learner, stored, others)),
            # Copies, because the leaves are donated to the next call.
            params=jnp.copy(learner.params),
            eval_params=jnp.copy(learner.eval_params),
            metrics=metrics,
            td_errors=td_errors,
            sample=sample,
        )

    return compiled
