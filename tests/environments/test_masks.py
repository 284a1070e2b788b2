"""Where environments say which actions are allowed, and what is wrong with how they say it."""

import contextlib

import gymnasium
import numpy as np
import probe_envs  # noqa: F401 - registers environments
import pytest
from gymnasium import spaces
from training import masked_mdps

from frankrl.core.errors import EnvironmentFailedError, EnvironmentUnusableError
from frankrl.environments import CheckedEnv, describe
from frankrl.environments.encoding import entries, state_space
from frankrl.environments.env_group import step_seconds
from frankrl.environments.masks import joined, split

BITS = spaces.MultiBinary(3)
PICTURE = spaces.Box(0, 255, (2, 2), np.uint8)


class Parts(gymnasium.Env):
    """Has the observation space that it is given."""

    action_space = spaces.Discrete(3)

    def __init__(self, space: spaces.Space) -> None:
        self.observation_space = space


gymnasium.register("Parts-v0", Parts)


def described(**parts):
    return describe("Parts-v0", {"space": spaces.Dict(parts)})


def stored(where, **kwargs):
    """The first two states of an episode in which action 1 is taken."""
    spec = describe("MaskedMDP-v0", {"where": where, **kwargs})
    with contextlib.closing(CheckedEnv(spec)) as seat:
        return [seat.reset(0, 0), seat.step(1)[0]]


@pytest.mark.parametrize("where", ["info", "observation"])
def test_a_mask_is_stored_behind_the_flattened_state(where):
    spec = describe("MaskedMDP-v0", {"where": where})
    assert (spec.masks_from, spec.mask_size) == (where, 3)
    assert (spec.state_shape, spec.observation_shape) == ((2, 2), (7,))
    assert spec.component_names == ("s[0]", "s[1]", "s[2]", "s[3]")
    for found, state in zip(stored(where), range(2), strict=True):
        assert found.dtype == np.float32
        expected = [*np.eye(4)[state], *masked_mdps.ALLOWED[state]]
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("where", ["info", "observation"])
def test_a_numbered_state_stays_one_beside_its_mask(where):
    spec = describe("MaskedMDP-v0", {"where": where, "numbered": True})
    assert spec.state_space == spaces.Discrete(3)
    found = stored(where, numbered=True)
    assert found[0].dtype == np.uint8
    np.testing.assert_array_equal(found, [[1, 0, 0, 1, 1, 0], [0, 1, 0, 0, 1, 1]])


def test_states_and_masks_come_apart_as_they_were_joined():
    random = np.random.default_rng(0)
    states = random.normal(size=(5, 2, 3)).astype(np.float32)
    allowed = random.random((5, 4)) < 0.5
    whole = joined(states, allowed)
    assert (whole.shape, whole.dtype) == ((5, 10), np.float32)
    for found, expected in zip(split(whole, (2, 3)), (states, allowed), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_taxi_and_environments_without_masks_are_told_apart():
    taxi = describe("Taxi-v4", {})
    assert (taxi.masks_from, taxi.state_shape, taxi.observation_shape) == ("info", (500,), (506,))
    for env_id in ("CartPole-v1", "FrankCounting-v0", "frankrl/NineSquares-v0"):
        spec = describe(env_id, {})
        assert (spec.masks_from, spec.mask_size) == ("nowhere", 0)
        assert spec.observation_shape == spec.state_shape


def test_a_single_part_beside_the_mask_is_stored_as_if_it_were_alone():
    spec = described(mask=BITS, view=PICTURE)
    assert spec.state_space == PICTURE
    assert (spec.state_shape, spec.observation_dtype, spec.observation_scale) == (
        (2, 2),
        np.uint8,
        1 / 255,
    )
    assert spec.scaling(to_bounds=True).offset == (127.5,) * 4


def test_several_parts_beside_the_mask_are_flattened_together():
    spec = described(action_mask=BITS, speed=spaces.Box(-1, 1, (2,)), place=spaces.Discrete(2))
    assert (spec.state_shape, spec.observation_shape) == ((4,), (7,))
    given = {"action_mask": [1, 0, 1], "speed": np.float32([0.5, -0.5]), "place": 1}
    state, mask = spec.encode(given, {})
    np.testing.assert_array_equal(sorted(state), sorted([0.5, -0.5, 0, 1]))
    assert mask == [1, 0, 1]


@pytest.mark.parametrize(
    "other",
    [
        spaces.MultiBinary(4),
        spaces.Box(0, 1, (4,), np.int8),
        spaces.Box(-1, 1, (3,)),
        spaces.Discrete(3),
    ],
    ids=["four_bits", "four_numbers", "signed", "number"],
)
def test_a_part_called_mask_of_another_form_is_a_part_like_any_other(other):
    assert described(mask=other, view=PICTURE).masks_from == "nowhere"
    with pytest.raises(EnvironmentUnusableError, match=r"with an action_mask from .*its 3 actions"):
        described(action_mask=other, view=PICTURE)


def test_two_masks_and_no_state_are_refused():
    with pytest.raises(EnvironmentUnusableError, match="action_mask and mask: leave one"):
        described(action_mask=BITS, mask=BITS, view=PICTURE)
    with pytest.raises(EnvironmentUnusableError, match="nothing but mask"):
        described(mask=BITS)


def test_a_space_without_named_parts_holds_no_mask():
    assert entries(BITS, 3, "a test's") is None
    assert state_space(BITS, None) is BITS


@pytest.mark.parametrize("where", ["info", "observation"])
@pytest.mark.parametrize("at", [0, 2])
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("size", r"an action mask of shape \(2,\), where one entry for each of 3 actions belongs"),
        ("value", "an action mask with entries other than 0 and 1"),
        ("negative", "an action mask with entries other than 0 and 1"),
        ("fraction", "an action mask with entries other than 0 and 1"),
        ("missing", "no action mask"),
        ("none", "an action mask that allows no action while its episode goes on"),
        ("words", "an action mask of shape"),
        ("ragged", "an action mask that is no array of numbers"),
    ],
)
def test_a_wrong_mask_is_told_with_its_place(where, at, fault, words):
    # Described as it should be: a mask that is not there at the first reset is not awaited.
    spec = describe("MaskedMDP-v0", {"where": where})
    spec.env_kwargs.update(fault=fault, at=at)
    place = rf"environment 4 \(MaskedMDP-v0\), episode 7, step {at}"

    def play():
        with contextlib.closing(CheckedEnv(spec, 4)) as seat:
            seat.reset(0, 7)
            seat.step(1)
            seat.step(1)

    with pytest.raises(EnvironmentFailedError, match=f"^{place} gave {words}"):
        play()


@pytest.mark.parametrize("end", ["terminated", "truncated"])
def test_where_an_episode_has_ended_a_mask_of_zeros_allows_everything(end):
    spec = describe("MaskedMDP-v0", {"end": end, "fault": "none", "at": 3})
    with contextlib.closing(CheckedEnv(spec)) as seat:
        seat.reset(0, 0)
        seat.step(0)
        seat.step(1)
        state, _, terminated, truncated = seat.step(0)
    assert (terminated, truncated) == (end == "terminated", end == "truncated")
    np.testing.assert_array_equal(state[4:], [1, 1, 1])


def test_masks_that_begin_after_the_reset_are_not_passed_over():
    spec = describe("LateMask-v0", {})
    assert spec.masks_from == "nowhere"
    with contextlib.closing(CheckedEnv(spec)) as seat:
        seat.reset(0, 0)
        with pytest.raises(EnvironmentFailedError, match="step 1 gave an action mask, and its"):
            seat.step(0)


def test_an_environment_whose_first_action_is_not_allowed_is_timed():
    # The second of its states forbids the first action.
    assert step_seconds(describe("MaskedMDP-v0", {"limit": 60, "end": "truncated"})) > 0
