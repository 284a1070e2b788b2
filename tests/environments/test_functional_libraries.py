"""The real pgx, navix and gymnax, where they are installed; the suite does without them."""

import jax
import numpy as np
import pytest

from frankrl.environments import describe, functional_of

_STEPS = 30


def _by_pgx(env, keys, actions):
    state = env.init(keys[0])
    yield state.observation, 0.0, False
    for key, action in zip(keys[1:], actions, strict=True):
        state = env.step(state, action, key)
        yield state.observation, state.rewards[0], state.terminated


def _by_navix(env, keys, actions):
    timestep = env.reset(keys[0])
    yield timestep.observation, 0.0, False
    for action in actions:
        timestep = env.step(timestep, action)
        yield timestep.observation, timestep.reward, timestep.is_termination()


def _by_gymnax(env, keys, actions):
    params = env.default_params
    observation, state = env.reset_env(keys[0], params)
    yield observation, 0.0, False
    for key, action in zip(keys[1:], actions, strict=True):
        observation, state, reward, terminated, _ = env.step_env(key, state, action, params)
        yield observation, reward, terminated


@pytest.mark.parametrize(
    ("env_id", "by_itself"),
    [
        ("functional:pgx/minatar-breakout", _by_pgx),
        ("functional:navix/Navix-Empty-5x5-v0", _by_navix),
        ("functional:gymnax/CartPole-v1", _by_gymnax),
    ],
)
def test_an_episode_is_the_one_that_the_library_plays(env_id, by_itself):
    pytest.importorskip(env_id.partition(":")[2].partition("/")[0])
    environment = functional_of(describe(env_id, {}))
    random = np.random.default_rng(1)
    actions = random.integers(int(environment.action_space.n), size=_STEPS).astype(np.int32)
    keys = jax.random.split(jax.random.key(5), _STEPS + 1)
    raw = [jax.random.key_data(key) for key in keys]
    theirs = by_itself(environment.environment, raw, actions)
    state, observation, _ = environment.reset(keys[0])
    np.testing.assert_array_equal(observation, next(theirs)[0])
    step = jax.jit(environment.step)
    for key, action in zip(keys[1:], actions, strict=True):
        state, found = step(state, action, key)
        seen, reward, terminated = next(theirs)
        np.testing.assert_allclose(found.observation, np.asarray(seen, np.float32), rtol=1e-5)
        assert float(found.reward) == pytest.approx(float(reward), rel=1e-6)
        assert bool(found.terminated) == bool(terminated)
        if found.terminated or found.truncated:
            break
