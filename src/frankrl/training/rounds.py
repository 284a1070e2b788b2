"""Rounds: act, store, learn, again and again."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array

from frankrl.core.normalisation import Scales
from frankrl.core.numerics import in_own_jax
from frankrl.core.types import Steps
from frankrl.experience import Collected, Source, make_policy
from frankrl.learning import has_own_optimiser, learning_rate_at
from frankrl.replay import EndingRoom, SampleRequest, cut_short, with_ending_rows
from frankrl.training.learner_call import LearnerInput, LearnerOutput, compiled_learn
from frankrl.training.noise import update_noise
from frankrl.training.replay_place import learning_device, replay_host
from frankrl.training.state import Experiment, TrainState


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
    and starts the updates that are due, in a compiled call that runs in the background. With
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
    learner, host = state.learner, replay_host(experiment)
    if host is not None:
        # What is sent there is bound to it, and what is not would be compiled for twice.
        weights = (learner, behaviour_params, params)
        learner, behaviour_params, params = jax.device_put(weights, learning_device())
    # Flattening the state's records in each call would cost more than a small update.
    leaves, structure = jax.tree.flatten((learner, state.replay, state.demonstrations))
    # Another optimiser, or a changed one, may stand under a name of the user's own in a later run.
    own = has_own_optimiser(settings.learning)
    compiled = compiled_learn.__wrapped__ if own else compiled_learn
    demonstrations = experiment.demonstrations
    learn = compiled(settings.learning, network, experiment.replay, structure, demonstrations, host)
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
