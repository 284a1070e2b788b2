"""Functional environments of other libraries, and of people's own, through stand-ins."""

import copy
import sys
from types import SimpleNamespace

import functional_stand_ins as own
import gymnasium
import jax
import numpy as np
import pytest
from functional_stand_ins import LIMIT, walked
from gymnasium.wrappers import TransformReward

import frankrl
from frankrl.config import Settings
from frankrl.core.errors import EnvironmentUnusableError, SettingError
from frankrl.core.named_code import GivenCode, module_of
from frankrl.environments import describe, functional_of, make_environment, named_env
from frankrl.training.where import with_source

SHOWN = {
    "GymnasiumWalk": lambda square: [square],
    "MaskedWalk": lambda square: [square],
    "WalkWithStart": lambda square: square,
    "PgxWalk": lambda square: np.arange(5) == square,
    "NavixWalk": lambda square: [[square]],
    "GymnaxWalk": lambda square: [square, 2 * square],
    "FrankWalk": lambda square: square,
}
"""What each form shows of a square."""
_OF_TIME = {"PgxWalk": {"max_episode_steps": LIMIT}}


def described(name, **kwargs):
    return describe(f"functional_stand_ins:{name}", _OF_TIME.get(name, {}) | kwargs)


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize("prefix", ["", "functional:"])
def test_every_form_walks_as_plain_python_and_truncates_apart_from_its_end(name, prefix):
    kwargs = _OF_TIME.get(name, {})
    spec = describe(f"{prefix}functional_stand_ins:{name}", kwargs)
    environment = functional_of(spec)
    step = jax.jit(environment.step)
    random = np.random.default_rng(4)
    ends = set()
    for episode in range(12):
        state, observation, mask = environment.reset(jax.random.key(episode))
        square, length, ended = int(np.argmax(_same(observation, name))), 0, (False, False)
        assert square in (0, 1)
        while not any(ended):
            assert mask is None or mask.tolist() == [square > 0, True]
            action = int(random.random() < 0.6)
            state, found = step(state, np.int32(action), jax.random.key(99))
            length += 1
            square, reward, terminated = walked(square, action)
            mask, ended = found.mask, (bool(found.terminated), bool(found.truncated))
            np.testing.assert_array_equal(found.observation, SHOWN[name](square))
            assert float(found.reward) == pytest.approx(reward)
            # Navix names one end only: the termination, if there are two.
            out_of_time = length >= LIMIT and not (terminated and name == "NavixWalk")
            assert ended == (terminated, out_of_time)
            assert found.observation.dtype == spec.leaves[0].dtype
        ends.add(ended)
    assert {(True, False), (False, True)} <= ends
    assert functional_of(spec) == environment
    assert hash(functional_of(spec)) == hash(environment)


def _same(observation, name):
    return [np.array_equal(np.asarray(observation), SHOWN[name](square)) for square in range(5)]


@pytest.mark.parametrize("name", SHOWN)
def test_the_gymnasium_face_shows_the_same(name):
    spec = described(name)
    environment, face = functional_of(spec), make_environment(spec.env_id, spec.env_kwargs)
    step = jax.jit(environment.step)
    for seed in (0, 3):
        observation, info = face.reset(seed=seed)
        key = jax.random.key(np.uint32(seed))
        state, shown, mask = environment.reset(jax.random.fold_in(key, 0))
        np.testing.assert_array_equal(observation, shown)
        assert ("action_mask" in info) == (mask is not None) == spec.is_masked
        for number in range(1, LIMIT + 1):
            action = number % 3 > 0
            got = face.step(int(action))
            state, found = step(state, np.int32(action), jax.random.fold_in(key, number))
            np.testing.assert_array_equal(got[0], found.observation)
            assert got[1:4] == (found.reward, found.terminated, found.truncated)
            if got[2] or got[3]:
                break


def test_a_dict_with_a_mask_is_taken_apart():
    spec = described("WalkInDict")
    assert [leaf.name for leaf in spec.leaves] == ["bits", "square"]
    environment = functional_of(spec)
    state, observation, mask = environment.reset(jax.random.key(1))
    assert set(observation) == {"bits", "square"}
    assert [part.dtype for part in jax.tree.leaves(observation)] == [np.uint8, np.float32]
    assert mask.tolist() == [int(observation["square"][0]) > 0, True]
    assert environment.step(state, 1, jax.random.key(0))[1].mask.tolist() == [True, True]
    assert environment.max_episode_steps == LIMIT
    assert hash(functional_of(spec)) == hash(environment)
    off = describe("functional_stand_ins:MaskedWalk", {}, action_mask="off")
    assert not off.is_masked
    assert functional_of(off).reset(jax.random.key(1))[2] is None


def test_objects_classes_and_functions_are_taken():
    for given, shares in (
        (own.GymnasiumWalk, True),
        (own.GymnasiumWalk(), False),
        (own.FrankWalk(), False),
        (own.make_walk, True),
        (lambda: own.FrankWalk(), True),
    ):
        env_id, kwargs = named_env(given)
        spec = describe(env_id, kwargs)
        assert functional_of(spec).max_episode_steps == LIMIT
        assert spec.has_time_limit
        assert (type(env_id) is GivenCode) != (given in (own.GymnasiumWalk, own.make_walk))
        if shares:
            assert functional_of(spec) == functional_of(describe(env_id, {}))
    with pytest.raises(EnvironmentUnusableError, match="exists already: give its class"):
        describe(named_env(own.FrankWalk())[0], {"length": 3})


def test_it_draws_pictures_only_if_it_can():
    assert described("GymnasiumWalk").can_be_filmed
    env = make_environment("functional_stand_ins:GymnasiumWalk", {}, "rgb_array")
    env.reset(seed=0)
    assert env.render().shape == (8, 8, 3)
    assert not described("FrankWalk").can_be_filmed
    with pytest.raises(EnvironmentUnusableError, match="cannot be filmed: it draws no pictures"):
        make_environment("functional_stand_ins:FrankWalk", {}, "rgb_array")


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("MergingWalk", r"merges the two ends of an episode in `done`.*take gymnax 1.0 or newer"),
        ("DoneWalk", r"does not tell the two ends of an episode apart: its step must return"),
        ("GrowingWalk", r"part \[1\] is float32\[1\] after a reset and float32\[2\] after a step"),
        ("ListedWalk", r"another structure after a step"),
        ("WrongShapeWalk", r"observation of shape \(\) after a reset; its observation_space says"),
        (
            "BranchingWalk",
            r"its step needs the value .*stand_ins.py:\d+\); write it with jax.numpy",
        ),
        ("NumpyWalk", r"its step needs the value of a number before it is computed"),
        ("RandomWalk", r"is impure: its step differs when called again"),
        ("ScalingWalk", r"is impure: its step differs when called again"),
        ("CallingWalk", r"is impure: its step differs when called again"),
        ("CountingWalk", r"changes its own calls when called"),
        ("ListingWalk", r"changes its own calls when called"),
        ("ArrayWalk", r"is impure: its step differs when called again"),
        ("CompiledArrayWalk", r"is impure: its step differs when called again"),
        ("UnusedArrayWalk", r"changes its own counts when called"),
        ("NestedListWalk", r"changes its own counts when called"),
        ("RememberingWalk", r"keeps a number of an earlier call"),
        ("KeyedWalk", r"is a key of jax.random.key, which no file can hold"),
        ("UnfinishedWalk", r"does not define initial$"),
        ("NowhereWalk", r"has no observation_space$"),
        ("FractionWalk", r"numbers are float32, where the space has uint8"),
        ("FractionsOfFive", r"numbers are float32, where the space has int64"),
        ("BfloatWalk", r"has a state that is bfloat16, which no file can hold"),
        (
            "FloatingWalk",
            r"a state that is int32\[\] after a reset and float32\[\] after a step",
        ),
        ("FiveWalk", r"its step must return two things: the state, and a FunctionalStep"),
        ("TwoWalk", r"must return from its reset three things"),
        ("BrokenWalk", r"its step raised RuntimeError: no such square"),
        ("TwoPlayers", r"is a game for 2 players"),
    ],
)
def test_what_breaks_a_rule_is_refused_in_one_sentence(name, what):
    with pytest.raises(EnvironmentUnusableError, match=what) as caught:
        describe(f"functional:functional_stand_ins:{name}", {})
    assert "\n" not in str(caught.value)
    assert f"functional:functional_stand_ins:{name} " in str(caught.value)


@pytest.mark.parametrize(
    ("env_id", "what"),
    [
        ("functional:", "after functional: stands pgx/NAME"),
        ("functional:brax/ant", "after functional: stands pgx/NAME"),
        ("functional:functional_stand_ins:Walk", "has no 'Walk'"),
        ("functional:no_such_module:Walk", "there is no module 'no_such_module'"),
        ("functional:functional_stand_ins:walked", "cannot be made"),
        ("functional:builtins:dict", "is {}; a functional environment follows"),
    ],
)
def test_names_that_name_nothing_are_refused(env_id, what):
    with pytest.raises((EnvironmentUnusableError, SettingError), match=what):
        describe(env_id, {})


def test_libraries_are_asked_by_name(monkeypatch):
    """With a module in the place of each package, since none is a dependency."""
    walks = {"pgx": own.PgxWalk, "navix": own.NavixWalk, "gymnax": own.GymnaxWalk}
    modules = {
        "pgx": SimpleNamespace(make=lambda name: own.PgxWalk(), available_envs=lambda: ("walk",)),
        "navix": SimpleNamespace(
            make=lambda name, **kwargs: own.NavixWalk(), registry=lambda: {"walk": None}
        ),
        "gymnax": SimpleNamespace(
            make=lambda name, **kwargs: (own.GymnaxWalk(), None), registered_envs=["walk"]
        ),
    }
    how = {"pgx": "pgx$", "navix": "navix$", "gymnax": '--no-deps "gymnax>=1.0"$'}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
        spec = describe(f"functional:{name}/walk", {})
        assert isinstance(functional_of(spec).environment, walks[name])
        assert functional_of(spec) == functional_of(describe(f"functional:{name}/walk", {}))
        with pytest.raises(EnvironmentUnusableError, match="did you mean 'walk'"):
            describe(f"functional:{name}/wolk", {})
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(
            EnvironmentUnusableError, match=f"not installed: pip install {how[name]}"
        ):
            describe(f"functional:{name}/walk", {})


def test_the_module_of_a_functional_name_is_that_of_its_code():
    assert module_of("functional:a.b:Walk") == "a.b"
    assert module_of("functional:pgx/minatar-breakout") == ""


def test_what_works_on_the_host_makes_an_ordinary_environment():
    spec = describe("functional_stand_ins:FrankWalk", {}, wrappers=["own_envs:Doubled"])
    assert functional_of(spec) is None
    env = make_environment(spec.env_id, {}, wrappers=spec.wrappers)
    env.reset(seed=0)
    assert env.step(0)[1] == pytest.approx(-0.2)


@pytest.mark.parametrize("prefix", ["", "functional:"])
@pytest.mark.parametrize("limit", [0, -1, None, 2.5, True, "3"])
def test_a_time_limit_that_is_none_is_refused(limit, prefix):
    what = r"must be a whole number from 1 to 2,147,483,647, got .*leave it out"
    with pytest.raises(EnvironmentUnusableError, match=what):
        describe(f"{prefix}functional_stand_ins:GymnasiumWalk", {"max_episode_steps": limit})


def test_its_gymnasium_face_takes_any_seed():
    env = gymnasium.make("frankrl/CartPole-functional-v0")
    first = [env.reset(seed=seed)[0].tolist() for seed in (2**40, 2**40 + 1, 0, 1, 2**40)]
    assert first[0] == first[4]
    assert len({tuple(one) for one in first}) == 4


@pytest.mark.parametrize("is_registered", [True, False])
def test_wrappers_of_a_registration_keep_it_on_the_host(is_registered):
    """The host plays with them, and the functions would be those of another environment."""
    wrapped = TransformReward(gymnasium.make("frankrl/CartPole-functional-v0"), _hundredfold)
    env_spec = copy.deepcopy(wrapped.spec)
    env_spec.id = "frankrl-test/Hundredfold-v0"
    if is_registered:
        gymnasium.registry[env_spec.id] = env_spec
    try:
        name, kwargs = named_env(env_spec)
        spec = describe(name, kwargs)
        assert functional_of(spec) is None
        env = make_environment(name, kwargs)
    finally:
        gymnasium.registry.pop(env_spec.id, None)
    env.reset(seed=0)
    assert env.step(0)[1] == 100
    where = with_source(Settings(), spec, in_actors=False)
    assert where.environment.source != "device"
    with pytest.raises(SettingError, match="stands in wrappers: leave source out"):
        with_source(Settings().with_changes(source="device"), spec, in_actors=False)


def _hundredfold(reward):
    return 100 * reward


def test_gymnasiums_own_functional_cartpole_is_taken():
    pytest.importorskip("flax")
    from gymnasium.envs.phys2d.cartpole import CartPoleFunctional, CartPoleJaxEnv

    env_id, _ = named_env(CartPoleFunctional)
    spec = describe(env_id, {"max_episode_steps": 500})
    ours, theirs = make_environment(env_id, {"max_episode_steps": 500}), CartPoleJaxEnv()
    assert functional_of(spec).max_episode_steps == 500
    observation, _ = ours.reset(seed=1)
    theirs.reset(seed=1)
    theirs.state = observation
    for action in (0, 1, 1, 0, 1):
        found, other = ours.step(action), theirs.step(action)
        np.testing.assert_allclose(found[0], other[0], rtol=1e-6)
        assert found[1:3] == (other[1], other[2])


def test_a_short_run_of_a_class_trains_evaluates_and_goes_on(tmp_path):
    run = frankrl.train(
        own.MaskedWalk, preset="default", num_envs=2, hidden_widths=(8,), total_env_steps=60,
        learning_starts_env_steps=20, evaluate_every_env_steps=30, evaluation_episodes=2,
        final_evaluation_episodes=2, seed=1, out=tmp_path / "run", progress=False,
    )  # fmt: skip
    agent = frankrl.load(run)
    square = np.float32([0])
    assert agent.act(square, action_mask=[False, True]) == 1
    found = frankrl.evaluate(run, episodes=30, progress=False)
    assert set(found.lengths.tolist()) <= {*range(3, LIMIT + 1)}
    more = frankrl.resume(run, total_env_steps=90, progress=False)
    assert frankrl.load(more).env_steps == 90


def test_what_calls_back_is_compared_for_actions_and_states_that_there_are():
    assert described("LookingUpWalk").num_actions == 2


@pytest.mark.parametrize("limit", ["six", 2.5, 0, 2**31])
def test_a_time_limit_is_a_whole_number_of_31_bits_wherever_it_stands(limit):
    words = "must be a whole number from 1 to 2,147,483,647"
    with pytest.raises(EnvironmentUnusableError, match=f"max_episode_steps in env_kwargs {words}"):
        described("GymnasiumWalk", max_episode_steps=limit)
    walk = own.GymnasiumWalk()
    walk.max_episode_steps = limit
    with pytest.raises(EnvironmentUnusableError, match=words):
        describe(*named_env(walk))


def test_frank_s_protocol_needs_neither_a_limit_nor_a_threshold():
    spec = described("EndlessWalk")
    assert spec.reward_threshold is None
    assert not spec.has_time_limit


@pytest.mark.parametrize(
    ("given", "threshold"),
    [(np.float32(0.5), 0.5), (np.int64(3), 3.0), (jax.numpy.float32(0.25), 0.25), (None, None)],
)
def test_any_number_is_a_threshold(given, threshold):
    walk = own.GymnasiumWalk()
    walk.reward_threshold = given
    found = describe(*named_env(walk)).reward_threshold
    assert found == threshold
    assert found is None or type(found) is float


@pytest.mark.parametrize("given", [float("nan"), float("inf"), "high", [1.0, 2.0], True])
def test_what_is_no_finite_number_is_no_threshold(given):
    walk = own.GymnasiumWalk()
    walk.reward_threshold = given
    with pytest.raises(EnvironmentUnusableError, match="it must be a finite number, or None"):
        describe(*named_env(walk))


@pytest.mark.parametrize(
    ("name", "kwargs", "words"),
    [
        ("CartPole", {"sutton_barto_reward": "yes"}, "must be true or false, got 'yes'"),
        ("CartPole", {"max_episode_steps": 10**10}, "must be a whole number from 1 to"),
        ("MountainCar", {"goal_velocity": [1]}, "must be a finite number"),
        ("MountainCar", {"goal_velocity": "fast"}, "must be a finite number"),
    ],
)
def test_arguments_of_frank_s_own_are_checked(name, kwargs, words):
    with pytest.raises(EnvironmentUnusableError, match=words):
        functional_of(describe(f"frankrl/{name}-functional-v0", kwargs))


def test_the_time_limit_that_an_environment_names_holds_although_its_step_forgets_it():
    environment = functional_of(described("AttributeLimitedWalk"))
    state, _, _ = environment.reset(jax.random.key(0))
    ends = []
    for _ in range(LIMIT):
        state, shown = environment.step(state, np.int32(0), jax.random.key(0))
        ends.append((bool(shown.terminated), bool(shown.truncated)))
    assert ends == [*[(False, False)] * (LIMIT - 1), (False, True)]


def test_what_only_looks_like_gymnasium_s_is_no_functional_environment():
    with pytest.raises(EnvironmentUnusableError, match=r"which is no gymnasium\.Env"):
        describe("functional_stand_ins:LooksLikeGymnasium", {})
