"""The round: in which order things happen, and that nothing else decides what comes out."""

import itertools
import threading

import jax
import numpy as np
import pytest
from training import probe_mdps

from frankrl.config import Settings
from frankrl.environments import GymnasiumVector, describe
from frankrl.training import init_train_state, rounds
from frankrl.training import round as round_module
from frankrl.training.round import updates_due

SMALL = {
    "hidden_widths": (8,),
    "learning_starts_env_steps": 16,
    "batch_size": 8,
    "replay_capacity": 64,
    "epsilon_decay_env_steps": 60,
    "target_period_updates": 7,
}


def some_rounds(count: int, seed: int = 0, **changes):
    settings = Settings().with_changes(**(SMALL | changes))
    spec = describe("CartPole-v1", {})
    envs = GymnasiumVector(spec, settings.environment.num_envs, seed)
    state = init_train_state(settings, spec, seed)
    for result in itertools.islice(rounds(settings, seed, envs, state), count):
        yield result, result.state()


def weights(state) -> np.ndarray:
    return np.array(state.newest)


def test_with_overlap_a_round_acts_with_the_weights_of_two_rounds_before():
    newest = [
        (weights(state), np.array(state.acting))
        for _, state in some_rounds(20, num_envs=4, overlap=True)
    ]
    for (before, _), (_, acting) in itertools.pairwise(newest):
        np.testing.assert_array_equal(acting, before)
    assert not np.array_equal(newest[-1][0], newest[-1][1])


def test_without_overlap_a_round_acts_with_the_newest_weights():
    for _, state in some_rounds(10, num_envs=4, overlap=False):
        np.testing.assert_array_equal(np.array(state.acting), weights(state))


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
    settings = Settings().with_changes(**SMALL, num_envs=3, epsilon_end=1.0)
    spec = describe("CartPole-v1", {})
    envs = GymnasiumVector(spec, 3, seed=1)
    twin = GymnasiumVector(spec, 3, seed=1)
    *_, last = itertools.islice(rounds(settings, 1, envs, init_train_state(settings, spec, 1)), 15)
    stored = last.state().replay.quadruples
    for step in range(15):
        rows = slice(3 * step, 3 * step + 3)
        given, _ = twin.step(np.asarray(stored.action)[rows].astype(np.int64), 3 * step)
        np.testing.assert_array_equal(np.asarray(stored.observation)[rows], given.observation)
        np.testing.assert_array_equal(
            np.asarray(stored.next_observation)[rows], given.next_observation
        )
        np.testing.assert_array_equal(np.asarray(stored.reward)[rows], given.reward)
        np.testing.assert_array_equal(np.asarray(stored.terminated)[rows], given.terminated)


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
    due = [updates_due(settings, size * number) for number in range(1, 20_000 // size + 1)]
    last = size * len(due)
    assert due[-1] == pytest.approx(ratio * (last - 1_000), abs=ratio * size + 1)
    for number, count in enumerate(due, start=1):
        if size * number < 1_000:
            assert count == 0
    steps = np.diff([0, *due])[1_000 // size + 1 :]
    assert set(steps) <= {int(np.floor(ratio * size)), int(np.ceil(ratio * size))}


def test_the_round_that_fills_the_buffer_to_the_mark_is_the_first_that_learns():
    done = [
        (result.env_steps, result.updates)
        for result, _ in some_rounds(6, num_envs=4, replay_ratio=0.5)
    ]
    assert done == [(4, 0), (8, 0), (12, 0), (16, 2), (20, 4), (24, 6)]


@pytest.mark.parametrize("vector_steps", [1, 3])
def test_without_replay_an_update_learns_from_the_transitions_just_collected(vector_steps):
    settings = {"replay_sampling": "newest", "learning_starts_env_steps": 8, "batch_size": 4}
    for result, state in some_rounds(30, vector_steps_per_round=vector_steps, **settings):
        before = result.updates - int(result.lesson.num_updates)
        for number, rows in enumerate(
            result.outcome().drawn.indices[: result.updates - before], start=1
        ):
            newest = result.env_steps - vector_steps + number - 1
            begun = np.asarray(state.replay.begun)[rows]
            assert begun.tolist() == list(range(newest - 3, newest + 1))


@pytest.mark.parametrize("n_step", [1, 3])
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
    kwargs = {"length": 2, "end": end}
    settings = Settings().with_changes(
        **(SMALL | {"bootstrap_on": after, "n_step": n_step, "env_kwargs": kwargs})
    )
    spec = describe(probe_mdps.ProbeMDP.__name__ + "-v0", kwargs)
    envs = GymnasiumVector(spec, 1, 0)
    state = init_train_state(settings, spec, 0)
    *_, last = itertools.islice(rounds(settings, 0, envs, state), 20)
    state = last.state()
    stored = jax.tree.map(
        lambda field: np.asarray(field)[: int(state.replay.num_added)], state.replay.quadruples
    )
    is_last = stored.observation[:, 0] == 1
    # No quadruple reaches into the next episode, whatever the learner is told of its end.
    expected_steps = np.where(is_last, 1, min(n_step, 2))
    np.testing.assert_array_equal(stored.num_steps, expected_steps)
    ends_there = is_last | (n_step > 1)
    np.testing.assert_array_equal(stored.terminated, ends_there & terminated)


@pytest.mark.parametrize("overlap", [True, False])
def test_a_call_that_waits_in_a_thread_as_on_a_gpu_changes_no_bit(overlap, monkeypatch):
    settings = Settings().with_changes(**SMALL, num_envs=4, overlap=overlap)
    spec = describe("CartPole-v1", {})
    compiled, threads = round_module.compiled_learn, set()

    def watched(*given):
        learn = compiled(*given)

        def call(*given):
            threads.add(threading.current_thread().name)
            return learn(*given)

        return call

    monkeypatch.setattr(round_module, "compiled_learn", watched)
    found = []
    for backend, thread in (("cpu", "MainThread"), ("gpu", "learner_0")):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        threads.clear()
        envs, state = GymnasiumVector(spec, 4, 0), init_train_state(settings, spec, 0)
        results = rounds(settings, 0, envs, state)
        *_, last = itertools.islice(results, 30)
        found.append((weights(last.state()), last.state().acting, last.outcome().statistics))
        assert threads == {thread}
        results.close()
    jax.tree.map(np.testing.assert_array_equal, *found)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("learner")]


def test_what_goes_wrong_in_the_thread_comes_out_where_it_is_waited_for(monkeypatch):
    def compiled(*given):
        def call(*given):
            raise FloatingPointError("the learner has failed")

        return call

    monkeypatch.setattr(round_module, "compiled_learn", compiled)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    settings, spec = Settings().with_changes(**SMALL), describe("CartPole-v1", {})
    envs, state = GymnasiumVector(spec, 1, 0), init_train_state(settings, spec, 0)
    results = rounds(settings, 0, envs, state)
    result = next(results)
    for ask in (result.outcome, result.state, lambda: next(results)):
        with pytest.raises(FloatingPointError, match="the learner has failed"):
            ask()
