"""The host's policy beside the device's: the same actions, but for ties."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

from frankrl.config import Settings
from frankrl.environments import describe
from frankrl.experience import HostPolicy, Policy, acting_noise, make_policy
from frankrl.experience.device_policy import DevicePolicy
from frankrl.learning import network_for

SPACES = {
    "numbers": spaces.Box(-1, 1, (5,), np.float32),
    "picture": spaces.Box(0, 255, (4, 3), np.uint8),
    "state": spaces.Discrete(6),
    "parts": spaces.Dict(
        {
            "picture": spaces.Box(0, 255, (4, 3), np.uint8),
            "numbers": spaces.Box(-2, 2, (3,), np.float32),
            "kind": spaces.Discrete(4),
        }
    ),
}
NUM_ACTIONS, BATCH = 4, 64


class SpaceOnly(gymnasium.Env):
    """Has spaces and a first observation; nobody steps it."""

    action_space = spaces.Discrete(NUM_ACTIONS)

    def __init__(self, space: str, render_mode=None) -> None:
        self.observation_space = SPACES[space]

    def reset(self, *, seed=None, options=None):
        return self.observation_space.sample(), {}


gymnasium.register("FrankSpaceOnly-v0", SpaceOnly)
NETWORKS = {
    "plain": ("numbers", {}),
    "pictures": ("picture", {"activation": "tanh"}),
    "parts": ("parts", {"scale_observation": True, "activation": "silu"}),
    "dueling_and_normalised": ("numbers", {"dueling": True, "layer_norm": True}),
    "noisy": ("numbers", {"noisy": True, "hidden_widths": (16, 8)}),
    "linear": ("numbers", {"hidden_widths": ()}),
    "table": ("state", {"q_function": "table"}),
    "c51": ("numbers", {"distribution": "c51", "num_atoms": 11}),
    "qr": ("parts", {"distribution": "qr", "num_quantiles": 5, "dueling": True}),
    "iqn": ("numbers", {"distribution": "iqn", "iqn_cosines": 4, "activation": "elu"}),
    "noisy_iqn": ("numbers", {"distribution": "iqn", "noisy": True}),
}


def network_of(name):
    space, changes = NETWORKS[name]
    if changes.get("q_function") != "table":
        changes = {"hidden_widths": (12,)} | changes
    spec = describe("FrankSpaceOnly-v0", {"space": space})
    return network_for(Settings().with_changes(**changes).resolved(), spec), spec


def observations(spec, seed):
    """As environments give them: rows, of which the leaves are views."""
    space = spec.observation_space
    space.seed(seed)
    samples = [space.sample() for _ in range(BATCH)]
    rows = np.zeros((BATCH, *spec.row_shape), spec.row_dtype)
    leaves = spec.observation(rows)
    jax.tree.map(
        lambda leaf, *given: np.copyto(leaf, np.stack(given), casting="unsafe"), leaves, *samples
    )
    return leaves


def params_of(network, seed):
    """Not the initial ones, of which some are all alike."""
    random = np.random.default_rng(seed)
    start = network.layout.flatten(network.init(seed))
    return jnp.asarray(start + random.normal(0, 0.3, network.layout.size).astype(np.float32))


def masks(seed):
    random = np.random.default_rng(seed)
    allowed = random.random((BATCH, NUM_ACTIONS)) < 0.5
    allowed[np.arange(BATCH), random.integers(0, NUM_ACTIONS, BATCH)] = True
    return allowed


def assert_agree(host, device):
    assert isinstance(host, np.ndarray)
    assert isinstance(device, np.ndarray)
    assert host.dtype == device.dtype == np.float32
    np.testing.assert_allclose(host, device, rtol=1e-4, atol=1e-5)
    best_two = np.sort(host, axis=1)[:, -2:]
    no_tie = best_two[:, 1] - best_two[:, 0] > 1e-4
    assert no_tie.sum() > BATCH // 2
    np.testing.assert_array_equal(host.argmax(axis=1)[no_tie], device.argmax(axis=1)[no_tie])


@pytest.mark.parametrize("name", NETWORKS)
def test_host_and_device_take_the_same_actions_but_for_ties(name):
    network, spec = network_of(name)
    policies = HostPolicy(network), DevicePolicy(network)
    for seed in range(2):
        params, observation = params_of(network, seed), observations(spec, seed)
        noise = acting_noise(network, 5, seed)
        assert (noise is None) == ("noisy" not in name)
        for policy in policies:
            policy.load(params)
        for mask in (None, masks(seed)):
            host, device = (policy.q_values(observation, mask, noise)[0] for policy in policies)
            assert_agree(host, device)
            expected = np.zeros((BATCH, NUM_ACTIONS), bool) if mask is None else ~mask
            for q_values in (host, device):
                np.testing.assert_array_equal(q_values == -np.inf, expected)


@pytest.mark.parametrize("kind", [HostPolicy, DevicePolicy])
def test_a_policy_computes_what_the_network_does(kind):
    network, spec = network_of("parts")
    policy, vector, observation = kind(network), params_of(network, 0), observations(spec, 0)
    policy.load(vector)
    expected = network.q_values(network.layout.unflatten(np.asarray(vector)), observation)
    np.testing.assert_allclose(
        policy.q_values(observation).q_values, expected, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("kind", [HostPolicy, DevicePolicy])
def test_the_parameters_that_act_are_those_that_were_loaded_last(kind):
    network, spec = network_of("plain")
    policy, observation = kind(network), observations(spec, 0)
    before = params_of(network, 0)
    policy.load(before)
    first = policy.q_values(observation).q_values.copy()
    policy.load(params_of(network, 1))
    assert not np.allclose(policy.q_values(observation).q_values, first)
    policy.load(before)
    np.testing.assert_array_equal(policy.q_values(observation).q_values, first)


def test_the_host_keeps_what_it_loaded_when_the_array_is_given_up():
    network, spec = network_of("plain")
    policy, observation, params = HostPolicy(network), observations(spec, 0), params_of(network, 0)
    policy.load(params)
    before = policy.q_values(observation).q_values.copy()
    params.delete()
    np.testing.assert_array_equal(policy.q_values(observation).q_values, before)


@pytest.mark.parametrize("kind", [HostPolicy, DevicePolicy])
def test_noise_acts_in_one_step_and_leaves_the_parameters_as_they_were(kind):
    network, spec = network_of("noisy")
    policy, observation = kind(network), observations(spec, 0)
    policy.load(params_of(network, 0))
    before = policy.q_values(observation).q_values.copy()
    under_noise = policy.q_values(observation, None, acting_noise(network, 5, 1)).q_values
    other_noise = policy.q_values(observation, None, acting_noise(network, 5, 2)).q_values
    assert not np.allclose(under_noise, before)
    assert not np.allclose(under_noise, other_noise)
    np.testing.assert_array_equal(policy.q_values(observation).q_values, before)


def test_policies_of_equal_networks_share_one_compilation():
    policies = [DevicePolicy(network_of("plain")[0]) for _ in range(2)]
    assert policies[0]._compiled is policies[1]._compiled


@pytest.mark.parametrize(
    ("acting", "kind"), [("auto", HostPolicy), ("host", HostPolicy), ("device", DevicePolicy)]
)
def test_the_setting_names_the_policy(acting, kind):
    policy = make_policy(acting, network_of("plain")[0])
    assert type(policy) is kind
    assert isinstance(policy, Policy)


def test_acting_noise_is_a_function_of_the_seed_and_the_vector_step():
    network, _ = network_of("noisy")
    noise = acting_noise(network, 3, 8)
    assert noise.shape == (network.noise_size,)
    assert noise.dtype == np.float32
    np.testing.assert_array_equal(noise, acting_noise(network, 3, 8))
    for other in (acting_noise(network, 3, 9), acting_noise(network, 4, 8)):
        assert not np.array_equal(noise, other)
    many = np.stack([acting_noise(network, 3, step) for step in range(200)])
    assert abs(many.mean()) < 0.05
    assert abs(many.std() - 1) < 0.05


@pytest.mark.parametrize("kind", [HostPolicy, DevicePolicy])
@pytest.mark.parametrize("asks", [True, False])
def test_a_policy_gives_back_the_parameters_that_were_loaded_last(kind, asks):
    network, spec = network_of("noisy_iqn")
    policy = kind(network)
    for seed in (1, 2):
        params = network.init(seed)
        policy.load(network.layout.flatten(params))
        if asks:
            policy.q_values(observations(spec, 0))
        for found, expected in zip(
            jax.tree.leaves(policy.params), jax.tree.leaves(params), strict=True
        ):
            assert isinstance(found, np.ndarray)
            np.testing.assert_array_equal(found, expected)
