import json

import gymnasium
import numpy as np
import odd_envs
import pytest
from gymnasium import spaces
from probe_envs import ACTION_SPACES, SpaceProbe

from frankrl.core.absent import absent_env
from frankrl.core.errors import EnvironmentUnusableError, FrankError
from frankrl.environments import (
    CheckedEnv,
    GymnasiumVector,
    describe,
    make_environment,
    spec_from_data,
    spec_to_data,
)
from frankrl.environments.from_code import named_env

# Shape and type of a row of each observation space.
ROWS = {
    "float64": ((3,), np.float32),
    "int64": ((2,), np.float32),
    "bytes": ((2, 3), np.uint8),
    "small_bytes": ((4,), np.uint8),
    "matrix": ((2, 3), np.float32),
    "scalar": ((), np.float32),
    "discrete": ((), np.int32),
    "multi_discrete": ((2,), np.int32),
    "multi_binary": ((3,), np.uint8),
    "tuple": ((), [("0", np.int32), ("1", np.float32, 2)]),
    "dict": ((), [("a", np.float32, 2), ("b", np.int32)]),
}


RESULT = np.zeros(3, np.float32), 0.0, False, False, {}


def probe(observation="float64", action="two"):
    return describe("FrankSpace-v0", {"observation": observation, "action": action})


@pytest.mark.parametrize("name", ROWS)
def test_every_observation_space_has_rows_of_one_shape_and_type(name):
    spec, (shape, dtype) = probe(name), ROWS[name]
    assert (spec.row_shape, spec.row_dtype) == (shape, np.dtype(dtype))


@pytest.mark.parametrize("name", ROWS)
def test_a_vector_of_environments_gives_rows(name):
    spec, (shape, dtype) = probe(name), ROWS[name]
    vector = GymnasiumVector(spec, 2, seed=0)
    step, _ = vector.step(np.array([0, 1]), 0)
    for rows in (step.observation, step.next_observation, vector.observation):
        assert rows.shape == (2, *shape)
        assert rows.dtype == np.dtype(dtype)
    vector.close()


@pytest.mark.parametrize("name", ["sequence", "graph"])
def test_an_observation_space_without_a_fixed_shape_is_refused(name):
    with pytest.raises(EnvironmentUnusableError, match="FrankSpace-v0 has the observation space"):
        probe(name)


@pytest.mark.parametrize("name", ["continuous", "multi_discrete"])
def test_only_numbered_actions_are_accepted(name):
    with pytest.raises(EnvironmentUnusableError, match="needs a Discrete one"):
        probe(action=name)


def test_more_actions_than_can_be_stored_are_refused():
    with pytest.raises(EnvironmentUnusableError, match=r"70,000 actions; at most 65,535"):
        probe(action="too_many")


def test_pendulum_is_refused_with_its_action_space():
    with pytest.raises(EnvironmentUnusableError, match=r"Pendulum-v1 has the action space Box"):
        describe("Pendulum-v1", {})


def test_actions_are_counted_from_zero_whatever_the_environment_calls_them():
    spec = probe(action="from_five")
    assert (spec.num_actions, spec.first_action) == (3, 5)
    vector = GymnasiumVector(spec, 3, seed=0)
    # The probe's reward is the action that it received.
    step, _ = vector.step(np.array([0, 1, 2]), 0)
    np.testing.assert_array_equal(step.action, [0, 1, 2])
    np.testing.assert_array_equal(step.reward, [5, 6, 7])
    assert all(ACTION_SPACES["from_five"].contains(int(a)) for a in step.reward)
    vector.close()


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("LunarLandr-v3", "LunarLander-v3"),
        ("cartpole-v1", "CartPole-v1"),
        ("FrankSpac-v0", "FrankSpace-v0"),
    ],
)
def test_a_missing_environment_names_the_nearest_one(given, meant):
    with pytest.raises(EnvironmentUnusableError, match=f"'{given}'; did you mean '{meant}"):
        describe(given, {})


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("probe_envs:FrankCountin-v0", "probe_envs:FrankCounting-v0"),
        ("probe_envs:frankseed-v0", "probe_envs:FrankSeed-v0"),
        ("odd_envs:OddEndles-v0", "odd_envs:OddEndless-v0"),
    ],
)
def test_a_suggested_name_works_with_its_module(given, meant):
    with pytest.raises(EnvironmentUnusableError, match=f"did you mean '{meant}'") as caught:
        describe(given, {})
    assert str(caught.value).count("ou mean") == 1
    assert describe(meant, {}).env_id == meant


@pytest.mark.parametrize("given", ["odd_envs:OddNeedsPackag-v0", "odd_envs:OddWandere-v0"])
def test_a_name_that_would_not_work_either_is_not_suggested(given, monkeypatch):
    known = {name: gymnasium.registry[name] for name in ("OddNeedsPackage-v0", "OddWanderer-v0")}
    monkeypatch.setattr(gymnasium, "registry", known)
    with pytest.raises(
        EnvironmentUnusableError, match=f"^unknown environment '{given}' "
    ) as caught:
        describe(given, {})
    assert "ou mean" not in str(caught.value)


def test_the_package_that_is_missing_is_named_as_gymnasium_names_it():
    words = "OddNeedsPackage-v0 needs a package that is not installed: pygame is not installed"
    with pytest.raises(EnvironmentUnusableError, match=words) as caught:
        describe("OddNeedsPackage-v0", {})
    assert "Box2D" not in str(caught.value)


@pytest.mark.parametrize("env_id", ["OddNoPictures-v0", "FrankPlain-v0", "OddEndless-v0"])
def test_an_environment_that_takes_no_render_mode_cannot_be_filmed(env_id):
    spec = describe(env_id, {})
    assert not spec.can_be_filmed
    words = f"^{env_id} cannot be filmed: it does not take render_mode='rgb_array'$"
    with pytest.raises(EnvironmentUnusableError, match=words):
        CheckedEnv(spec, render_mode="rgb_array")
    assert describe("CartPole-v1", {}).can_be_filmed


def filtered(**kwargs):
    env = gymnasium.make("OddEndless-v0", **kwargs)
    return gymnasium.wrappers.FilterObservation(env, ["image"])


def frozen(wrapper):
    env = odd_envs.normalised(wrapper)
    env.update_running_mean = False
    return gymnasium.wrappers.RecordEpisodeStatistics(env)


gymnasium.register("Filtered-v0", filtered)
gymnasium.register("Frozen-v0", frozen)
MISSION = spaces.Dict(image=spaces.Box(0, 255, (7, 7, 3), np.uint8), mission=spaces.Text(9))


@pytest.mark.parametrize("space", [MISSION, spaces.Tuple((MISSION, spaces.Discrete(2)))])
def test_a_refused_part_comes_with_a_way_to_leave_it_out(space, monkeypatch):
    monkeypatch.setattr(odd_envs.Endless, "observation_space", space)
    words = r"mission' is a Text.*FilterObservation, or ImgObsWrapper .* docs/environments\.md"
    with pytest.raises(EnvironmentUnusableError, match=words):
        describe("OddEndless-v0", {})


def test_the_documented_wrapper_leaves_the_part_out(monkeypatch):
    monkeypatch.setattr(odd_envs.Endless, "observation_space", MISSION)
    (leaf,) = describe("Filtered-v0", {}).leaves
    assert (leaf.name, leaf.shape, leaf.dtype) == ("image", (7, 7, 3), np.uint8)


@pytest.mark.parametrize(
    ("env_id", "env_kwargs", "expected"),
    [
        ("CartPole-v1", {}, True),
        ("frankrl/NineSquares-v0", {}, True),
        ("OddLimited-v0", {"method": "none", "value": 0}, True),
        ("OddEndless-v0", {}, False),
    ],
)
def test_a_time_limit_is_found(env_id, env_kwargs, expected):
    assert describe(env_id, env_kwargs).has_time_limit is expected


@pytest.mark.parametrize("wrapper", ["NormalizeReward", "NormalizeObservation"])
def test_running_statistics_are_found_while_they_run(wrapper):
    kwargs = {"wrapper": wrapper}
    assert describe("OddNormalised-v0", kwargs).running_statistics == (wrapper,)
    assert describe("Frozen-v0", kwargs).running_statistics == ()


def test_a_module_that_registers_the_environment_is_imported():
    assert describe("probe_envs:FrankCounting-v0", {}).num_actions == 2


@pytest.mark.parametrize("env_id", ["no_such_module:World-v0", "no_such.module:World-v0"])
def test_a_module_that_is_not_there_is_named(env_id):
    with pytest.raises(FrankError, match=r"no_such"):
        describe(env_id, {})


def test_keyword_arguments_reach_the_environment_and_wrong_ones_are_refused():
    env = make_environment("FrankCounting-v0", {"limit": 2})
    env.reset(seed=0)
    assert env.step(0)[3] is False
    assert env.step(0)[3] is True
    with pytest.raises(EnvironmentUnusableError, match=r"FrankCounting-v0 cannot be made.*limits"):
        make_environment("FrankCounting-v0", {"limits": 2})


def test_an_environment_that_knows_no_render_mode_can_be_made():
    assert describe("FrankPlain-v0", {}).num_actions == 2


def test_actions_are_given_as_the_action_space_gives_them(monkeypatch):
    spec, given = probe(action="from_five"), []
    monkeypatch.setattr(SpaceProbe, "step", lambda self, action: given.append(action) or RESULT)
    vector = GymnasiumVector(spec, 1, seed=0)
    vector.step(np.array([2]), 0)
    assert given == [7]
    assert type(given[0]) is type(ACTION_SPACES["from_five"].sample())
    vector.close()


def test_the_threshold_is_the_environments_own():
    assert describe("FrankCounting-v0", {}).reward_threshold == 9.0
    assert describe("FrankSpace-v0", {}).reward_threshold is None
    assert describe("LunarLander-v3", {}).reward_threshold == 200


def test_lunar_lander_is_what_the_notes_say():
    spec = describe("LunarLander-v3", {})
    assert (spec.row_shape, spec.row_dtype) == ((8,), np.float32)
    assert spec.action_names == ("do nothing", "fire left", "fire main", "fire right")


class NamesActions(gymnasium.Env):
    """Has two actions, and a list of their names."""

    observation_space, action_space = spaces.Discrete(1), spaces.Discrete(2)

    def __init__(self, action_names=None):
        self.action_names = action_names


gymnasium.register("NamesActions-v0", NamesActions)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["left", "right"], ("left", "right")),
        (["left"], ("action 0", "action 1")),
        (["left", 1], ("action 0", "action 1")),
        ("lr", ("action 0", "action 1")),
        (None, ("action 0", "action 1")),
    ],
)
def test_an_environment_can_name_its_actions(given, expected):
    spec = describe("NamesActions-v0", {"action_names": given})
    assert spec.action_names == expected
    stored = json.loads(json.dumps(spec_to_data(spec)))
    assert spec_from_data(stored, spec.env_id, spec.env_kwargs).action_names == expected


def test_actions_without_known_names_are_numbered():
    spec = probe("matrix")
    assert spec.action_names == ("action 0", "action 1")


def test_describing_leaves_no_environment_open(monkeypatch):
    closed = []
    monkeypatch.setattr(SpaceProbe, "close", lambda self: closed.append(self))
    probe()
    with pytest.raises(EnvironmentUnusableError):
        probe(action="continuous")
    assert len(closed) == 2


def test_an_environment_that_cannot_be_closed_can_still_be_described():
    assert describe("FrankFaulty-v0", {"fault": "close"}).num_actions == 2


def test_scaling_to_bounds_brings_every_bounded_component_to_one():
    scaling = describe("MountainCar-v0", {}).leaves[0].scaling(to_bounds=True)
    np.testing.assert_allclose(scaling.offset, [-0.3, 0.0], atol=1e-7)
    np.testing.assert_allclose(scaling.factor, [2 / 1.8, 2 / 0.14], rtol=1e-6)
    cart_pole = describe("CartPole-v1", {}).leaves[0].scaling(to_bounds=True)
    np.testing.assert_allclose(cart_pole.factor, [1 / 4.8, 1, 1 / 0.41887903, 1], rtol=1e-6)
    assert describe("MountainCar-v0", {}).leaves[0].scaling(to_bounds=False).factor == (1.0,)


class CartPole(gymnasium.Env):
    """Has the name of an environment that Gymnasium would complete to CartPole-v1."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(3)


def test_a_class_is_not_taken_for_a_registered_environment_of_its_name():
    for given in (CartPole, f"{__name__}:CartPole"):
        env_id, _ = named_env(given)
        assert describe(env_id, {}).num_actions == 3


@pytest.mark.parametrize("name", ["Grid-v0", "grids/Grid-v0"])
def test_the_name_of_a_run_without_an_environment_is_no_environments(name):
    with pytest.raises(gymnasium.error.Error):
        gymnasium.register(absent_env(name), entry_point=SpaceProbe)
    with pytest.raises(EnvironmentUnusableError, match="no environment was named when it began"):
        make_environment(absent_env(name), {})


def test_an_environment_may_have_the_namespace_dataset():
    gymnasium.register("dataset/Probe-v0", entry_point=SpaceProbe)
    make_environment("dataset/Probe-v0", {}).close()
