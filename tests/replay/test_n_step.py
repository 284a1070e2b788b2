import collections

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profile import examples
from quiet_rlax import rlax

from frankrl.core.types import VectorStep
from frankrl.replay import init_window, n_step_quadruples

GAMMA = 0.9


def make_steps(num_steps, num_envs, seed, end_probability=0.2):
    """A stretch of experience; observations name their env and step."""
    random = np.random.default_rng(seed)
    step, env = np.indices((num_steps, num_envs))
    terminated = random.random((num_steps, num_envs)) < end_probability
    truncated = random.random((num_steps, num_envs)) < end_probability
    observation = np.stack([env, step], axis=-1).astype(np.float32)
    return VectorStep(
        observation=observation,
        action=random.integers(0, 100, (num_steps, num_envs)),
        reward=random.normal(size=(num_steps, num_envs)).astype(np.float32),
        next_observation=observation + np.float32([0, 0.5]),
        terminated=terminated,
        truncated=truncated,
    )


def naive_quadruples(steps, n):
    """By the definition, one environment after the other, each with a deque of open steps."""
    found = []
    num_steps, num_envs = steps.reward.shape
    for env in range(num_envs):
        opened = collections.deque()
        for t in range(num_steps):
            opened.append(t)
            ends = steps.terminated[t, env] or steps.truncated[t, env]
            while opened and (ends or len(opened) == n):
                first = opened.popleft()
                rewards = steps.reward[first : t + 1, env].astype(float)
                found.append(
                    (
                        env,
                        first,
                        int(steps.action[first, env]),
                        sum(GAMMA**k * reward for k, reward in enumerate(rewards)),
                        t + 0.5,
                        bool(steps.terminated[t, env]),
                        len(rewards),
                    )
                )
    return sorted(found)


def cut(steps, lengths):
    """Rounds of the given lengths; the last one takes the rest."""
    first = 0
    for length in [*lengths, len(steps.reward)]:
        part = VectorStep(*(field[first : first + length] for field in steps))
        if len(part.reward):
            yield part
        first += length


def frank_quadruples(steps, n, lengths):
    num_envs = steps.reward.shape[1]
    window, found = init_window(n, num_envs, (2,), np.dtype(np.float32)), []
    env_steps = 0
    for part in cut(steps, lengths):
        window, rows, begun, count = n_step_quadruples(window, part, n, GAMMA)
        assert len(rows.reward) == part.reward.size + (n - 1) * num_envs
        for i in range(count):
            env, first = rows.observation[i]
            assert env_steps + begun[i] == first * num_envs + env
            end_env, end = rows.next_observation[i]
            assert end_env == env
            found.append(
                (
                    int(env),
                    int(first),
                    int(rows.action[i]),
                    float(rows.reward[i]),
                    float(end),
                    bool(rows.terminated[i]),
                    int(rows.num_steps[i]),
                )
            )
        env_steps += part.reward.size
    return sorted(found)


def assert_same(found, expected):
    assert [row[:3] + row[4:] for row in found] == [row[:3] + row[4:] for row in expected]
    np.testing.assert_allclose(
        [row[3] for row in found], [row[3] for row in expected], rtol=1e-5, atol=1e-5
    )


@examples(300)
@given(
    num_envs=st.integers(1, 4),
    n=st.integers(1, 6),
    num_steps=st.integers(1, 20),
    lengths=st.lists(st.integers(1, 7), max_size=8),
    end_probability=st.sampled_from([0.0, 0.1, 0.4, 1.0]),
    seed=st.integers(0, 10_000),
)
def test_quadruples_are_those_of_the_definition_however_rounds_are_cut(
    num_envs, n, num_steps, lengths, end_probability, seed
):
    steps = make_steps(num_steps, num_envs, seed, end_probability)
    assert_same(frank_quadruples(steps, n, lengths), naive_quadruples(steps, n))


@examples(50)
@given(lengths=st.lists(st.integers(1, 7), max_size=8), seed=st.integers(0, 10_000))
def test_rewards_have_the_same_bits_however_rounds_are_cut(lengths, seed):
    steps = make_steps(20, 3, seed)
    assert frank_quadruples(steps, 4, lengths) == frank_quadruples(steps, 4, [20])


def test_one_step_quadruples_are_the_transitions_themselves():
    steps = make_steps(5, 3, seed=0)
    _, rows, begun, count = n_step_quadruples(
        init_window(1, 3, (2,), np.dtype(np.float32)), steps, 1, GAMMA
    )
    assert count == 15
    np.testing.assert_array_equal(begun, np.arange(15))
    np.testing.assert_array_equal(rows.observation, steps.observation.reshape(15, 2))
    np.testing.assert_array_equal(rows.action, steps.action.reshape(15))
    np.testing.assert_array_equal(rows.reward, steps.reward.reshape(15))
    np.testing.assert_array_equal(rows.next_observation, steps.next_observation.reshape(15, 2))
    np.testing.assert_array_equal(rows.terminated, steps.terminated.reshape(15))
    np.testing.assert_array_equal(rows.num_steps, np.ones(15))


@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_target_of_a_quadruple_is_the_n_step_return_of_rlax(n):
    steps = make_steps(12, 1, seed=1, end_probability=0)
    values = np.random.default_rng(2).normal(size=12).astype(np.float32)
    expected = rlax.n_step_bootstrapped_returns(
        steps.reward[:, 0], np.full(12, GAMMA, np.float32), values, n
    )
    for _, first, _, reward, end, _, num_steps in frank_quadruples(steps, n, [4, 4, 4]):
        found = reward + GAMMA**num_steps * values[int(end)]
        assert found == pytest.approx(float(expected[first]), rel=1e-5, abs=1e-6)


def test_rows_have_one_size_and_type_whatever_ends():
    expected = {
        "observation": ((12, 2), np.float32),
        "action": ((12,), np.uint16),
        "reward": ((12,), np.float32),
        "next_observation": ((12, 2), np.float32),
        "terminated": ((12,), np.bool_),
        "num_steps": ((12,), np.uint8),
    }
    for seed in range(5):
        window = init_window(3, 2, (2,), np.dtype(np.float32))
        for part in cut(make_steps(12, 2, seed), [4, 4, 4]):
            window, rows, _, _ = n_step_quadruples(window, part, 3, GAMMA)
            for name, (shape, kind) in expected.items():
                assert getattr(rows, name).shape == shape
                assert getattr(rows, name).dtype == kind


def test_the_longest_allowed_n_fits_its_counter():
    steps = make_steps(300, 1, seed=0, end_probability=0)
    found = frank_quadruples(steps, 255, [100, 100, 100])
    assert {row[-1] for row in found} == {255}
    assert_same(found, naive_quadruples(steps, 255))
