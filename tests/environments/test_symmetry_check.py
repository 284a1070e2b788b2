"""Environments beside their mirror images: what holds, what is refused."""

import dataclasses
import math

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from frankrl.core.errors import SettingError
from frankrl.environments import check_symmetries, describe, make_environment
from frankrl.environments.known_symmetries import LANDER, mirrored_landing
from frankrl.environments.symmetry_check import MirroredDraws

WITH_SYMMETRY = ("CartPole-v1", "Acrobot-v1", "LunarLander-v3", "frankrl/NineSquares-v0")
WIDTH = 20.0
"""Width of the lander's world."""
MIRROR = {"name": "sides", "observation": {"signs": [-1, 1]}, "actions": [1, 0]}


@pytest.mark.parametrize("env_id", WITH_SYMMETRY)
def test_the_symmetries_that_frank_knows_hold(env_id):
    check_symmetries(describe(env_id, {}))


@pytest.mark.parametrize("env_id", WITH_SYMMETRY)
def test_a_symmetry_with_the_wrong_actions_is_refused(env_id):
    spec = describe(env_id, {})
    same = tuple(range(spec.num_actions))
    wrong = dataclasses.replace(spec.symmetries[0], actions=same)
    with pytest.raises(SettingError, match=r"should be .* in the mirror image of .* step 1, and"):
        check_symmetries(dataclasses.replace(spec, symmetries=(wrong,)))


def test_a_symmetry_with_a_wrong_sign_is_refused():
    spec = describe("CartPole-v1", {})
    leaf = dataclasses.replace(spec.symmetries[0].leaves[0], signs=(-1, -1, 1, -1))
    wrong = dataclasses.replace(spec.symmetries[0], leaves=(leaf,))
    with pytest.raises(SettingError, match="CartPole-v1 does not keep its symmetry"):
        check_symmetries(dataclasses.replace(spec, symmetries=(wrong,)))


def test_a_lander_in_wind_is_refused_even_if_it_declares_the_symmetry():
    spec = describe("LunarLander-v3", {})
    with pytest.raises(SettingError, match="WindyLander does not keep its symmetry"):
        check_symmetries(
            dataclasses.replace(
                spec, env_id="test_symmetry_check:WindyLander", env_kwargs={"wind_power": 2.0}
            )
        )


class WindyLander(gymnasium.Wrapper):
    """Declares the symmetry that it has without wind."""

    symmetries = LANDER
    mirror_draw = staticmethod(mirrored_landing)

    def __init__(self, wind_power):
        super().__init__(gymnasium.make("LunarLander-v3", enable_wind=True, wind_power=wind_power))


def test_a_mirrored_lander_flies_the_mirror_image_until_it_touches_the_ground():
    env, mirror = (make_environment("LunarLander-v3", {}) for _ in range(2))
    random, compared = np.random.default_rng(0), 0
    for seed in range(3):
        state, _ = env.reset(seed=seed)
        generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
        mirror.unwrapped.np_random = MirroredDraws(
            generator, lambda i, x: mirrored_landing(0, i, x)
        )
        image, _ = mirror.reset()
        for ours, theirs in zip(
            env.unwrapped.sky_polys, reversed(mirror.unwrapped.sky_polys), strict=True
        ):
            assert math.isclose(ours[0][0], WIDTH - theirs[1][0], abs_tol=1e-9)
            assert math.isclose(ours[0][1], theirs[1][1])
        while not state[6] and not state[7]:
            np.testing.assert_allclose(
                image,
                [-state[0], state[1], -state[2], state[3], -state[4], -state[5], 0, 0],
                atol=2e-3,
            )
            action = int(random.integers(4))
            state, _, terminated, _, _ = env.step(action)
            image, _, _, _, _ = mirror.step((0, 3, 2, 1)[action])
            compared += 1
            if terminated:
                break
    assert compared > 150


class Road(gymnasium.Env):
    """A place on a road between two ends; drawn at the beginning, and pushed at random."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,))
    action_space = spaces.Discrete(2)
    symmetries = (MIRROR,)

    def __init__(self, slope=0.0, bonus=0.0, start=0.0):
        self._slope, self._bonus, self._start = slope, bonus, start

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._place = self.np_random.normal() + self._start
        return self._seen(), {}

    def step(self, action):
        self._place += 0.3 * (2 * int(action) - 1) - self._slope + 0.1 * self.np_random.normal()
        reward = -abs(self._place) + self._bonus * (self._place > 0)
        return self._seen(), float(reward), abs(self._place) > 3, False, {}

    def _seen(self):
        return np.array([self._place, 1.0], np.float32)


class MirroredRoad(Road):
    """Says what its mirror image draws."""

    def mirror_draw(self, symmetry, number, drawn):
        return -drawn


@pytest.mark.parametrize("kind", ["Road", "MirroredRoad"])
def test_a_declared_symmetry_that_holds_is_not_refused(kind):
    spec = describe(f"test_symmetry_check:{kind}", {})
    assert len(spec.symmetries) == 1
    check_symmetries(spec)


@pytest.mark.parametrize("kwargs", [{"slope": 0.1}, {"bonus": 0.5}])
def test_a_declared_symmetry_that_does_not_hold_is_refused_with_mirrored_draws(kwargs):
    spec = describe("test_symmetry_check:MirroredRoad", kwargs)
    with pytest.raises(SettingError, match=r"its symmetry 'sides': (s\[0\]|the reward) should be"):
        check_symmetries(spec)


@pytest.mark.parametrize(
    ("kwargs", "what"),
    [({"slope": 0.1}, "the share of terminations"), ({"bonus": 3.0}, "the reward")],
)
def test_a_declared_symmetry_that_does_not_hold_is_refused_by_averages(kwargs, what):
    spec = describe("test_symmetry_check:Road", kwargs)
    with pytest.raises(SettingError, match=f"after 'action .', {what} in 64 random episodes"):
        check_symmetries(spec)
