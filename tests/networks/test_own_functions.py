"""Networks and torsos of the user's own: what they get, what they may give, what is said if not."""

import pickle
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces
from long_forms import some_of
from small_networks import ACTIONS, INPUTS, numbers, random_batch

from frankrl.config import Settings
from frankrl.core.errors import SettingError
from frankrl.core.named_code import name_of
from frankrl.environments.leaves import Leaf, leaves_of, structure_of
from frankrl.experience import HostPolicy, make_policy
from frankrl.experience.device_policy import DevicePolicy
from frankrl.learning import init_learner, make_head, update
from frankrl.networks import NetworkSpec, OwnNetwork, make_q_network, own_network, own_torso
from frankrl.networks.products import products

EXAMPLES = Path(__file__).parents[2] / "examples" / "networks"
SPEC = NetworkSpec(ACTIONS, None, (numbers(INPUTS),))
HEAD = make_head(Settings())


@dataclass(frozen=True)
class Linear:
    """Frank's network without hidden layers, as one of the user's own."""

    atoms: int | None = None

    def init(self, key, spec):
        outputs = spec.num_actions * (self.atoms or 1)
        weight = jax.random.normal(key, (INPUTS, outputs))
        return {"weight": weight, "bias": jnp.zeros(outputs)}

    def apply(self, params, observation):
        outputs = observation @ params["weight"] + params["bias"]
        return outputs.reshape(-1, ACTIONS, self.atoms) if self.atoms else outputs


class Pair(NamedTuple):
    init: object
    apply: object


class Changing:
    """Its scale can be changed, so it compares by nothing."""

    scale = 1.0

    def init(self, key, spec):
        return Linear().init(key, spec)

    def apply(self, params, observation):
        return self.scale * Linear().apply(params, observation)


def make(spec):
    return Linear(spec.num_atoms)


def network(code, spec=SPEC, head=HEAD):
    return own_network(name_of(code), spec, head)


def with_apply(apply):
    return Pair(Linear().init, apply)


def with_init(init):
    return Pair(init, Linear().apply)


@pytest.mark.parametrize("code", [make, Linear(), Linear, lambda spec: Linear()])
def test_an_object_or_what_makes_one_computes_what_franks_own_layer_computes(code):
    if code is Linear:
        code = type("Made", (), {"__call__": lambda self, spec: Linear()})()
    own = network(code)
    franks = make_q_network(
        Settings().with_changes(hidden_widths=[]).network, SPEC.leaves, ACTIONS, HEAD
    )
    params = own.init(0)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), params) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), own.shapes
    )
    theirs = franks.init(0)
    theirs = theirs._replace(output=theirs.output._replace(**params))
    states = random_batch(0).observation
    np.testing.assert_allclose(own.apply(params, states), franks.apply(theirs, states), rtol=1e-6)
    assert own.num_products == INPUTS * ACTIONS
    assert not own.reads_pictures
    assert own.repeats


@pytest.mark.parametrize(
    ("kind", "atoms"), some_of([("mean", None), ("c51", 11), ("qr", 7)], [("c51", 11)])
)
def test_an_update_is_that_of_franks_own_layer(kind, atoms):
    chosen = {"distribution": kind, "hidden_widths": []}
    chosen |= {"c51": {"num_atoms": 11}, "qr": {"num_quantiles": 7}}.get(kind, {})
    settings = Settings().with_changes(**chosen)
    head, batch = make_head(settings), jax.tree.map(jnp.asarray, random_batch(1))
    spec = replace(SPEC, num_atoms=atoms)
    own = network(make, spec, head)
    franks = make_q_network(settings.network, SPEC.leaves, ACTIONS, head)
    params = own.init(3)
    theirs = franks.init(0)
    theirs = theirs._replace(output=theirs.output._replace(**params))
    found, expected = (
        update(settings.learning, each, init_learner(settings.learning, each, weights), batch, 0.1)
        for each, weights in ((own, params), (franks, theirs))
    )
    after = own.layout.unflatten(found[0].params)
    wanted = franks.layout.unflatten(expected[0].params).output
    np.testing.assert_allclose(after["weight"], wanted.weight, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(after["bias"], wanted.bias, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[1].td_errors, expected[1].td_errors, rtol=1e-5, atol=1e-6)


def test_the_seed_decides_the_initial_parameters():
    own = network(make)
    for one, other in zip(jax.tree.leaves(own.init(5)), jax.tree.leaves(own.init(5)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(own.init(5)["weight"], own.init(6)["weight"])


def test_observations_come_in_their_own_structure_and_types():
    space = spaces.Dict(
        {
            "picture": spaces.Box(0, 255, (2, 3), np.uint8),
            "cards": spaces.Tuple((spaces.Discrete(4), spaces.MultiBinary(2))),
        }
    )
    leaves = leaves_of(space, "")
    spec = NetworkSpec(ACTIONS, None, leaves, 3, structure_of(space))
    found = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype.name), spec.batch(5))
    assert found == {
        "picture": ((5, 3, 2, 3), "uint8"),
        "cards": (((5, 3), "int32"), ((5, 3, 2), "uint8")),
    }
    assert spec.observation["picture"].shape == (3, 2, 3)
    assert leaves[0].num_values == (4,)
    assert hash(spec) == hash(NetworkSpec(ACTIONS, None, leaves_of(space, ""), 3, 0))

    def apply(params, observation):
        pixels = observation["picture"].astype(jnp.float32).reshape(-1, 18)
        return pixels[:, :INPUTS] @ params["weight"] + params["bias"]

    network(with_apply(apply), spec)


def test_definitions_compare_by_value_if_they_cannot_change_and_else_by_nothing():
    assert network(Linear()) == network(Linear()) == network(make)
    assert hash(network(Linear())) == hash(network(make))
    one, other = (with_apply(lambda params, x: Linear().apply(params, x)) for _ in range(2))
    assert network(one) == network(Pair(*one))
    assert network(one) != network(other)
    changing = Changing()
    assert network(changing) != network(changing)
    assert network(Linear()) != own_torso(name_of(Linear()), SPEC)
    assert network(Linear()) != network(
        Linear(), replace(SPEC, leaves=(Leaf("x", (INPUTS,), np.dtype(np.float32)),))
    )


def test_a_change_of_an_object_takes_effect():
    changing, states = Changing(), random_batch(0).observation
    first = network(changing)
    policy = make_policy("auto", first)
    vector = first.layout.flatten(first.init(0))
    policy.load(vector)
    before = policy.q_values(states).q_values
    changing.scale = 2.0
    again = make_policy("auto", network(changing))
    again.load(vector)
    np.testing.assert_allclose(again.q_values(states).q_values, 2 * before, rtol=1e-6)


def test_it_acts_on_the_device_and_a_copy_in_another_process_is_made_by_its_name(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    own = own_network("plain_jax:make", SPEC, HEAD)
    policy = make_policy("auto", own)
    assert isinstance(policy, DevicePolicy)
    assert not isinstance(policy, HostPolicy)
    policy.load(own.layout.flatten(own.init(0)))
    states = random_batch(0).observation
    sent = pickle.dumps(policy)
    assert b"plain_jax" in sent
    copied = pickle.loads(sent)  # noqa: S301
    np.testing.assert_array_equal(
        copied.q_values(states).q_values, policy.q_values(states).q_values
    )


@pytest.mark.parametrize("name", ["plain_jax", "equinox_network", "flax_network"])
def test_the_examples_give_float32_arrays_and_the_right_outputs(name, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    own = own_network(f"{name}:make", SPEC, HEAD)
    assert isinstance(own, OwnNetwork)
    assert own.layout.size == INPUTS * 64 + 64 + 64 * 64 + 64 + 64 * ACTIONS + ACTIONS
    assert own.num_products == INPUTS * 64 + 64 * 64 + 64 * ACTIONS
    assert own.repeats
    assert own == own_network(f"{name}:make", SPEC, HEAD)
    assert own.apply(own.init(0), jnp.ones((2, INPUTS))).shape == (2, ACTIONS)
    sys.modules.pop(name)


def raising(*arguments):
    raise RuntimeError("the wires are crossed\nand more")


def deciding(params, observation):
    if observation.sum() > 0:
        return Linear().apply(params, observation)
    return jnp.zeros((len(observation), ACTIONS))


class Leaking:
    kept = None

    def init(self, key, spec):
        return Linear().init(key, spec)

    def apply(self, params, observation):
        found = Linear().apply(params, observation)
        if self.kept is not None:
            found = found + self.kept.sum()
        self.kept = found
        return found


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            raising,
            r"make\(spec\) raised RuntimeError \(test_own_functions.py, line \d+\): the wire",
        ),
        (lambda spec: 3, "must be an object with the functions init.*; it gave 3"),
        (lambda spec: Linear, "it gave <class"),
        (with_init(raising), r"init raised RuntimeError \(test_own_functions.py, line \d+\)"),
        (with_apply(raising), "apply raised RuntimeError.*: the wires are crossed"),
        (with_apply(deciding), r"apply cannot be compiled \(test_own.*TracerBool.*use jnp.where"),
        (with_apply(lambda params, x: np.dot(x, 1) and x), "cannot be compiled"),
        (with_init(lambda key, spec: {}), "init gives no arrays"),
        (
            with_init(lambda key, spec: {"a.b": jnp.zeros(2), "a": {"b": jnp.zeros(2)}}),
            "init gives two arrays at the place 'a.b'",
        ),
        (with_init(lambda key, spec: {"f": jnp.tanh}), r"init gives at \"\['f'\]\" .*is no array"),
        (
            with_init(lambda key, spec: {"count": jnp.zeros(3, jnp.int32)}),
            r"at \"\['count'\]\" int32\[3\]: parameters are float32",
        ),
        (with_init(lambda key, spec: np.zeros(3)), r"as its parameters float64\[3\]"),
        (
            with_apply(lambda params, x: Linear().apply(params, x)[:, :2]),
            r"apply must give one array float32\[1, 4\] for 1 observations of float32\[3\], and "
            r"gives float32\[1, 2\]",
        ),
        (
            with_apply(lambda params, x: jnp.squeeze(Linear().apply(params, x))),
            r"and gives float32\[4\]",
        ),
        (
            with_apply(lambda params, x: Linear().apply(params, x).astype(jnp.bfloat16)),
            r"and gives bfloat16\[1, 4\]",
        ),
        (with_apply(lambda params, x: (x, x)), "and gives tuple, which is no array"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(code, words):
    with pytest.raises(SettingError, match=words):
        network(code)


def test_an_array_that_is_kept_from_an_earlier_call_is_told_of():
    with pytest.raises(SettingError, match=r"apply uses an array of an earlier call.*keep nothing"):
        _ = network(Leaking()).repeats


def test_an_object_that_is_neither_is_refused():
    with pytest.raises(SettingError, match="network object must be an object with the functions"):
        network(object())


def test_initial_parameters_that_are_not_finite_are_refused():
    bad = with_init(lambda key, spec: Linear().init(key, spec) | {"bias": jnp.full(4, jnp.nan)})
    with pytest.raises(
        SettingError, match=r"init gives at \"\['bias'\]\" numbers that are not fin"
    ):
        network(bad).init(0)


def test_a_network_that_computes_something_else_each_time_is_found():
    random = np.random.default_rng(0)
    noisy = with_apply(lambda params, x: Linear().apply(params, x) + random.normal())
    assert not network(noisy).repeats
    table = with_apply(
        lambda params, x: Linear().apply(params, x) + random.normal(size=4).astype(np.float32)
    )
    assert not network(table).repeats


def test_products_are_counted_in_convolutions_loops_and_calls():
    def convolved(kernel, pictures):
        return jax.lax.conv_general_dilated(
            pictures, kernel, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    shapes = (jnp.zeros((3, 3, 2, 5)), jnp.zeros((1, 9, 9, 2)))
    assert products(jax.make_jaxpr(convolved)(*shapes).jaxpr) == 4 * 4 * 5 * 3 * 3 * 2

    @jax.jit
    def repeated(weight, x):
        return jax.lax.scan(lambda x, _: (x @ weight, None), x, length=7)[0]

    traced = jax.make_jaxpr(repeated)(jnp.zeros((4, 4)), jnp.zeros((2, 4)))
    assert products(traced.jaxpr) == 7 * 2 * 4 * 4


def test_a_torso_gives_features_to_franks_layers():
    @dataclass(frozen=True)
    class Mixed:
        def init(self, key, spec):
            return [jax.random.normal(key, (INPUTS, 6))]

        def apply(self, params, observation):
            return jnp.tanh(observation @ params[0])

    torso = own_torso(name_of(Mixed()), SPEC)
    assert torso.num_features == 6
    settings = Settings().with_changes(hidden_widths=[5], dueling=True, layer_norm=True)
    whole = make_q_network(settings.network, SPEC.leaves, ACTIONS, HEAD, own_torso=torso)
    alone = make_q_network(settings.network, (numbers(6),), ACTIONS, HEAD)
    params, states = whole.init(0), random_batch(0).observation
    features = np.tanh(states @ params.torsos[0][0])
    expected = alone.apply(params._replace(torsos=((),)), features)
    np.testing.assert_allclose(whole.apply(params, states), expected, rtol=1e-4, atol=1e-5)
    assert isinstance(make_policy("auto", whole), DevicePolicy)
    assert len(whole.relu_outputs(params, states)) == 1
    assert network(Linear()).relu_outputs({}, states) == []
    assert whole.num_products == INPUTS * 6 + alone.num_products


def test_a_torso_of_another_shape_is_refused():
    flat = Pair(lambda key, spec: {"w": jnp.ones(3)}, lambda params, x: (x * params["w"]).sum(-1))
    with pytest.raises(
        SettingError, match=r"torso .*one array float32\[1, feature\].*float32\[1\]"
    ):
        own_torso(name_of(flat), SPEC)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network": make, "hidden_widths": [8]}, "set network to none"),
        ({"network": make, "torso": "nature"}, "set network to none"),
        ({"network": make, "noisy": True}, "set network to none"),
        ({"network": make, "distribution": "iqn"}, "gets no fractions"),
        ({"network": make, "acting": "host"}, "a network of your own computes with JAX"),
        ({"torso": make, "acting": "host"}, "a torso of your own computes with JAX"),
        ({"torso": make, "scale_observation": True}, "scale_observation .* changes nothing"),
        ({"torso": "natur"}, "must be one of auto, .*mean 'nature'"),
        ({"q_function": "table", "network": make}, "set q_function to network"),
    ],
)
def test_settings_that_do_not_go_with_code_of_ones_own_are_refused(changes, words):
    with pytest.raises(SettingError, match=words):
        Settings().with_changes(**changes)
