import dataclasses
import re
import sys

import numpy as np
import probe_envs  # noqa: F401 - registers environments
import pytest
import scipy.stats

from frankrl.core.errors import EnvironmentFailedError, EnvironmentUnusableError, MissingExtraError
from frankrl.environments import GymnasiumVector, describe

pytest.importorskip("envpool", reason="needs: pip install '.[envpool]'")

from frankrl.environments.envpool import EPISODES_AHEAD, EnvPoolVector


def pool(env_id="CartPole-v1", num_envs=3, seed=0, **kwargs):
    return EnvPoolVector(describe(env_id, kwargs), num_envs, seed)


def steady(observation):
    """LunarLander: fire the main engine when falling fast, turn upright else."""
    falling = observation[:, 3] < -0.4
    tilted = np.where(observation[:, 4] > 0.1, 3, np.where(observation[:, 4] < -0.1, 1, 0))
    return np.where(falling, 2, tilted)


def episodes_of(vector, policy, least):
    found, env_steps = [], 0
    while len(found) < least:
        _, finished = vector.step(policy(vector.observation), env_steps)
        env_steps += vector.num_envs
        found += finished
    vector.close()
    return found


def test_a_fixed_policy_earns_the_same_returns_as_on_gymnasium():
    spec = describe("LunarLander-v3", {})
    ours = episodes_of(EnvPoolVector(spec, 16, 0), steady, 120)
    theirs = episodes_of(GymnasiumVector(spec, 16, 0), steady, 120)
    for field in ("episode_return", "length"):
        compared = scipy.stats.ks_2samp(
            [getattr(episode, field) for episode in ours],
            [getattr(episode, field) for episode in theirs],
        )
        assert compared.pvalue > 0.01


def test_at_an_end_the_true_last_state_is_kept_and_the_next_episode_has_begun():
    vector, ends = pool(), 0
    random = np.random.default_rng(0)
    before = vector.observation
    for env_steps in range(0, 600, 3):
        step, finished = vector.step(random.integers(0, 2, 3), env_steps)
        np.testing.assert_array_equal(step.observation, before)
        fallen = (np.abs(step.next_observation[:, 2]) > 12 * np.pi / 180) | (
            np.abs(step.next_observation[:, 0]) > 2.4
        )
        np.testing.assert_array_equal(step.terminated, fallen)
        assert (np.abs(vector.observation[fallen]) <= 0.05).all()
        np.testing.assert_array_equal(vector.observation[~fallen], step.next_observation[~fallen])
        np.testing.assert_array_equal([e.env_index for e in finished], np.flatnonzero(fallen))
        assert all(e.env_steps == env_steps + e.env_index + 1 for e in finished)
        before, ends = vector.observation, ends + fallen.sum()
    assert ends > 10


def test_time_limits_are_gymnasium_s_and_count_as_truncation():
    vector = pool("MountainCar-v0", num_envs=2)
    for env_steps in range(0, 398, 2):
        step, finished = vector.step(np.array([1, 1]), env_steps)
        assert not step.truncated.any()
    step, finished = vector.step(np.array([1, 1]), 398)
    np.testing.assert_array_equal(step.truncated, [True, True])
    np.testing.assert_array_equal(step.terminated, [False, False])
    assert [(e.length, e.episode_return, e.episode) for e in finished] == [(200, -200.0, 0)] * 2


def play(vector, num_steps, seed=1):
    random, found = np.random.default_rng(seed), []
    for _ in range(num_steps):
        step, _ = vector.step(random.integers(0, vector.spec.num_actions, vector.num_envs), 0)
        found += [step.next_observation.tobytes(), step.reward.tobytes()]
    return found


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    assert play(pool(seed=3), 50) == play(pool(seed=3), 50)
    assert not set(play(pool(seed=3), 50)[::2]) & set(play(pool(seed=4), 50)[::2])


def test_environments_are_brought_back_to_where_they_were():
    vector = pool("LunarLander-v3")
    play(vector, 250)
    logs = vector.logs()
    again = pool("LunarLander-v3")
    assert again.restore(logs) == []
    np.testing.assert_array_equal(again.observation, vector.observation)
    assert [log.episode for log in again.logs()] == [log.episode for log in logs]
    assert play(again, 100, seed=2) == play(vector, 100, seed=2)


def test_an_environment_that_comes_out_otherwise_begins_its_next_episode():
    vector = pool()
    play(vector, 30)
    logs = [log._replace(digest=b"other") for log in vector.logs()]
    again = pool()
    assert again.restore(logs) == [0, 1, 2]
    assert (np.abs(again.observation) <= 0.05).all()
    assert [log.episode for log in again.logs()] == [log.episode + 1 for log in logs]
    play(again, 20, seed=2)
    third = pool()
    assert third.restore(again.logs()) == []
    np.testing.assert_array_equal(third.observation, again.observation)


def test_what_the_pool_gives_is_checked(monkeypatch):
    vector, nothing = pool(), np.zeros(3, bool)
    state, reward = np.zeros((3, 4), np.float32), np.ones(3)
    state[1, 2] = reward[2] = np.nan
    place = r"environment %d \(CartPole-v1 of EnvPool\), episode 0, step 1 gave %s"
    for told, where in (
        ((state, np.ones(3)), place % (1, "an observation that is not finite")),
        ((np.zeros((3, 4), np.float32), reward), place % (2, "the reward nan")),
    ):
        answer = (*told, nothing, nothing)
        monkeypatch.setattr(vector, "_step_pools", lambda indices, given, answer=answer: answer)
        with pytest.raises(EnvironmentFailedError, match=where):
            vector.step(np.zeros(3, np.int64), 0)
    vector.close()


def test_a_log_holds_the_running_episodes_alone():
    vector = pool("CartPole-v1")
    lengths = np.zeros(3, int)
    for _ in range(400):
        step, _ = vector.step(np.array([0, 1, 0]), 0)
        lengths = np.where(step.terminated | step.truncated, 0, lengths + 1)
        np.testing.assert_array_equal([len(log.actions) for log in vector.logs()], lengths)
    assert min(log.episode for log in vector.logs()) > 2 * EPISODES_AHEAD


def test_how_an_episode_begins_depends_on_its_number_and_not_on_those_before_it():
    firsts = {}
    for period in (1, 2):
        vector = pool(num_envs=2)
        for t in range(400):
            before = [log.episode for log in vector.logs()]
            vector.step(np.array([0, t // period % 2]), 0)
            for index, log in enumerate(vector.logs()):
                if log.episode != before[index]:
                    row = vector.observation[index].tobytes()
                    assert firsts.setdefault((index, log.episode), row) == row
        vector.close()
    assert len(set(firsts.values())) == len(firsts) > 3 * EPISODES_AHEAD


def test_environments_in_several_pools_are_brought_back_into_one():
    vector, most = pool(num_envs=3), 0
    for t in range(2_000):
        # The last environment balances far longer than the others.
        balance = int(vector.observation[2, 2] + 0.5 * vector.observation[2, 3] > 0)
        vector.step(np.array([0, 1, balance]), 0)
        most = max(most, len(vector._pools))
        if t % 400 == 399:
            again = pool(num_envs=3)
            assert again.restore(vector.logs()) == []
            assert len(again._pools) == 1
            np.testing.assert_array_equal(again.observation, vector.observation)
            assert play(again, 30, seed=t) == play(vector, 30, seed=t)
            again.close()
    assert 2 <= most <= 3


def test_a_vector_that_has_played_can_be_brought_back_itself():
    vector = pool()
    logs, first = vector.logs(), vector.observation
    expected = play(vector, 60)
    assert vector.restore(logs) == []
    np.testing.assert_array_equal(vector.observation, first)
    assert play(vector, 60) == expected


@pytest.mark.parametrize(
    ("env_id", "kwargs", "words"),
    [
        ("LunarLander-v3", {"gravity": -5.0}, "takes no env_kwargs"),
        ("FrankCounting-v0", {}, "EnvPool has no environment 'FrankCounting-v0'.*gymnasium"),
    ],
)
def test_an_environment_that_the_pool_cannot_give_is_refused(env_id, kwargs, words):
    with pytest.raises(EnvironmentUnusableError, match=words):
        pool(env_id, **kwargs)


def test_without_the_package_the_extra_is_named(monkeypatch):
    spec = describe("CartPole-v1", {})
    monkeypatch.setitem(sys.modules, "envpool", None)
    with pytest.raises(MissingExtraError, match=r'pip install "frankrl\[envpool\]"'):
        EnvPoolVector(spec, 1, 0)


@pytest.mark.parametrize("name", ["ALE/Pong-v5", "Pong-v6", "LunarLandr-v3", "CartPole-v2"])
def test_a_suggested_name_is_one_that_both_libraries_know(name):
    spec = dataclasses.replace(describe("CartPole-v1", {}), env_id=name)
    with pytest.raises(EnvironmentUnusableError, match="EnvPool has no environment") as caught:
        EnvPoolVector(spec, 1, 0)
    for suggestion in re.findall(r"did you mean '(.*)'\?", str(caught.value)):
        assert EnvPoolVector(describe(suggestion, {}), 1, 0).num_envs == 1


def test_atari_games_are_refused_with_the_reason():
    with pytest.raises(
        EnvironmentUnusableError, match=r"takes no Atari games: .* backend gymnasium"
    ):
        EnvPoolVector(describe("ALE/Pong-v5", {}), 1, 0)
