"""What environments declare as their symmetries: read, refused, stored."""

import dataclasses
import itertools
import json
import re

import gymnasium
import numpy as np
import pytest
from exporting.exported_agents import spec_for
from gymnasium import spaces

from frankrl.core.errors import FrankWarning, RunFolderError
from frankrl.environments import describe, images_under, spec_from_data, spec_to_data
from frankrl.environments.symmetry import symmetries_of
from frankrl.environments.trial import try_out

VECTOR = spaces.Box(-9, 9, (3,))
PARTS = spaces.Dict({"place": spaces.Box(-9, 9, (2, 2)), "rooms": spaces.MultiDiscrete([3, 3])})


def read(declared, space=VECTOR):
    spec = spec_for(space)
    return symmetries_of(declared, spec.leaves, spec.num_actions)


def test_a_symmetry_moves_components_changes_signs_and_permutes_actions():
    declared = {"observation": {"components": [2, 1, 0], "signs": [1, -1, 1]}, "actions": TURN}
    (symmetry,) = read([declared])
    rows = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    np.testing.assert_array_equal(symmetry.leaves[0].image(rows, 1), [[3, -2, 1], [6, -5, 4]])
    assert symmetry.actions == tuple(TURN)


def test_a_symmetry_of_parts_moves_components_and_values_of_each():
    tables = [[1, 2, 0], [0, 2, 1]]
    given = {
        "place": {"components": [1, 0, 3, 2], "signs": [1, 1, -1, -1]},
        "rooms": {"components": [1, 0], "values": tables},
    }
    ((place, rooms),) = [symmetry.leaves for symmetry in read([{"observation": given}], PARTS)]
    np.testing.assert_array_equal(
        place.image(np.array([[1, 2], [3, 4]], np.float32), 2), [[2, 1], [-4, -3]]
    )
    for one, other in itertools.product(range(3), repeat=2):
        found = rooms.image(np.array([one, other], np.int32), 1)
        assert found.tolist() == [tables[0][other], tables[1][one]]


TURN = [1, 2, 3, 0]


def test_the_images_are_all_products_of_the_symmetries():
    spec = spec_for(spaces.Box(-9, 9, (4,)))
    turn = {"observation": {"components": TURN, "signs": [1, 1, 1, -1]}, "actions": TURN}
    swap = {"observation": {"components": [1, 0, 2, 3]}, "actions": [1, 0, 2, 3]}
    found = images_under(symmetries_of([turn], spec.leaves, 4), spec.leaves, 4)
    # Four turns by actions, eight by signs.
    assert len(found) == 8
    assert found[0].leaves[0].is_identity
    row = np.array([1, 2, 3, 4], np.float32)
    expected, images = row, set()
    for _ in range(8):
        images.add(tuple(expected))
        expected = expected[TURN] * [1, 1, 1, -1]
    assert {tuple(one.leaves[0].image(row, 1)) for one in found} == images
    with pytest.raises(ValueError, match="more than 64 images"):
        symmetries_of([turn, swap], spec.leaves, 4)


@pytest.mark.parametrize(
    ("declared", "space", "what"),
    [
        ("left and right", VECTOR, "a str where a list of mappings belongs"),
        ([3], VECTOR, "a symmetry is a int, wanted a mapping"),
        ([{"signs": [1, 1, 1]}], VECTOR, "has the entry 'signs', known are"),
        ([{"actions": [0, 1, 2]}], VECTOR, "actions (0, 1, 2), wanted 0 to 3, each once"),
        ([{"actions": [0, 1, 2, 2]}], VECTOR, "wanted 0 to 3, each once"),
        ([{"actions": [0, 1, 2, 3.5]}], VECTOR, "wanted a list of whole numbers"),
        ([{"actions": {0: 1}}], VECTOR, "wanted a list of whole numbers"),
        ([{"observation": {"signs": [1, 1]}}], VECTOR, "wanted 3 times 1 or -1"),
        ([{"observation": {"signs": [1, 0, 1]}}], VECTOR, "wanted 3 times 1 or -1"),
        ([{"observation": {"components": [0, 1]}}], VECTOR, "wanted 0 to 2, each once"),
        ([{"observation": {"values": [[0]]}}], VECTOR, "one list for each numbered value"),
        ([{"observation": {"elsewhere": {}}}], PARTS, "known are 'place', 'rooms'"),
        ([{"observation": {"rooms": {"signs": [1, -1]}}}], PARTS, "holds no real numbers"),
        ([{"observation": {"rooms": {"values": [[0, 1, 2]]}}}], PARTS, "one list for each"),
        (
            [{"observation": {"components": [1, 0], "values": [[0, 1], [0, 1, 2]]}}],
            spaces.MultiDiscrete([2, 3]),
            "components that swap values of 3 and of 2 kinds",
        ),
    ],
)
def test_what_is_no_symmetry_of_the_environment_is_refused(declared, space, what):
    with pytest.raises(ValueError, match=re.escape(what)):
        read(declared, space)


def test_symmetries_come_back_from_their_text_as_they_were():
    given = {
        "place": {"components": [1, 0, 3, 2], "signs": [1, 1, -1, -1]},
        "rooms": {"components": [1, 0], "values": [[1, 2, 0], [0, 2, 1]]},
    }
    declared = [{"name": "turned", "observation": given, "actions": TURN}, {"actions": TURN}]
    spec = dataclasses.replace(spec_for(PARTS), symmetries=read(declared, PARTS))
    data = json.loads(json.dumps(spec_to_data(spec)))
    assert spec_from_data(data, "Spaces-v0", {}).symmetries == spec.symmetries
    data["symmetries"][0]["actions"] = [0, 0, 0, 0]
    with pytest.raises(RunFolderError, match="each once"):
        spec_from_data(data, "Spaces-v0", {})


class Declaring(gymnasium.Env):
    """Declares what its keyword says."""

    observation_space, action_space = VECTOR, spaces.Discrete(4)

    def __init__(self, symmetries):
        self.symmetries = symmetries

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(3, np.float32), {}

    def step(self, action):
        return np.zeros(3, np.float32), 0.0, False, False, {}


def test_an_environment_declares_its_symmetries():
    declared = [{"observation": {"signs": [-1, 1, 1]}, "actions": [1, 0, 2, 3]}]
    spec = describe("test_symmetry:Declaring", {"symmetries": declared})
    assert spec.symmetries == read(declared)


def test_what_cannot_be_read_is_left_out_with_a_warning():
    with pytest.warns(FrankWarning, match="are left out: a str where a list"):
        spec = describe("test_symmetry:Declaring", {"symmetries": "sphere"})
    assert spec.symmetries == ()
    assert try_out(spec).repeats


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Acrobot-v1", "frankrl/NineSquares-v0"])
def test_frank_knows_the_symmetries_of_some_environments(env_id):
    assert len(describe(env_id, {}).symmetries) == 1


def test_the_lander_is_symmetric_without_wind_alone():
    assert len(describe("LunarLander-v3", {}).symmetries) == 1
    assert describe("LunarLander-v3", {"enable_wind": True}).symmetries == ()
    assert describe("MountainCar-v0", {}).symmetries == ()
