"""The round: in which order things happen, and that nothing else decides what comes out."""

import contextlib
import importlib
import itertools
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from in_memory import experiment_of, round_number, rounds_of
from long_forms import some_of
from training import probe_mdps

from frankrl.config import Settings
from frankrl.environments import GymnasiumVector

# By its name, because the package has a function of the same name.
rounds_module = importlib.import_module("frankrl.training.rounds")

SMALL = {
    "hidden_widths": (8,),
    "learning_starts_env_steps": 16,
    "batch_size": 8,
    "replay_capacity": 64,
    "epsilon_decay_env_steps": 60,
    "target_period_updates": 7,
}


def small_experiment(seed: int = 0, **changes):
    return experiment_of("CartPole-v1", Settings().with_changes(**(SMALL | changes)), seed)


def some_rounds(count: int, seed: int = 0, **changes):
    """Each round with the state after it, which is gone once the next one has begun."""
    for result in itertools.islice(rounds_of(small_experiment(seed, **changes)), count):
        yield result, result.state()


def weights(state) -> np.ndarray:
    return np.array(state.params)


def test_with_overlap_a_round_acts_with_the_weights_of_two_rounds_before():
    newest = [
        (weights(state), np.array(state.behaviour_params))
        for _, state in some_rounds(20, num_envs=4, overlap=True)
    ]
    for (before, _), (_, acting) in itertools.pairwise(newest):
        np.testing.assert_array_equal(acting, before)
    assert not np.array_equal(newest[-1][0], newest[-1][1])


def test_without_overlap_a_round_acts_with_the_newest_weights():
    for _, state in some_rounds(10, num_envs=4, overlap=False):
        np.testing.assert_array_equal(np.array(state.behaviour_params), weights(state))


def test_before_learning_starts_the_weights_stay_as_they_began():
    found = [weights(state) for _, state in some_rounds(3, num_envs=4)]
    for one in found[1:]:
        np.testing.assert_array_equal(one, found[0])


def test_same_seed_same_bits_and_another_seed_other_bits():
    *_, (_, first) = some_rounds(12, seed=5, num_envs=4)
    first_weights = weights(first)
    *_, (_, second) = some_rounds(12, seed=5, num_envs=4)
    np.testing.assert_array_equal(weights(second), first_weights)
    *_, (_, other) = some_rounds(12, seed=6, num_envs=4)
    assert not np.array_equal(weights(other), first_weights)


def test_the_buffer_holds_what_the_environments_gave_in_their_order():
    experiment = small_experiment(seed=1, num_envs=3, epsilon_end=1.0)
    stored = round_number(experiment, 15).state().replay
    ended = 0
    with contextlib.closing(GymnasiumVector(experiment.spec, 3, seed=1)) as twin:
        for step in range(15):
            rows = slice(3 * step, 3 * step + 3)
            given, _ = twin.step(np.asarray(stored.action)[rows].astype(np.int64), 3 * step)
            np.testing.assert_array_equal(stored.observation[rows], given.observation)
            np.testing.assert_array_equal(stored.reward[rows], given.reward)
            np.testing.assert_array_equal(stored.terminated[rows], given.terminated)
            is_last = given.terminated | given.truncated
            numbers = ended + np.cumsum(is_last)
            np.testing.assert_array_equal(stored.ending[rows], np.where(is_last, numbers, 0))
            arrived = stored.observation[stored.num_rows + numbers[is_last] - 1]
            np.testing.assert_array_equal(arrived, given.next_observation[is_last])
            ended += is_last.sum()
        np.testing.assert_array_equal(stored.observation[45:48], twin.observation)
    assert (int(stored.num_steps), int(stored.num_endings)) == (45, ended)
    assert ended > 0


@pytest.mark.parametrize("ratio", [0.25, 0.3, 0.5, 1, 2.5])
@pytest.mark.parametrize(("num_envs", "vector_steps"), [(1, 1), (1, 4), (8, 1), (5, 3)])
def test_updates_keep_the_replay_ratio_whatever_the_number_of_environments(
    ratio, num_envs, vector_steps
):
    settings = Settings().with_changes(
        replay_ratio=ratio,
        num_envs=num_envs,
        vector_steps_per_round=vector_steps,
        learning_starts_env_steps=1_000,
    )
    size = num_envs * vector_steps
    due = [settings.updates_due(size * number) for number in range(1, 20_000 // size + 1)]
    last = size * len(due)
    assert due[-1] == pytest.approx(ratio * (last - 1_000), abs=ratio * size + 1)
    for number, count in enumerate(due, start=1):
        if size * number < 1_000:
            assert count == 0
    steps = np.diff([0, *due])[1_000 // size + 1 :]
    assert set(steps) <= {int(np.floor(ratio * size)), int(np.ceil(ratio * size))}


def test_the_round_that_fills_the_buffer_to_the_mark_is_the_first_that_learns():
    done = [
        (result.ticks, result.updates) for result, _ in some_rounds(6, num_envs=4, replay_ratio=0.5)
    ]
    assert done == [(4, 0), (8, 0), (12, 0), (16, 2), (20, 4), (24, 6)]


@pytest.mark.parametrize("vector_steps", [1, 3])
def test_without_replay_an_update_learns_from_the_transitions_just_collected(vector_steps):
    settings = {"replay_sampling": "newest", "learning_starts_env_steps": 8, "batch_size": 4}
    for result, _ in some_rounds(30, vector_steps_per_round=vector_steps, **settings):
        sample = result.output().sample
        assert (sample is None) == (result.ticks < 8)
        for number, env_steps in enumerate([] if sample is None else sample.env_steps, start=1):
            newest = result.ticks - vector_steps + number - 1
            assert env_steps.tolist() == list(range(newest - 3, newest + 1))


@pytest.mark.parametrize("n_step", some_of([1, 3], [3]))
@pytest.mark.parametrize(
    ("end", "after", "terminated"),
    [
        ("terminated", "truncation", True),
        ("terminated", "never", True),
        ("terminated", "always", False),
        ("truncated", "truncation", False),
        ("truncated", "never", True),
        ("truncated", "always", False),
    ],
)
def test_bootstrap_on_says_which_ends_the_learner_sees(end, after, terminated, n_step):
    """Every second step of this world is the last of an episode; its reward is 1 each step."""
    gamma, chosen = 0.5, {"bootstrap_on": after, "n_step": n_step, "gamma": 0.5}
    chosen["env_kwargs"] = {"length": 2, "end": end}
    settings = Settings().with_changes(**SMALL, **chosen)
    experiment = experiment_of(probe_mdps.ProbeMDP.__name__ + "-v0", settings, seed=0)
    replay, state = experiment.replay, round_number(experiment, 20).state()
    env_steps = jnp.arange(20 - n_step, dtype=jnp.uint32)
    span = replay.spans(state.replay, env_steps)
    transitions = replay.read(state.replay, env_steps)
    is_last = np.asarray(env_steps % 2 == 1)
    # No transition reaches into the next episode, whatever the learner is told of its end.
    num_steps = np.where(is_last, 1, min(n_step, 2))
    ends_world = (is_last | (n_step > 1)) & terminated
    np.testing.assert_array_equal(span.num_steps, num_steps)
    np.testing.assert_array_equal(span.terminated, ends_world)
    np.testing.assert_array_equal(transitions.discount, np.where(ends_world, 0, gamma**num_steps))
    np.testing.assert_array_equal(transitions.reward, np.where(num_steps == 1, 1, 1 + gamma))


@pytest.mark.parametrize("overlap", [True, False])
def test_a_call_that_waits_in_a_thread_as_on_a_gpu_changes_no_bit(overlap, monkeypatch):
    experiment = small_experiment(num_envs=4, overlap=overlap)
    compiled, threads = rounds_module.compiled_learn, set()

    def watched(*given):
        learn = compiled(*given)

        def call(*given):
            threads.add(threading.current_thread().name)
            return learn(*given)

        return call

    monkeypatch.setattr(rounds_module, "compiled_learn", watched)
    found = []
    for backend, thread in (("cpu", "MainThread"), ("gpu", "learner_0")):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        threads.clear()
        results = rounds_of(experiment)
        *_, last = itertools.islice(results, 30)
        state = last.state()
        found.append((weights(state), state.behaviour_params, last.output().metrics))
        assert threads == {thread}
        results.close()
    jax.tree.map(np.testing.assert_array_equal, *found)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("learner")]


def test_what_goes_wrong_in_the_thread_comes_out_where_it_is_waited_for(monkeypatch):
    def compiled(*given):
        def call(*given):
            raise FloatingPointError("the learner has failed")

        return call

    monkeypatch.setattr(rounds_module, "compiled_learn", compiled)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    results = rounds_of(small_experiment())
    result = next(results)
    for ask in (result.output, result.state, lambda: next(results)):
        with pytest.raises(FloatingPointError, match="the learner has failed"):
            ask()
