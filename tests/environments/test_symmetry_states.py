"""Functional environments stepped from states and from their mirror images."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

from frankrl.core.errors import EnvironmentUnusableError, SettingError
from frankrl.environments import check_symmetries, describe, functional_of, symmetry_check
from frankrl.environments.functional.protocol import FunctionalStep

OWN = [f"frankrl/{name}-functional-v0" for name in ("CartPole", "Acrobot", "NineSquares")]


class Road:
    """A place on a road and a speed; a hidden wind may blow to one side."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,))
    action_space = spaces.Discrete(2)
    reward_threshold, max_episode_steps = None, 20
    symmetries = ({"name": "sides", "observation": {"signs": [-1, -1]}, "actions": [1, 0]},)

    def __init__(self, slope=0.0, bonus=0.0, wind=0.0, masks="even", forgets=False):
        self.slope, self.bonus, self.wind = slope, bonus, wind
        self.masks, self.forgets = masks, forgets

    def reset(self, key):
        place = jax.random.normal(key, (2,))
        return (place, jnp.zeros(())), place, self.mask(place)

    def mask(self, place):
        right = place[0] < 1
        return jnp.stack([place[0] > -1 if self.masks == "even" else place[0] > -2, right])

    def step(self, state, action, key):
        (place, speed), wind = state
        speed = 0.9 * speed + 0.2 * action - 0.1 + self.slope
        place = jnp.stack([place + 0.1 * speed, speed])
        reward = -jnp.abs(place[0]) + jnp.where(place[0] > 0, self.bonus, 0.0)
        ended = jnp.abs(place[0]) > 3
        shown = FunctionalStep(place, self.mask(place), reward, ended, jnp.zeros((), jnp.bool))
        return (place, wind + self.wind), shown

    def mirror_state(self, symmetry, state):
        return (state[0] if self.forgets else -state[0]), -state[1]


class WrongMirror(Road):
    """Its `mirror_state` is none."""

    def __init__(self, what):
        super().__init__()
        self.what = what

    @property
    def mirror_state(self):
        def raises(symmetry, state):
            raise ValueError("oops")

        return {
            "a number": 5,
            "raises": raises,
            "takes one": lambda state: state,
            "another shape": lambda symmetry, state: (state[0][None], state[1]),
            "nothing": lambda symmetry, state: None,
        }[self.what]


class CountedRoad(Road):
    """Its state has a number beside: a large whole one, or one that is infinite at first."""

    def __init__(self, number="whole"):
        super().__init__()
        self.number = number

    def reset(self, key):
        state, place, mask = super().reset(key)
        first = jnp.int32(1_000_000) if self.number == "whole" else jnp.float32(np.inf)
        return (state, first), place, mask

    def step(self, state, action, key):
        after, shown = super().step(state[0], action, key)
        # To the right it is another one than to the left.
        if self.number == "whole":
            return (after, state[1] + action), shown
        return (after, jnp.where(state[0][0][0] > 0, jnp.inf, 1.0 + action)), shown

    def mirror_state(self, symmetry, state):
        return super().mirror_state(symmetry, state[0]), state[1]


class RoadOfAverages(Road):
    """It makes no mirror images of states."""

    mirror_state = None


def described(**kwargs):
    return describe("functional:test_symmetry_states:Road", kwargs)


@pytest.fixture
def never_played(monkeypatch):
    def played(*arguments):
        raise AssertionError("episodes are played")

    monkeypatch.setattr(symmetry_check, "different_averages", played)


@pytest.mark.usefixtures("never_played")
@pytest.mark.parametrize("env_id", OWN)
def test_franks_own_hold_and_wrong_actions_are_refused(env_id):
    spec = describe(env_id, {})
    assert len(spec.symmetries) == 1
    check_symmetries(spec)
    same = dataclasses.replace(spec.symmetries[0], actions=tuple(range(spec.num_actions)))
    with pytest.raises(SettingError, match=r"should be .* in the mirror image of step 1, and is"):
        check_symmetries(dataclasses.replace(spec, symmetries=(same,)))


@pytest.mark.parametrize("name", ["CartPole", "Acrobot", "NineSquares"])
def test_the_mirror_image_of_a_state_shows_the_image_of_what_it_shows(name):
    spec = describe(f"frankrl/{name}-functional-v0", {})
    environment, (symmetry,) = functional_of(spec), spec.symmetries
    for seed in range(20):
        state, _, _ = environment.reset(jax.random.key(seed))
        seen = environment.step(state, np.int32(0), jax.random.key(0))[1]
        mirrored = environment.mirror_state(0, state)
        assert int(mirrored.num_steps) == int(state.num_steps)
        image = symmetry.leaves[0].image(np.asarray(seen.observation), seen.observation.ndim)
        action = np.int32(symmetry.actions[0])
        found = environment.step(mirrored, action, jax.random.key(0))[1]
        np.testing.assert_array_equal(found.observation, image)


@pytest.mark.usefixtures("never_played")
def test_one_of_the_users_own_that_holds_is_not_refused():
    assert described().is_masked
    check_symmetries(described())


@pytest.mark.usefixtures("never_played")
@pytest.mark.parametrize(
    ("kwargs", "what"),
    [
        ({"slope": 1e-4}, r"s\[1\] should be"),
        ({"bonus": 1e-3}, "the reward should be"),
        ({"wind": 1e-3}, "a number of the state should be"),
        ({"masks": "uneven"}, "whether action 1 is allowed should be"),
        ({"forgets": True}, r"s\[0\] should be"),
    ],
)
def test_what_differs_a_little_is_named(kwargs, what):
    with pytest.raises(SettingError, match=f"does not keep its symmetry 'sides': .*{what} .* step"):
        check_symmetries(described(**kwargs))


def test_without_mirrored_states_averages_are_compared(monkeypatch):
    played = []
    monkeypatch.setattr(symmetry_check, "different_averages", lambda *_: played.append(1) or "")
    check_symmetries(describe("functional:test_symmetry_states:RoadOfAverages", {}))
    check_symmetries(describe(OWN[0], {}, wrappers=["own_envs:Doubled"]))
    assert played == [1, 1]


@pytest.mark.parametrize("number", ["whole", "infinite"])
def test_a_number_of_the_state_differs_although_others_are_large(number):
    spec = describe("functional:test_symmetry_states:CountedRoad", {"number": number})
    with pytest.raises(SettingError, match="a number of the state should be"):
        check_symmetries(spec)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("a number", "has a mirror_state that raised TypeError: 'int' object is not callable"),
        ("raises", "has a mirror_state that raised ValueError: oops; it takes the index of"),
        ("takes one", "has a mirror_state that raised TypeError"),
        ("another shape", "returns something of another form than the state"),
        ("nothing", "returns something of another form than the state"),
    ],
)
def test_a_wrong_mirror_state_is_refused_in_one_sentence(what, words):
    spec = describe(f"functional:{__name__}:WrongMirror", {"what": what})
    with pytest.raises(EnvironmentUnusableError, match=words) as caught:
        check_symmetries(spec)
    assert "\n" not in str(caught.value)
