"""Environments that fail are made anew, as a plain loop over episodes would do it."""

import contextlib
import itertools

import gymnasium
import numpy as np
import pytest
from failing_envs import Failing, MaskedFailing

from frankrl.core.errors import EnvironmentFailedError
from frankrl.core.random import Use, reset_seed
from frankrl.environments import GymnasiumVector, describe
from frankrl.environments.env_group import start_workers

NUM_ENVS, NUM_STEPS, SEED = 5, 250, 7
"""With this seed, no first episode fails at its reset: that would be a failure to begin at all."""


@pytest.fixture(scope="module")
def workers():
    started = start_workers(2)
    yield started
    for worker in started:
        worker.close()


def spec_of(name="Failing", **env_kwargs):
    return describe(f"failing_envs:{name}-v0", env_kwargs)


def chosen_actions(num_actions=3):
    return np.random.default_rng(0).integers(0, num_actions, (NUM_STEPS, NUM_ENVS))


def naive_twin(index, actions, **env_kwargs):
    """What one environment should give: its transitions, returns of episodes, dropped episodes."""
    transitions, returns, dropped = [], [], []
    episode, env = -1, Failing(**env_kwargs)

    def begin():
        nonlocal episode
        while True:
            episode += 1
            try:
                return env.reset(seed=reset_seed(SEED, Use.TRAINING_RESET, index, episode))[0]
            except RuntimeError:
                dropped.append((episode, 0))

    state, total, length = begin(), 0.0, 0
    for action in actions:
        while True:
            try:
                following, reward, _, truncated, _ = env.step(action)
                if np.isfinite(reward):
                    break
            except RuntimeError:
                pass
            dropped.append((episode, length))
            state, total, length = begin(), 0.0, 0
        transitions.append((*state, action, np.float32(reward), *following))
        total, length, state = total + reward, length + 1, following
        if truncated:
            returns.append((episode, total, length))
            state, total, length = begin(), 0.0, 0
    return transitions, returns, dropped


def played(vector, actions):
    transitions = [[] for _ in range(NUM_ENVS)]
    returns, dropped = ([[] for _ in range(NUM_ENVS)] for _ in range(2))
    for number, taken in enumerate(actions):
        step, finished = vector.step(taken, number * NUM_ENVS)
        for i in range(NUM_ENVS):
            seen, arrived = step.observation[i], step.next_observation[i]
            transitions[i].append((*seen, step.action[i], step.reward[i], *arrived))
        for e in finished:
            returns[e.env_index].append((e.episode, e.episode_return, e.length))
        for failed in step.failed:
            assert failed.env_steps == number * NUM_ENVS + failed.env_index + 1
            assert not failed.not_exact_because
            dropped[failed.env_index].append((failed.episode, failed.length))
    return transitions, returns, dropped


@pytest.mark.parametrize("processes", [0, 2])
@pytest.mark.parametrize(("how", "at"), [("step", 4), ("step", 1), ("value", 9), ("reset", 0)])
def test_what_fails_by_its_seed_is_dropped_as_in_a_plain_loop(workers, processes, how, at):
    kwargs = {"how": how, "share": 0.15, "at": at}
    actions = chosen_actions()
    expected = [naive_twin(i, actions[:, i], **kwargs) for i in range(NUM_ENVS)]
    with contextlib.closing(
        GymnasiumVector(spec_of(**kwargs), NUM_ENVS, SEED, workers[:processes], most_restarts=1_000)
    ) as vector:
        found = played(vector, actions)
        left, logs, now = vector.restarts_left, vector.logs(), vector.observation.copy()
    dropped = sum(len(each[2]) for each in expected)
    assert dropped > 4
    for i in range(NUM_ENVS):
        assert [part[i] for part in found] == list(expected[i])
    assert left == 1_000 - dropped
    with contextlib.closing(GymnasiumVector(spec_of(**kwargs), NUM_ENVS, SEED)) as again:
        assert again.restore(logs) == []
        np.testing.assert_array_equal(again.observation, now)


def test_the_failure_after_the_last_one_that_is_allowed_is_raised():
    with contextlib.closing(GymnasiumVector(spec_of(), 3, SEED, most_restarts=2)) as vector:
        seen = []

        def play():
            for number in itertools.count():
                step, _ = vector.step(np.zeros(3, np.int64), 3 * number)
                seen.extend(step.failed)

        with pytest.raises(EnvironmentFailedError, match="the wheel came off"):
            play()
    assert len(seen) == 2


def test_a_failure_that_does_not_come_again_is_told_as_one_that_cannot_be_repeated():
    class Once(Failing):
        left = 1

        def _fail(self, at):
            if Once.left and self.steps == at:
                Once.left -= 1
                raise RuntimeError("the wheel came off")
            return False

    gymnasium.register("Once-v0", Once)
    spec = describe("Once-v0", {})
    with contextlib.closing(GymnasiumVector(spec, 2, SEED, most_restarts=5)) as vector:
        failed, finished = [], []
        for number in range(30):
            step, ended = vector.step(np.zeros(2, np.int64), 2 * number)
            failed += step.failed
            finished += ended
    (one,) = failed
    assert (one.env_index, one.episode, one.length) == (0, 0, 3)
    assert "environment 0 failed, and did not fail again" in one.not_exact_because
    # Of the dropped episode nothing is counted.
    assert [e.episode for e in finished if e.env_index == 0] == [1, 2, 3]
    assert {e.length for e in finished} == {9}


def test_a_reset_that_works_in_a_new_environment_changes_nothing_and_is_told():
    class OnceInReset(Failing):
        resets = 0

        def reset(self, *, seed=None, options=None):
            OnceInReset.resets += 1
            if OnceInReset.resets == 12:
                raise RuntimeError("the wheel came off")
            return super().reset(seed=seed, options=options)

    gymnasium.register("OnceInReset-v0", OnceInReset)
    found = []
    for name in ("OnceInReset-v0", "failing_envs:Failing-v0"):
        spec = describe(name, {"share": 0.0})
        with contextlib.closing(GymnasiumVector(spec, NUM_ENVS, SEED, most_restarts=1)) as vector:
            steps = [vector.step(taken, 0)[0] for taken in chosen_actions()]
            rewards = [step.reward for step in steps]
            failed = [failure for step in steps for failure in step.failed]
            found.append((np.array(rewards), vector.digests(), vector.restarts_left, failed))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]
    assert (found[0][2], found[1][2]) == (0, 1)
    (one,) = found[0][3]
    which = f"environment {one.env_index} failed"
    assert one.not_exact_because == f"{which}, and did not fail again with the same seed"


def test_environments_of_a_process_that_dies_go_on_in_another_one():
    workers = start_workers(2)
    spec = spec_of(how="exit", share=0.1)
    # Environments 0 and 1 are in this process: without this one, of episodes that do not fail.
    seeds = range(1_000)
    seed = next(
        s for s in seeds if all(not is_bad(spec, s, i, e) for i in (0, 1) for e in range(4))
    )
    with contextlib.closing(GymnasiumVector(spec, NUM_ENVS, seed, workers, most_restarts=99)) as v:
        failed, lengths = [], []
        for number in range(27):
            step, ended = v.step(np.zeros(NUM_ENVS, np.int64), number * NUM_ENVS)
            failed += step.failed
            lengths += [e.length for e in ended]
            np.testing.assert_array_equal(step.observation[:, 1] + 1, step.next_observation[:, 1])
    assert failed
    for each in failed:
        assert each.not_exact_because == f"the process of environment {each.env_index} died"
        assert "has died" in each.reason
    assert {each.env_index for each in failed} <= {2, 3, 4}
    assert set(lengths) == {9}
    for worker in workers:
        worker.close()


def is_bad(spec, seed, index, episode):
    env = Failing(share=spec.env_kwargs["share"])
    env.reset(seed=reset_seed(seed, Use.TRAINING_RESET, index, episode))
    return env.is_bad


def test_the_action_is_one_that_the_next_episode_allows():
    spec = spec_of("MaskedFailing", share=0.3)
    env = MaskedFailing(share=0.3)
    with contextlib.closing(GymnasiumVector(spec, 4, SEED, most_restarts=1_000)) as vector:
        failed = 0
        for number in range(60):
            allowed = spec.action_mask(vector.observation)
            step, _ = vector.step(np.argmax(allowed, axis=1), 4 * number)
            failed += len(step.failed)
            for i in range(4):
                env.steps = spec.observation(step.observation)[i, 1]
                assert env.action_masks()[step.action[i]]
    assert failed > 2
