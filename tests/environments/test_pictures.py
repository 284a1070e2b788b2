"""Pictures in grey and in another size, beside the plain rule for each pixel."""

import contextlib
import sys

import cv2
import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from frankrl.config import Settings
from frankrl.core.errors import EnvironmentUnusableError, MissingExtraError
from frankrl.environments import CheckedEnv, GymnasiumVector, describe_for


class Painted(gymnasium.Env):
    """Shows random pictures from any space."""

    action_space = spaces.Discrete(2)

    def __init__(self, kind="colours"):
        self.observation_space = {
            "colours": spaces.Box(0, 255, (12, 20, 3), np.uint8),
            "grey": spaces.Box(0, 255, (12, 20), np.uint8),
            "one channel": spaces.Box(0, 255, (12, 20, 1), np.uint8),
            "transparent": spaces.Box(0, 255, (12, 20, 4), np.uint8),
            "floats": spaces.Box(0, 255, (12, 20, 3), np.float32),
            "dark": spaces.Box(0, 15, (12, 20, 3), np.uint8),
            "planes": spaces.Box(0, 255, (12, 20, 7), np.uint8),
            "channels first": spaces.Box(0, 255, (3, 12, 20), np.uint8),
            "too small": spaces.Box(0, 255, (7, 7, 3), np.uint8),
            "with a number": spaces.Dict(
                {"picture": spaces.Box(0, 255, (12, 20, 3), np.uint8), "n": spaces.Discrete(3)}
            ),
        }[kind]

    def _shown(self):
        self.observation_space.seed(int(self.np_random.integers(1000)))
        self.shown = self.observation_space.sample()
        return self.shown

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._shown(), {}

    def step(self, action):
        return self._shown(), 3.0 * action, False, False, {}


gymnasium.register("Painted-v0", Painted, max_episode_steps=5)


def spec_of(env_id="Painted-v0", env_kwargs=None, **changes):
    return describe_for(
        env_id, Settings().with_changes(env_kwargs=env_kwargs or {}, **changes).resolved()
    )


def grey(picture):
    return (picture @ np.array([0.2125, 0.7154, 0.0721])).astype(np.uint8)


def areas(picture, size):
    """The mean over the area that each new pixel covers, by summing over single small squares."""
    height, width = picture.shape[:2]
    # Each old pixel is cut into `size` parts each way; a new one covers `height` · `width` parts.
    fine = picture.repeat(size, axis=0).repeat(size, axis=1).astype(float)
    return fine.reshape(size, height, size, width, *picture.shape[2:]).mean(axis=(1, 3))


@pytest.mark.parametrize("kind", ["colours", "grey", "one channel"])
@pytest.mark.parametrize("size", [8, 9])
def test_pictures_are_resized_by_averaging_over_areas(kind, size):
    spec = spec_of(env_kwargs={"kind": kind}, resize=size)
    with contextlib.closing(CheckedEnv(spec)) as env:
        found = env.reset(1, 0)
        shown = env._env.unwrapped.shown
        assert found.shape == (size, size, *shown.shape[2:])
        np.testing.assert_allclose(found, areas(shown, size), atol=0.51)
        np.testing.assert_array_equal(
            found.reshape(size, size, -1),
            cv2.resize(shown, (size, size), interpolation=cv2.INTER_AREA).reshape(size, size, -1),
        )


def test_pictures_are_turned_to_grey_before_they_are_resized():
    spec = spec_of(grayscale="on", resize=10)
    with contextlib.closing(CheckedEnv(spec)) as env:
        env.reset(1, 0)
        found, shown = env.step(0).row, env._env.unwrapped.shown
    assert spec.leaves[0].shape == (10, 10)
    np.testing.assert_array_equal(
        found, cv2.resize(grey(shown), (10, 10), interpolation=cv2.INTER_AREA)
    )
    assert spec_of(grayscale="on").leaves[0].shape == (12, 20)
    assert spec_of(env_kwargs={"kind": "grey"}, grayscale="on").leaves[0].shape == (12, 20)


def test_without_these_settings_pictures_are_shown_as_they_are():
    spec = spec_of()
    with contextlib.closing(CheckedEnv(spec)) as env:
        np.testing.assert_array_equal(env.reset(1, 0), env._env.unwrapped.shown)
    assert spec.made_by != spec_of(resize=8).made_by != spec_of(resize=9).made_by


@pytest.mark.parametrize(
    "kind", ["floats", "dark", "planes", "channels first", "too small", "with a number"]
)
@pytest.mark.parametrize("changes", [{"resize": 8}, {"grayscale": "on"}], ids=str)
def test_what_is_not_one_picture_is_refused_in_one_sentence(kind, changes):
    with pytest.raises(EnvironmentUnusableError) as caught:
        spec_of(env_kwargs={"kind": kind}, **changes)
    name, value = next(iter(changes.items()))
    assert str(caught.value).startswith(f"{name} {value} needs observations that are one picture")
    assert "\n" not in str(caught.value)


def test_only_three_colours_can_be_turned_to_grey():
    with pytest.raises(EnvironmentUnusableError, match="needs a picture of three colours"):
        spec_of(env_kwargs={"kind": "transparent"}, grayscale="on")


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match=r'pip install "frankrl\[pixels\]"'):
        spec_of(resize=8)
    assert spec_of(grayscale="on").leaves[0].shape == (12, 20)


def test_the_car_race_is_seen_small_and_grey():
    spec = spec_of("CarRacing-v3", {"continuous": False}, resize=48, grayscale="on")
    assert (spec.leaves[0].shape, spec.num_actions, spec.has_time_limit) == ((48, 48), 5, True)
    vector = GymnasiumVector(spec, 1, 0)
    for action in (3, 3, 1):
        step, _ = vector.step(np.array([action]), 0)
    assert step.next_observation.std() > 5
    restored = GymnasiumVector(spec, 1, 0)
    assert restored.restore(vector.logs()) == []
    vector.close()
    restored.close()
