"""Where environments say which actions are allowed, and what is wrong with how they say it."""

import contextlib

import gymnasium
import numpy as np
import probe_envs  # noqa: F401 - registers environments
import pytest
from gymnasium import spaces
from toy_text import TAXI
from training import masked_mdps

from frankrl.core.errors import EnvironmentFailedError, EnvironmentUnusableError
from frankrl.environments import CheckedEnv, describe, try_out
from frankrl.environments.masks import entries, state_space

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


def first_two(where, **kwargs):
    """The specification, and the first two rows of an episode in which action 1 is taken."""
    spec = describe("MaskedMDP-v0", {"where": where, **kwargs})
    with contextlib.closing(CheckedEnv(spec)) as env:
        return spec, np.stack([env.reset(0, 0), env.step(1)[0]])


@pytest.mark.parametrize("where", ["info", "observation"])
def test_a_row_holds_the_state_and_its_mask(where):
    spec, rows = first_two(where)
    assert (spec.masks_from, spec.is_masked) == (where, True)
    assert (rows.shape, rows.dtype) == ((2,), spec.row_dtype)
    assert spec.row_dtype.itemsize == 4 * 4 + 3
    assert spec.component_names == ("s[0]", "s[1]", "s[2]", "s[3]")
    states, allowed = spec.observation(rows), spec.action_mask(rows)
    assert (states.dtype, allowed.dtype) == (np.float32, np.bool_)
    np.testing.assert_array_equal(states, np.eye(4)[:2].reshape(2, 2, 2))
    np.testing.assert_array_equal(allowed, masked_mdps.ALLOWED[:2] == 1)
    assert np.shares_memory(states, rows)
    assert np.shares_memory(allowed, rows)


@pytest.mark.parametrize("where", ["info", "observation"])
def test_a_numbered_state_stays_one_beside_its_mask(where):
    spec, rows = first_two(where, numbered=True)
    assert spec.state_space == spaces.Discrete(3)
    states = spec.observation(rows)
    assert (states.dtype, spec.leaves[0].num_values) == (np.int32, (3,))
    np.testing.assert_array_equal(states, [0, 1])
    np.testing.assert_array_equal(
        spec.action_mask(rows), [[True, True, False], [False, True, True]]
    )


def test_taxi_and_environments_without_masks_are_told_apart():
    taxi = describe(TAXI, {})
    assert (taxi.masks_from, taxi.leaves[0].num_values) == ("info", (500,))
    assert (taxi.row_shape, taxi.row_dtype.itemsize) == ((), 4 + 6)
    for env_id in ("CartPole-v1", "FrankCounting-v0", "frankrl/NineSquares-v0"):
        spec = describe(env_id, {})
        assert (spec.masks_from, spec.is_masked) == ("nowhere", False)
        assert (spec.row_dtype, spec.row_shape) == (spec.leaves[0].dtype, spec.leaves[0].shape)


def test_a_single_part_beside_the_mask_is_taken_as_if_it_were_alone():
    spec = described(mask=BITS, view=PICTURE)
    assert spec.state_space == PICTURE
    assert spec.leaves == describe("FrankSpace-v0", {"observation": "small_picture"}).leaves


def test_several_parts_beside_the_mask_stay_parts():
    spec = described(action_mask=BITS, speed=spaces.Box(-1, 1, (2,)), place=spaces.Discrete(2))
    assert [leaf.name for leaf in spec.leaves] == ["place", "speed"]
    assert spec.row_dtype.names == ("place", "speed", "action_mask")
    given = {"action_mask": [1, 0, 1], "speed": np.float32([0.5, -0.5]), "place": 1}
    parts, mask = spec.parts(given, {}, ValueError)
    assert parts[0] == 1
    assert parts[1] is given["speed"]
    assert mask == [1, 0, 1]
    rows = np.zeros(2, spec.row_dtype)
    assert set(spec.observation(rows)) == {"place", "speed"}
    assert spec.action_mask(rows).shape == (2, 3)


def test_an_observation_without_its_state_is_told():
    spec = describe("MaskedMDP-v0", {"where": "observation"})
    for wrong, words in (
        ({"action_mask": [1, 1, 1]}, "without the entry 'observation'"),
        (7, "int"),
    ):
        with pytest.raises(ValueError, match=words):
            spec.parts(wrong, {}, ValueError)


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
    with pytest.raises(EnvironmentUnusableError, match="action_mask and mask: name one of them"):
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
        with contextlib.closing(CheckedEnv(spec, 4)) as env:
            env.reset(0, 7)
            env.step(1)
            env.step(1)

    with pytest.raises(EnvironmentFailedError, match=f"^{place} gave {words}"):
        play()


@pytest.mark.parametrize("end", ["terminated", "truncated"])
def test_where_an_episode_has_ended_a_mask_of_zeros_allows_everything(end):
    spec = describe("MaskedMDP-v0", {"end": end, "fault": "none", "at": 3})
    with contextlib.closing(CheckedEnv(spec)) as env:
        env.reset(0, 0)
        env.step(0)
        env.step(1)
        row, _, terminated, truncated, *_ = env.step(0)
    assert (terminated, truncated) == (end == "terminated", end == "truncated")
    assert spec.action_mask(row).all()


def test_masks_that_begin_after_the_reset_are_not_passed_over():
    spec = describe("LateMask-v0", {})
    assert spec.masks_from == "nowhere"
    with contextlib.closing(CheckedEnv(spec)) as env:
        env.reset(0, 0)
        with pytest.raises(EnvironmentFailedError, match="step 1 gave an action mask, and its"):
            env.step(0)


def test_an_environment_whose_first_action_is_not_allowed_is_timed():
    # The second of its states forbids the first action.
    trial = try_out(describe("MaskedMDP-v0", {"limit": 60, "end": "truncated"}))
    assert trial.step_seconds > 0
    assert trial.repeats


def masked(where, setting, **kwargs):
    return describe("MaskedMDP-v0", {"where": where, **kwargs}, setting)


PLACES = {
    "a part": ("observation", "auto", "action_mask", 'the entry "action_mask" of the observations'),
    "a part like one": ("observation", "auto", "mask", 'the entry "mask" of the observations'),
    "a part by name": ("observation", "legal", "legal", 'the entry "legal" of the observations'),
    "the info": ("info", "auto", "action_mask", 'info["action_mask"]'),
    "the info by name": ("info", "legal", "legal", 'info["legal"]'),
    "a method": ("method", "auto", "action_mask", "the method action_masks()"),
    "a method by name": ("method", "action_masks", "action_mask", "the method action_masks()"),
}


@pytest.mark.parametrize("case", PLACES)
def test_masks_are_read_from_the_place_that_is_said(case):
    where, setting, key, words = PLACES[case]
    spec = masked(where, setting, key=key)
    assert (spec.masks_from, spec.mask_place) == (where, words)
    with contextlib.closing(CheckedEnv(spec)) as env:
        rows = [env.reset(0, 0), *(env.step(1)[0] for _ in range(2))]
        last, _, terminated, *_ = env.step(1)
    assert terminated
    np.testing.assert_array_equal(spec.action_mask(np.stack(rows)), masked_mdps.ALLOWED == 1)
    assert spec.action_mask(last).all()


@pytest.mark.parametrize("where", ["info", "observation", "method"])
def test_masks_that_are_switched_off_are_read_from_nowhere(where):
    spec = masked(where, "off")
    assert (spec.masks_from, spec.mask_place) == ("nowhere", "")
    with contextlib.closing(CheckedEnv(spec)) as env:
        row = env.reset(0, 0)
        env.step(1)
    parts = ["action_mask", "observation"] if where == "observation" else [""]
    assert [leaf.name for leaf in spec.leaves] == parts
    assert spec.action_mask(row) is None


def test_bits_that_are_no_mask_are_a_part_of_the_state_when_masks_are_off():
    space = spaces.Dict(mask=BITS, view=PICTURE)
    assert describe("Parts-v0", {"space": space}).masks_from == "observation"
    assert [leaf.name for leaf in describe("Parts-v0", {"space": space}, "off").leaves] == [
        "mask",
        "view",
    ]


@pytest.mark.parametrize(
    ("where", "setting", "words"),
    [
        ("info", "legal", r"has no such entry .*none\) or in the info .*\(action_mask\)"),
        ("observation", "legal", r"in its observations \(action_mask, observation\) or in"),
        ("method", "Auto", "action_mask is 'Auto', but MaskedMDP-v0 has no such entry"),
        ("observation", "observation", "has observations with an observation from Box"),
    ],
)
def test_a_mask_that_is_not_where_it_is_said_to_be_is_refused(where, setting, words):
    with pytest.raises(EnvironmentUnusableError, match=words):
        masked(where, setting)


def test_with_two_possible_masks_the_named_one_is_taken():
    space = spaces.Dict(action_mask=BITS, mask=BITS, view=PICTURE)
    spec = describe("Parts-v0", {"space": space}, "mask")
    assert (spec.mask_key, [leaf.name for leaf in spec.leaves]) == ("mask", ["action_mask", "view"])


def test_a_method_that_fails_is_named_with_its_place(monkeypatch):
    spec = masked("method", "auto")
    with contextlib.closing(CheckedEnv(spec)) as env:
        env.reset(0, 0)
        monkeypatch.setattr(env, "_mask_method", lambda: {}["board"])
        with pytest.raises(EnvironmentFailedError, match="step 1 raised KeyError: 'board'"):
            env.step(1)
