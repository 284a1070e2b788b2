"""Worlds whose last observation is not the state, each held to its functional twin."""

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from frankrl.core.errors import EnvironmentUnusableError
from frankrl.environments import describe, functional_of, make_environment
from frankrl.environments.functional.protocol import episode_key, step_key
from frankrl.environments.repeat_after_me import exact_q_values, picture

WORLDS = ("RepeatAfterMe", "CartPole-positions")


class Drawn:
    """Stands for a random generator whose whole numbers are known."""

    def __init__(self, numbers):
        self._numbers = iter(numbers)

    def integers(self, below):
        number = next(self._numbers)
        assert 0 <= number < below
        return number


def functional_episode(name, kwargs, seed, actions):
    """An episode of a functional environment: its states, then what each step showed."""
    environment = functional_of(describe(f"frankrl/{name}-functional-v0", kwargs))

    def scanned(state, numbered):
        number, action = numbered
        state, step = environment.step(state, action, step_key(episode_key(seed), number))
        return state, (state.state, step)

    @jax.jit
    def whole(actions):
        state, observation, _ = environment.reset(step_key(episode_key(seed), 0))
        numbered = (np.arange(1, len(actions) + 1), actions)
        return state.state, observation, jax.lax.scan(scanned, state, numbered)[1]

    first, observation, (states, steps) = jax.device_get(whole(np.array(actions, np.int32)))
    return np.concatenate([first[None], states]), observation, steps


@pytest.mark.parametrize(("delay", "num_symbols"), [(0, 3), (1, 2), (4, 5), (16, 2)])
def test_repeat_after_me_is_its_functional_twin_step_for_step(delay, num_symbols):
    kwargs = {"delay": delay, "num_symbols": num_symbols}
    actions = np.random.default_rng(3).integers(num_symbols, size=64)
    _, first, steps = functional_episode("RepeatAfterMe", kwargs, 5, actions)
    symbols = [int(first), *steps.observation.tolist()]
    env = gymnasium.make("frankrl/RepeatAfterMe-v0", disable_env_checker=True, **kwargs)
    env.reset(seed=0)
    env.unwrapped.np_random = Drawn(symbols)
    assert env.reset()[0] == symbols[0]
    for number, action in enumerate(actions):
        shown, *rest, _ = env.step(action)
        expected = (steps.reward[number], steps.terminated[number], steps.truncated[number])
        assert (shown, *rest) == (symbols[number + 1], *expected)
    assert steps.truncated.tolist() == [False] * 63 + [True]
    assert set(steps.reward.tolist()) == {0, 1}


def test_cartpole_without_velocities_is_cartpole_with_two_numbers_hidden():
    actions = np.random.default_rng(4).integers(2, size=60)
    whole, hidden = gymnasium.make("CartPole-v1"), gymnasium.make("frankrl/CartPole-positions-v0")
    np.testing.assert_array_equal(hidden.reset(seed=7)[0], whole.reset(seed=7)[0][[0, 2]])
    for action in actions:
        found, expected = hidden.step(action), whole.step(action)
        np.testing.assert_array_equal(found[0], expected[0][[0, 2]])
        assert found[1:] == expected[1:]
        if found[2]:
            break
    else:
        pytest.fail("the pole never fell")


def test_cartpole_without_velocities_is_its_functional_twin_step_for_step():
    actions = np.random.default_rng(4).integers(2, size=60)
    states, first, steps = functional_episode("CartPole-positions", {}, 7, actions)
    env = gymnasium.make("frankrl/CartPole-positions-v0")
    env.reset(seed=0)
    env.unwrapped.state = states[0].astype(np.float64)
    np.testing.assert_array_equal(first, states[0][[0, 2]])
    for number, action in enumerate(actions):
        shown, reward, terminated, truncated, _ = env.step(action)
        np.testing.assert_allclose(steps.observation[number], shown, rtol=1e-5, atol=1e-6)
        assert (reward, terminated, truncated) == (1, steps.terminated[number], False)
        if terminated:
            break
    else:
        pytest.fail("the pole never fell")


@pytest.mark.parametrize("name", WORLDS)
def test_limits_thresholds_spaces_and_names_are_those_of_the_ordinary_one(name):
    functional, ordinary = (
        describe(f"frankrl/{name}{end}", {}) for end in ("-functional-v0", "-v0")
    )
    registered = gymnasium.spec(ordinary.env_id)
    environment = functional_of(functional)
    assert environment.max_episode_steps == registered.max_episode_steps
    assert environment.reward_threshold == functional.reward_threshold == ordinary.reward_threshold
    assert functional.observation_space == ordinary.observation_space
    assert functional.leaves == ordinary.leaves
    assert functional.num_actions == ordinary.num_actions
    assert functional.action_names == ordinary.action_names
    assert functional.component_names == ordinary.component_names
    assert functional.can_be_filmed
    assert ordinary.can_be_filmed
    assert functional_of(ordinary) is None


@pytest.mark.parametrize("name", WORLDS)
def test_gymnasium_finds_nothing_wrong(name):
    env = gymnasium.make(f"frankrl/{name}-v0", disable_env_checker=True)
    check_env(env.unwrapped, skip_render_check=True)


def test_the_two_numbers_of_cartpole_have_names():
    assert describe("frankrl/CartPole-positions-v0", {}).component_names == ("position", "angle")


@pytest.mark.parametrize("end", ["v0", "functional-v0"])
@pytest.mark.parametrize("kwargs", [{"delay": -1}, {"delay": 1.5}, {"num_symbols": 1}])
def test_a_world_that_cannot_be_is_refused_by_the_number(kwargs, end):
    (name,) = kwargs
    with pytest.raises(EnvironmentUnusableError, match=f"{name} must be a whole number from"):
        describe(f"frankrl/RepeatAfterMe-{end}", kwargs)


@pytest.mark.parametrize(("delay", "num_symbols"), [(1, 2), (3, 4)])
def test_q_values_in_closed_form_are_those_of_long_episodes(delay, num_symbols):
    gamma, limit = 0.9, 400
    kwargs = {"delay": delay, "num_symbols": num_symbols, "max_episode_steps": limit}
    env = make_environment("frankrl/RepeatAfterMe-v0", kwargs)
    history = [env.reset(seed=2)[0]]
    random, rewards = np.random.default_rng(0), []
    # Random actions for ten steps, then the best ones, which the list of symbols tells.
    actions = random.integers(num_symbols, size=10).tolist()
    for step in range(limit):
        right = history[step - delay] if step >= delay else 0
        action = actions[step] if step < 10 else right
        symbol, reward, *_ = env.step(action)
        history.append(symbol)
        rewards.append(reward)
    shown = np.array(history[:-1])
    found = exact_q_values(shown, delay, num_symbols, gamma)
    discounts = gamma ** np.arange(limit - 9)
    expected = rewards[9] + np.sum(discounts[1:] * rewards[10:])
    np.testing.assert_allclose(found[9, actions[9]], expected, rtol=1e-9)
    assert found.shape == (limit, num_symbols)
    best, future = found.max(axis=1), gamma / (1 - gamma)
    np.testing.assert_allclose(best, 1 / (1 - gamma))
    # The Bellman equation holds for every action of every step.
    paid = np.eye(num_symbols)[np.concatenate([np.zeros(delay, int), shown])[:limit]]
    np.testing.assert_allclose(found[:-1], paid[:-1] + gamma * best[1:, None])
    np.testing.assert_allclose(found.min(), future)


def test_the_picture_shows_what_is_wanted_and_what_is_new():
    shown = picture(np.array([1, 0, 0]), 2)
    assert shown.shape == (48, 72, 3)
    wanted, new, paper = shown[24, 0], shown[0, 48], shown[0, 0]
    assert len({tuple(colour) for colour in (wanted, new, paper)}) == 3
    np.testing.assert_array_equal(shown[24:, 24:48], np.broadcast_to(paper, (24, 24, 3)))
