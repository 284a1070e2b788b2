import numpy as np
import pytest
from probe_envs import CountingProbe, SpaceProbe

from frankrl.core.errors import EnvironmentFailedError, EnvironmentUnusableError
from frankrl.core.random import Use, reset_seed
from frankrl.environments import EnvironmentLog, GymnasiumVector, describe
from frankrl.environments.checked_env import CheckedEnv

NOTHING, END = 0, 1


def counting(num_envs=2, seed=0, **kwargs):
    return GymnasiumVector(describe("FrankCounting-v0", kwargs), num_envs, seed)


def faulty(fault, num_envs=1, **kwargs):
    return GymnasiumVector(describe("FrankFaulty-v0", {"fault": fault, **kwargs}), num_envs, 0)


def step_of(vector, *actions, env_steps=0):
    return vector.step(np.array(actions), env_steps)


def low_seed(seed, env_index, episode):
    return reset_seed(seed, Use.TRAINING_RESET, env_index, episode) % 65_536


def test_a_transition_holds_where_the_action_was_taken_and_where_it_led():
    vector = counting()
    step, finished = step_of(vector, NOTHING, NOTHING)
    np.testing.assert_array_equal(step.observation[:, 0], [0, 0])
    np.testing.assert_array_equal(step.next_observation[:, 0], [1, 1])
    np.testing.assert_array_equal(step.reward, [1, 1])
    np.testing.assert_array_equal(step.action, [NOTHING, NOTHING])
    np.testing.assert_array_equal(vector.observation, step.next_observation)
    assert not finished


def test_at_an_end_the_true_last_state_is_kept_and_the_next_episode_has_begun():
    vector = counting(seed=9)
    step, finished = step_of(vector, END, NOTHING, env_steps=40)
    np.testing.assert_array_equal(step.next_observation[:, 0], [1, 1])
    np.testing.assert_array_equal(step.next_observation[:, 1], step.observation[:, 1])
    np.testing.assert_array_equal(vector.observation[:, 0], [0, 1])
    np.testing.assert_array_equal(vector.observation[:, 1], [low_seed(9, 0, 1), low_seed(9, 1, 0)])
    (episode,) = finished
    assert episode == (41, 0, 0, 1.0, 1)


def test_termination_and_truncation_are_told_apart():
    vector = counting(num_envs=2, limit=2)
    first, _ = step_of(vector, END, NOTHING)
    second, finished = step_of(vector, NOTHING, NOTHING)
    third, both = step_of(vector, END, NOTHING)
    np.testing.assert_array_equal(first.terminated, [True, False])
    np.testing.assert_array_equal(first.truncated, [False, False])
    np.testing.assert_array_equal(second.terminated, [False, False])
    np.testing.assert_array_equal(second.truncated, [False, True])
    np.testing.assert_array_equal(third.terminated, [True, False])
    np.testing.assert_array_equal(third.truncated, [True, False])
    assert [e.env_index for e in finished] == [1]
    assert [(e.env_index, e.episode, e.episode_return) for e in both] == [(0, 1, 3.0)]


def test_every_episode_is_reset_with_the_seed_of_its_env_and_number():
    vector = counting(num_envs=3, seed=5)
    for episode in range(4):
        expected = [low_seed(5, index, episode) for index in range(3)]
        np.testing.assert_array_equal(vector.observation[:, 1], expected)
        step_of(vector, END, END, END)


def test_returns_and_lengths_are_summed_per_environment():
    vector, found = counting(limit=3), []
    for env_steps in range(0, 12, 2):
        _, finished = step_of(vector, NOTHING, NOTHING, env_steps=env_steps)
        found += finished
    assert found == [(5, 0, 0, 6.0, 3), (6, 1, 0, 6.0, 3), (11, 0, 1, 6.0, 3), (12, 1, 1, 6.0, 3)]


def test_steps_already_given_out_are_not_overwritten_by_later_ones():
    vector = counting(limit=2)
    steps = [step_of(vector, NOTHING, NOTHING)[0] for _ in range(5)]
    np.testing.assert_array_equal([s.observation[0, 0] for s in steps], [0, 1, 0, 1, 0])
    np.testing.assert_array_equal([s.next_observation[0, 0] for s in steps], [1, 2, 1, 2, 1])


def test_an_environment_that_reuses_its_observation_array_does_no_harm(monkeypatch):
    own = np.zeros(2, np.float32)

    def in_place(self):
        own[:] = self._steps, 0
        return own

    monkeypatch.setattr(CountingProbe, "_observation", in_place)
    vector = counting(num_envs=1, limit=2)
    steps = [step_of(vector, NOTHING)[0] for _ in range(3)]
    np.testing.assert_array_equal([s.observation[0, 0] for s in steps], [0, 1, 0])
    np.testing.assert_array_equal([s.next_observation[0, 0] for s in steps], [1, 2, 1])


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("raise", "raised RuntimeError: the physics exploded .*probe_envs.py:"),
        ("shape", r"gave an observation of shape \(3,\); its space says \(2,\)"),
        ("nan", r"gave an observation that is not finite \(component 1 of 2\)"),
        ("inf", "gave an observation that is not finite"),
        ("nan_reward", "gave the reward nan"),
        ("no_reward", "gave the reward None, wanted one number"),
        ("ragged", "observation|raised ValueError"),
    ],
)
def test_a_failing_environment_is_named_with_its_index_episode_and_step(fault, words):
    vector = faulty(fault, num_envs=2)
    step_of(vector, END, END)
    step_of(vector, END, END)
    step_of(vector, END, NOTHING)
    place = r"environment 1 \(FrankFaulty-v0\), episode 2, step 2 "
    with pytest.raises(EnvironmentFailedError, match=f"{place}.*({words})") as caught:
        step_of(vector, END, NOTHING)
    assert "\n" not in str(caught.value)
    vector.close()


def test_a_reward_that_single_precision_cannot_hold_is_refused():
    vector = faulty("huge_reward")
    step_of(vector, NOTHING)
    with pytest.raises(EnvironmentFailedError, match=r"gave the reward 1e\+39"):
        step_of(vector, NOTHING)


def test_a_number_outside_the_observation_space_is_an_environments_failure(monkeypatch):
    vector = GymnasiumVector(describe("FrankSpace-v0", {"observation": "discrete"}), 1, 0)
    wrong = (99, 0.0, False, False, {})
    monkeypatch.setattr(SpaceProbe, "step", lambda self, action: wrong)
    with pytest.raises(EnvironmentFailedError, match="environment 0"):
        step_of(vector, NOTHING)


@pytest.mark.parametrize("fault", ["raise", "shape", "nan", "inf"])
def test_an_environment_that_fails_at_its_reset_is_named_too(fault):
    with pytest.raises(EnvironmentFailedError, match=r"environment 0 .*episode 0, step 0"):
        faulty(fault, step=0)


def test_the_last_observation_of_an_episode_is_checked_as_well():
    vector = faulty("nan", step=1)
    with pytest.raises(EnvironmentFailedError, match=r"episode 0, step 1 .*not finite"):
        step_of(vector, END)


def test_closing_never_raises_and_reaches_every_environment(monkeypatch):
    vector, closed = counting(num_envs=3), []

    def close(self):
        closed.append(self)
        raise RuntimeError("will not close")

    monkeypatch.setattr(CountingProbe, "close", close)
    vector.close()
    vector.close()
    assert len(set(closed)) == 3


def run(vector, num_steps, seed=0):
    """Random steps; everything that came back."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(num_steps):
        actions = random.integers(0, vector.spec.num_actions, vector.num_envs)
        step, finished = vector.step(actions, 0)
        found.append((*(np.array(field) for field in step), finished))
    return found


def assert_same_bits(found, expected):
    for a, b in zip(found, expected, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("env_id", ["LunarLander-v3", "CartPole-v1"])
@pytest.mark.parametrize("before", [0, 7, 45])
def test_restored_environments_go_on_to_the_same_bits(env_id, before):
    spec = describe(env_id, {})
    vector = GymnasiumVector(spec, 3, seed=1)
    run(vector, before)
    logs, observation = vector.logs(), vector.observation.copy()
    expected = run(vector, 50, seed=2)

    restored = GymnasiumVector(spec, 3, seed=1)
    run(restored, 5, seed=3)
    assert restored.restore(logs) == []
    np.testing.assert_array_equal(restored.observation, observation)
    assert_same_bits(run(restored, 50, seed=2), expected)
    vector.close()
    restored.close()


def test_an_altered_log_is_detected_and_the_next_episode_begun():
    spec = describe("CartPole-v1", {})
    vector = GymnasiumVector(spec, 3, seed=1)
    run(vector, 6)
    logs = vector.logs()
    flipped = logs[1].actions.copy()
    flipped[2] ^= 1
    logs[1] = logs[1]._replace(actions=flipped)
    logs[2] = logs[2]._replace(digest=bytes(16))

    restored = GymnasiumVector(spec, 3, seed=1)
    assert restored.restore(logs) == [1, 2]
    assert [log.episode for log in restored.logs()] == [0, 1, 1]
    assert [len(log.actions) for log in restored.logs()] == [6, 0, 0]
    np.testing.assert_array_equal(restored.observation[0], vector.observation[0])
    run(restored, 50)


def test_a_log_that_reaches_past_its_episode_is_detected():
    vector = counting(num_envs=1, limit=3)
    log = EnvironmentLog(0, np.zeros(5, np.uint16), bytes(16), bytes(16))
    assert vector.restore([log]) == [0]
    np.testing.assert_array_equal(vector.observation[0], [0, low_seed(0, 0, 1)])


def test_an_environment_that_does_not_replay_is_detected():
    vector = counting(drift=True)
    run(vector, 2)
    logs = vector.logs()
    assert counting(drift=True).restore(logs) in ([0], [1], [0, 1])


def test_a_log_holds_the_actions_since_the_reset():
    vector = counting()
    step_of(vector, END, NOTHING)
    step_of(vector, NOTHING, NOTHING)
    assert [log.episode for log in vector.logs()] == [1, 0]
    assert [log.actions.tolist() for log in vector.logs()] == [[NOTHING], [NOTHING, NOTHING]]
    assert all(log.actions.dtype == np.uint16 for log in vector.logs())


def test_a_log_given_out_does_not_change_with_later_steps():
    vector = counting()
    logs = vector.logs()
    step_of(vector, NOTHING, NOTHING)
    assert [len(log.actions) for log in logs] == [0, 0]
    assert logs[0].digest != vector.logs()[0].digest


def test_a_filming_environment_gives_the_same_episode_and_pictures():
    spec = describe("CartPole-v1", {})
    film, vector = CheckedEnv(spec, render_mode="rgb_array"), GymnasiumVector(spec, 1, seed=4)
    seed = reset_seed(4, Use.TRAINING_RESET, 0, 0)
    np.testing.assert_array_equal(film.reset(seed, 0), vector.observation[0])
    for action in (0, 1, 1):
        observation, reward, terminated, truncated, *_ = film.step(action)
        step, _ = step_of(vector, action)
        np.testing.assert_array_equal(observation, step.next_observation[0])
        assert (reward, terminated, truncated) == (1.0, False, False)
    picture = film.picture()
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert picture.shape[2] == 3
    assert film.frames_per_second == 50
    film.close()
    vector.close()


def test_an_environment_without_pictures_is_named():
    film = CheckedEnv(describe("FrankCounting-v0", {}))
    film.reset(0, 0)
    with pytest.raises(EnvironmentUnusableError, match="FrankCounting-v0 cannot be filmed"):
        film.picture()
