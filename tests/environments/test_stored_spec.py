"""The description of an environment as data."""

import json

import numpy as np
import probe_envs
import pytest
from gymnasium import spaces
from toy_text import TAXI

from frankrl.config import AtariSettings
from frankrl.core.errors import RunFolderError
from frankrl.environments import describe, spec_from_data, spec_to_data
from frankrl.environments.preprocessing import Preprocessing

SPECS = {
    name: describe("FrankSpace-v0", {"observation": name})
    for name in probe_envs.OBSERVATION_SPACES
    if name not in ("sequence", "graph")
}
SPECS |= {env_id: describe(env_id, {}) for env_id in ("LunarLander-v3", TAXI, "Blackjack-v1")}
SPECS["from_five"] = describe("FrankSpace-v0", {"action": "from_five"})


@pytest.mark.parametrize("name", SPECS)
def test_a_description_comes_back_from_its_text_as_it_was(name):
    spec = SPECS[name]
    text = json.dumps(spec_to_data(spec), allow_nan=False)
    again = spec_from_data(json.loads(text), spec.env_id, spec.env_kwargs)
    assert again.observation_space == spec.observation_space
    assert again.state_space == spec.state_space
    assert (again.leaves, again.structure) == (spec.leaves, spec.structure)
    for field in ("num_actions", "first_action", "reward_threshold", "masks_from", "mask_entries"):
        assert getattr(again, field) == getattr(spec, field)
    assert again.made_by == spec.made_by


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(-np.inf, np.inf, (3,), np.float32),
        spaces.Box(np.array([-np.inf, 0.1]), np.array([1e30, np.inf]), dtype=np.float64),
        spaces.Box(0, 1, (2, 2), np.bool_),
        spaces.Box(0, 255, (210, 160, 3), np.uint8),
        spaces.MultiDiscrete([[2, 3], [4, 5]], start=[[0, 1], [-2, 3]]),
    ],
    ids=str,
)
def test_bounds_come_back_to_the_bit(space):
    from frankrl.environments.stored_spec import _space_from_data, _space_to_data

    text = json.dumps(_space_to_data(space), allow_nan=False)
    assert _space_from_data(json.loads(text), 9) == space


def changed(**changes):
    return spec_to_data(SPECS["LunarLander-v3"]) | changes


def box(**changes):
    whole = {"kind": "Box", "shape": [2], "dtype": "float32", "low": [0.0], "high": [1.0]}
    return changed(observation_space=whole | changes)


def nested(depth):
    space = {"kind": "Discrete", "n": 2, "start": 0}
    for _ in range(depth):
        space = {"kind": "Tuple", "spaces": [space]}
    return space


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        "text",
        changed(num_actions=0),
        changed(num_actions=True),
        changed(num_actions=10**9),
        changed(first_action="1"),
        changed(reward_threshold="high"),
        changed(masks_from="elsewhere"),
        changed(observation_space={"kind": "Graph"}),
        changed(observation_space={"kind": ["Box"]}),
        changed(observation_space=nested(200)),
        box(shape=[10**12]),
        box(shape=[10**6, 10**6]),
        box(shape=[-1]),
        box(shape="ab"),
        box(dtype="object"),
        box(dtype="no such dtype"),
        box(low=[0.0, 1.0, 2.0]),
        box(low=["nothing"]),
        box(low=[]),
    ],
    ids=lambda data: str(data)[-40:],
)
def test_data_that_describe_no_environment_are_refused_in_one_sentence(data):
    with pytest.raises(RunFolderError, match="description of X-v0 is not valid") as raised:
        spec_from_data(data, "X-v0", {})
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize(
    ("env_id", "atari"), [("CartPole-v1", AtariSettings()), ("ALE/Pong-v5", None)]
)
def test_an_atari_game_alone_has_settings_of_atari_games(env_id, atari):
    data = changed(preprocessing=Preprocessing(atari=atari).to_data())
    with pytest.raises(RunFolderError, match=f"{env_id} is not valid: only an Atari game"):
        spec_from_data(data, env_id, {})
    other = {"CartPole-v1": "ALE/Pong-v5", "ALE/Pong-v5": "CartPole-v1"}[env_id]
    assert spec_from_data(data, other, {}).preprocessing.atari == atari
