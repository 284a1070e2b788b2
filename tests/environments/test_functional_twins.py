"""Frank's functional environments, held to Gymnasium's step for step."""

import math

import gymnasium
import jax
import numpy as np
import pytest

from frankrl.environments import describe, functional_of, make_environment

_COUNT = 10_000
_SPREADS = {
    "CartPole": [2.5, 3, 0.22, 3],
    "Acrobot": [math.pi, math.pi, 4 * math.pi, 9 * math.pi],
    "MountainCar": [0.9, 0.07],
}
"""Half widths of the random states."""
_CENTRES = {"MountainCar": [-0.3, 0]}
_TWINS = {"CartPole": "CartPole-v1", "Acrobot": "Acrobot-v1", "MountainCar": "MountainCar-v0"}
_NAMES = [*_TWINS, "NineSquares"]


def _functional(name, **kwargs):
    return functional_of(describe(f"frankrl/{name}-functional-v0", kwargs))


def _random_states(name):
    random = np.random.default_rng(7)
    spread = np.array(_SPREADS[name])
    states = random.uniform(-spread, spread, (_COUNT, len(spread))) + _CENTRES.get(name, 0)
    if name == "MountainCar":
        states[: _COUNT // 20, 0] = -1.2
    num_actions = _functional(name).action_space.n
    return states.astype(np.float32), random.integers(num_actions, size=_COUNT)


def _steps(name, states, actions):
    """Each state's next one and step, all in one call."""
    environment = _functional(name).environment
    keys = jax.random.split(jax.random.key(0), len(states))
    return jax.device_get(jax.jit(jax.vmap(environment.step))(states, actions, keys))


def _gymnasiums(name, states, actions):
    """The same by Gymnasium, each state set into its environment; and how near to its end."""
    env = gymnasium.make(_TWINS[name]).unwrapped
    env.reset(seed=0)
    found = []
    for state, action in zip(states.astype(np.float64), actions, strict=True):
        env.state, env.steps_beyond_terminated = state, None
        shown, reward, terminated, _, _ = env.step(int(action))
        found.append((shown, np.array(env.state), reward, terminated))
    return [np.stack(part) for part in zip(*found, strict=True)]


def _distance_to_end(name, after):
    """How far each state is from where Gymnasium's verdict on the end changes."""
    if name == "CartPole":
        return np.minimum(abs(abs(after[:, 0]) - 2.4), abs(abs(after[:, 2]) - 12 * math.pi / 90))
    if name == "Acrobot":
        return abs(-np.cos(after[:, 0]) - np.cos(after[:, 0] + after[:, 1]) - 1)
    return abs(after[:, 0] - 0.5)


@pytest.mark.parametrize("name", _TWINS)
def test_ten_thousand_random_transitions_are_gymnasiums(name):
    states, actions = _random_states(name)
    ours, step = _steps(name, states, actions)
    shown, theirs, reward, terminated = _gymnasiums(name, states, actions)
    difference = ours - theirs
    if name == "Acrobot":  # an angle of π is one of -π
        difference[:, :2] = (difference[:, :2] + math.pi) % (2 * math.pi) - math.pi
    assert np.quantile(abs(difference), 0.995) < 2e-5
    # Four stages of a step of 0.2 s multiply a rounding at 28 radians/s.
    most = 1e-3 if name == "Acrobot" else 1e-6
    np.testing.assert_allclose(difference, 0, atol=most)
    np.testing.assert_allclose(step.observation, shown, rtol=1e-6, atol=most)
    clear = _distance_to_end(name, theirs) > 1e-5
    assert clear.mean() > 0.99
    assert terminated.any()
    np.testing.assert_array_equal(step.terminated[clear], terminated[clear])
    np.testing.assert_array_equal(step.reward[clear], reward[clear])
    assert not step.truncated.any()


def test_every_transition_of_the_nine_squares_is_the_ordinary_ones():
    table = gymnasium.make("frankrl/NineSquares-v0").unwrapped.P
    pairs = [(square, action) for square in table for action in table[square]]
    squares, actions = np.array(pairs, np.int32).T
    after, step = _steps("NineSquares", squares, actions)
    outcomes = [table[square][action][0] for square, action in pairs]
    _, arrived, reward, terminated = zip(*outcomes, strict=True)
    np.testing.assert_array_equal(after, arrived)
    np.testing.assert_array_equal(step.observation, arrived)
    np.testing.assert_allclose(step.reward, reward, rtol=1e-7)
    np.testing.assert_array_equal(step.terminated, terminated)


def test_the_other_rewards_and_goals_of_gymnasium_can_be_had():
    states, actions = _random_states("CartPole")
    pole = _functional("CartPole", sutton_barto_reward=True).environment
    step = jax.jit(jax.vmap(pole.step, (0, 0, None)))
    _, found = step(states[:200], actions[:200], jax.random.key(0))
    np.testing.assert_array_equal(found.reward, -1.0 * np.asarray(found.terminated))
    car = _functional("MountainCar", goal_velocity=0.03).environment
    arriving = jax.jit(jax.vmap(car.step, (0, None, None)))
    _, found = arriving(np.float32([[0.49, 0.02], [0.49, 0.05]]), 1, jax.random.key(0))
    assert found.terminated.tolist() == [False, True]


@pytest.mark.parametrize("name", _NAMES)
def test_first_states_are_spread_like_gymnasiums(name):
    environment = _functional(name)
    keys = jax.random.split(jax.random.key(3), 4_000)
    _, ours, mask = jax.jit(jax.vmap(environment.reset))(keys)
    twin = make_environment(_TWINS.get(name, "frankrl/NineSquares-v0"), {})
    theirs = np.array([twin.reset(seed=seed)[0] for seed in range(2_000)])
    ours = np.asarray(ours)
    assert mask is None
    assert ours.dtype == (np.int32 if name == "NineSquares" else np.float32)
    for quantile in (0, 0.1, 0.5, 0.9, 1):
        first, second = (np.quantile(one, quantile, axis=0) for one in (ours, theirs))
        width = np.maximum(np.ptp(theirs, axis=0), 1e-3)
        np.testing.assert_allclose(first / width, second / width, atol=0.06)


@pytest.mark.parametrize("name", _NAMES)
def test_limits_thresholds_and_spaces_are_those_of_the_ordinary_one(name):
    functional_spec = describe(f"frankrl/{name}-functional-v0", {})
    ordinary = describe(_TWINS.get(name, "frankrl/NineSquares-v0"), {})
    environment = functional_of(functional_spec)
    registered = gymnasium.spec(ordinary.env_id)
    assert environment.max_episode_steps == registered.max_episode_steps
    assert environment.reward_threshold == functional_spec.reward_threshold
    assert functional_spec.reward_threshold == ordinary.reward_threshold
    assert functional_spec.leaves == ordinary.leaves
    assert functional_spec.observation_space == ordinary.observation_space
    assert functional_spec.num_actions == ordinary.num_actions
    assert functional_spec.action_names == ordinary.action_names
    assert functional_spec.component_names == ordinary.component_names
    assert functional_spec.has_time_limit
    assert functional_spec.can_be_filmed
    assert functional_of(ordinary) is None


def test_time_ends_an_episode_apart_from_its_end():
    environment = _functional("MountainCar", max_episode_steps=3)
    state, _, _ = environment.reset(jax.random.key(0))
    ends = []
    for _ in range(3):
        state, step = environment.step(state, 1, jax.random.key(1))
        ends.append((bool(step.terminated), bool(step.truncated)))
    assert ends == [(False, False), (False, False), (False, True)]
