import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profile import examples

from frankrl.config import ExplorationSettings
from frankrl.experience.exploration import epsilon_greedy, exploration_draws, linear_epsilon

MANY = 20_000
BELOW_ONE = np.nextafter(1.0, 0.0)


def act(epsilon, num_actions=4, count=MANY, seed=0):
    """Actions of `count` environments that all prefer action 1."""
    q_values = np.tile(np.eye(num_actions)[1], (count, 1))
    coins, choices = exploration_draws(seed, 0, count)
    return epsilon_greedy(q_values, np.full(count, epsilon), coins, choices)


def test_at_epsilon_zero_every_action_is_the_best():
    assert np.all(act(0.0) == 1)
    lowest = epsilon_greedy(np.eye(2), np.zeros(2), np.zeros(2), np.full(2, BELOW_ONE))
    np.testing.assert_array_equal(lowest, [0, 1])


def test_at_epsilon_one_actions_are_uniform_whatever_the_q_values():
    assert scipy.stats.chisquare(np.bincount(act(1.0), minlength=4)).pvalue > 1e-3
    highest = epsilon_greedy(np.eye(3), np.ones(3), np.full(3, BELOW_ONE), np.zeros(3))
    np.testing.assert_array_equal(highest, [0, 0, 0])


@pytest.mark.parametrize("epsilon", [0.05, 0.3, 0.8])
def test_the_share_of_random_actions_is_epsilon(epsilon):
    others = int(np.sum(act(epsilon) != 1))
    assert scipy.stats.binomtest(others, MANY, epsilon * 3 / 4).pvalue > 1e-3


def test_each_environment_tosses_its_own_coin():
    coins = np.array([exploration_draws(0, step, 2)[0] for step in range(0, 2 * MANY, 2)])
    explored = coins < 0.3
    together = np.bincount(2 * explored[:, 0] + explored[:, 1], minlength=4)
    expected = np.outer([0.7, 0.3], [0.7, 0.3]).ravel() * MANY
    assert scipy.stats.chisquare(together, expected).pvalue > 1e-3


def test_coin_and_choice_are_independent():
    coins, choices = exploration_draws(1, 0, MANY)
    cells = np.histogram2d(coins, choices, bins=5, range=[[0, 1], [0, 1]])[0]
    assert scipy.stats.chisquare(cells.ravel()).pvalue > 1e-3


def test_a_random_action_is_uniform_over_those_that_are_allowed():
    allowed = np.array([1, 0, 1, 1, 0, 1, 0], bool)
    q_values = np.tile(np.where(allowed, [3, 9, 0, 1, 9, 2, 9], -np.inf), (MANY, 1))
    coins, choices = exploration_draws(5, 0, MANY)
    actions = epsilon_greedy(q_values, np.ones(MANY), coins, choices)
    counts = np.bincount(actions, minlength=7)
    assert (counts[~allowed] == 0).all()
    assert scipy.stats.chisquare(counts[allowed]).pvalue > 1e-3
    greedy = epsilon_greedy(q_values, np.zeros(MANY), coins, choices)
    assert (greedy == 0).all()


def test_each_environment_chooses_among_its_own_allowed_actions():
    random = np.random.default_rng(0)
    allowed = random.random((MANY, 5)) < 0.4
    allowed[np.arange(MANY), random.integers(0, 5, MANY)] = True
    choices = random.random(MANY)
    choices[:9] = BELOW_ONE
    q_values = np.where(allowed, random.normal(size=(MANY, 5)), -np.inf)
    actions = epsilon_greedy(q_values, np.ones(MANY), np.zeros(MANY), choices)
    for row, action, choice in zip(allowed, actions, choices, strict=True):
        names = np.flatnonzero(row)
        assert action == names[int(choice * len(names))]


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 1.0])
def test_where_everything_is_allowed_nothing_is_changed_by_masks(epsilon):
    q_values = np.random.default_rng(0).normal(size=(MANY, 6)).astype(np.float32)
    q_values[7] = np.nan
    coins, choices = exploration_draws(2, 0, MANY)
    actions = epsilon_greedy(q_values, np.full(MANY, epsilon), coins, choices)
    expected = [
        int(choice * 6) if coin < epsilon else int(np.argmax(row))
        for row, coin, choice in zip(q_values, coins, choices, strict=True)
    ]
    np.testing.assert_array_equal(actions, expected)


def test_each_environment_has_an_epsilon_of_its_own():
    actions = epsilon_greedy(
        np.tile([0.0, 1.0], (2, 1)), np.array([0.0, 1.0]), np.full(2, 0.5), np.zeros(2)
    )
    np.testing.assert_array_equal(actions, [1, 0])


def test_of_equally_good_actions_the_first_is_taken():
    q_values = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    actions = epsilon_greedy(q_values, np.zeros(2), np.full(2, 0.5), np.full(2, 0.9))
    np.testing.assert_array_equal(actions, [1, 0])


@pytest.mark.parametrize("num_actions", [1, 2, 3, 7, 18, 1000, 65_535])
def test_the_largest_choice_is_still_an_action(num_actions):
    q_values = np.zeros((2, num_actions), np.float32)
    choices = np.array([0.0, BELOW_ONE])
    actions = epsilon_greedy(q_values, np.ones(2), np.zeros(2), choices)
    np.testing.assert_array_equal(actions, [0, num_actions - 1])


@examples(100)
@given(
    start=st.floats(0, 1),
    end=st.floats(0, 1),
    duration=st.integers(1, 10**7),
    env_steps=st.integers(0, 10**8),
)
def test_epsilon_is_linear_and_then_constant(start, end, duration, env_steps):
    settings = ExplorationSettings(
        epsilon_start=start, epsilon_end=end, epsilon_decay_env_steps=duration
    )
    expected = np.interp(env_steps, [0, duration], [start, end])
    assert linear_epsilon(settings, env_steps) == pytest.approx(expected, abs=1e-12)


def test_epsilon_of_many_steps_at_once_is_that_of_each():
    settings = ExplorationSettings(epsilon_decay_env_steps=50)
    steps = np.arange(100)
    np.testing.assert_array_equal(
        linear_epsilon(settings, steps), [float(linear_epsilon(settings, int(s))) for s in steps]
    )


def test_without_a_decay_epsilon_is_at_its_end_from_the_first_step():
    settings = ExplorationSettings(epsilon_end=0.25, epsilon_decay_env_steps=0)
    np.testing.assert_array_equal(linear_epsilon(settings, np.arange(3)), [0.25] * 3)


@examples(50)
@given(start=st.integers(0, 20_000), cuts=st.lists(st.integers(1, 3_000), max_size=6))
def test_draws_depend_on_the_env_step_alone_not_on_how_many_are_drawn(start, cuts):
    count = sum(cuts) + 1
    together = np.stack(exploration_draws(3, start, count))
    firsts = np.cumsum([start, *cuts])
    apart = [exploration_draws(3, int(f), c) for f, c in zip(firsts, [*cuts, 1], strict=True)]
    np.testing.assert_array_equal(together, np.concatenate([np.stack(a) for a in apart], axis=1))
