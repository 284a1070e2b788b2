"""The GRU against Flax's and PyTorch's, and the ways to compute it against each other."""

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_networks import ACTIONS, INPUTS, KINDS, in_jax, network_of, numbers, settings_of

from frankrl.config import Settings
from frankrl.environments import describe_for
from frankrl.environments.leaves import Leaf
from frankrl.learning import network_for
from frankrl.networks import GRU, SymmetricNetwork
from frankrl.networks.initializer import SeededInitializer

UNITS, BATCH, TIME = 6, 4, 9
RANDOM = np.random.default_rng(0)
INPUT_ROWS = (2 * RANDOM.normal(size=(TIME, BATCH, INPUTS))).astype(np.float32)
MEMORY = {"memory": "gru", "memory_units": UNITS}
PLACES = ("r", "z", "n")


@pytest.fixture
def params():
    return GRU(UNITS).init(SeededInitializer(3), INPUTS)


def memories(params):
    """What is remembered after each of several observations, from zeros on."""
    gru, found = GRU(UNITS), []
    memory = gru.initial(BATCH)
    for inputs in INPUT_ROWS:
        memory = gru.step(params, inputs, memory)
        found.append(memory)
    return np.stack(found)


def gates(columns):
    """The columns of each gate by its name."""
    return dict(zip(PLACES, np.split(np.asarray(columns), 3, axis=-1), strict=True))


def test_a_step_is_that_of_flax(params):
    weights, recurrent, bias = map(
        gates, (params.input_weight, params.recurrent_weight, params.bias)
    )
    theirs = {f"i{gate}": {"kernel": weights[gate], "bias": bias[gate]} for gate in PLACES}
    theirs |= {f"h{gate}": {"kernel": recurrent[gate]} for gate in PLACES}
    theirs["hn"]["bias"] = params.recurrent_bias
    cell, memory = flax.linen.GRUCell(UNITS), np.zeros((BATCH, UNITS), np.float32)
    for inputs, found in zip(INPUT_ROWS, memories(params), strict=True):
        memory, _ = cell.apply({"params": theirs}, memory, inputs)
        np.testing.assert_allclose(found, memory, rtol=1e-5, atol=1e-6)


def test_a_step_is_that_of_pytorch(params):
    torch = pytest.importorskip("torch")
    cell, memory = torch.nn.GRUCell(INPUTS, UNITS), torch.zeros(BATCH, UNITS)
    with torch.no_grad():
        cell.weight_ih[:] = torch.from_numpy(params.input_weight.T.copy())
        cell.weight_hh[:] = torch.from_numpy(params.recurrent_weight.T.copy())
        cell.bias_ih[:] = torch.from_numpy(params.bias)
        cell.bias_hh[:] = 0
        cell.bias_hh[2 * UNITS :] = torch.from_numpy(params.recurrent_bias)
        for inputs, found in zip(INPUT_ROWS, memories(params), strict=True):
            memory = cell(torch.from_numpy(inputs), memory)
            np.testing.assert_allclose(found, memory.numpy(), rtol=1e-5, atol=1e-6)


def test_weights_begin_as_in_pytorch(params):
    bound = 1 / np.sqrt(UNITS)
    for leaf in params:
        assert leaf.dtype == np.float32
        assert np.abs(leaf).max() <= bound
    every = np.concatenate([leaf.ravel() for leaf in params])
    assert abs(every.std() - bound / np.sqrt(3)) < 0.1 * bound


def test_large_inputs_saturate_the_gates_and_overflow_nowhere(params):
    inputs = np.float32([[1e30, -1e30, 1e30]])
    after = GRU(UNITS).step(params, inputs, np.full((1, UNITS), 0.5, np.float32))
    assert np.isfinite(after).all()
    assert (np.abs(after) <= 1).all()


def recurrent_network(kind="mean", leaves=(), **changes):
    network = network_of(settings_of(kind, **MEMORY, **changes), *leaves)
    return network, network.init(1)


def sequences(network, params, observation, is_shown, memory):
    """`remembered` as a plain loop over the steps of each sequence by itself."""
    found = np.zeros((*is_shown.shape, network.memory_units), np.float32)
    for row in range(len(is_shown)):
        now = memory[row : row + 1]
        for time in range(is_shown.shape[1]):
            if is_shown[row, time]:
                one = jax.tree.map(lambda leaf: leaf[row, time][None], observation)  # noqa: B023
                _, now = network.step(params, one, now)
            found[row, time] = now
    return found


PARTS = (
    Leaf("picture", (10, 10, 2), np.dtype(np.uint8), low=(0.0,), high=(255.0,)),
    Leaf("number", (), np.dtype(np.int32), num_values=(5,), first_values=(0,)),
)


@pytest.mark.parametrize("kind", ["numbers", "parts"])
def test_sequences_at_once_are_the_steps_one_by_one(kind):
    network, params = recurrent_network(leaves=() if kind == "numbers" else PARTS)
    random = np.random.default_rng(5)
    observation = random.normal(size=(BATCH, TIME, INPUTS)).astype(np.float32)
    if kind == "parts":
        observation = {
            "picture": random.integers(0, 256, (BATCH, TIME, 10, 10, 2), np.uint8),
            "place": random.integers(0, 5, (BATCH, TIME), np.int32),
        }
    is_shown = random.random((BATCH, TIME)) < 0.7
    memory = random.uniform(-1, 1, (BATCH, UNITS)).astype(np.float32)
    found = jax.jit(network.remembered)(params, observation, is_shown, memory)
    expected = sequences(network, params, observation, is_shown, memory)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert not is_shown.all()


def test_the_gradient_through_sequences_is_that_of_the_unrolled_steps():
    network, params = recurrent_network()
    observation = np.swapaxes(INPUT_ROWS, 0, 1)
    every = np.ones((BATCH, TIME), bool)

    def at_once(params):
        return jnp.sum(
            network.remembered(params, observation, every, np.zeros((BATCH, UNITS))) ** 2
        )

    def unrolled(params):
        memory, total = jnp.zeros((BATCH, UNITS)), 0.0
        for inputs in INPUT_ROWS:
            _, memory = network.step(params, jnp.asarray(inputs), memory)
            total += jnp.sum(memory**2)
        return total

    found, expected = (jax.jit(jax.grad(of))(in_jax(params)) for of in (at_once, unrolled))
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("changes", [{}, {"dueling": True, "layer_norm": True}])
def test_numpy_and_jax_take_the_same_step_with_every_head(kind, changes):
    network, params = recurrent_network(kind, **changes)
    observation, memory = INPUT_ROWS[0], memories(params.memory)[0]
    outputs, after = network.step(params, observation, memory)
    compiled, compiled_after = jax.jit(network.step)(params, observation, memory)
    np.testing.assert_allclose(compiled, outputs, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(compiled_after, after, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(outputs, network.readout.apply(params, after))
    mask = np.arange(BATCH)[:, None] % 2 != np.arange(ACTIONS) % 2
    q_values, also = network.q_step(params, observation, mask, memory)
    np.testing.assert_array_equal(q_values, np.where(mask, network.head.q_values(outputs), -np.inf))
    np.testing.assert_array_equal(also, after)
    assert q_values.dtype == after.dtype == np.float32


def test_the_hidden_layers_get_what_is_remembered_and_nothing_else():
    """The same network without a memory, of as many inputs as the memory has units."""
    network, params = recurrent_network()
    plain = network_of(settings_of(), numbers(UNITS))
    shared = plain.init(0)._replace(hidden=params.hidden, output=params.output)
    outputs, after = network.step(params, INPUT_ROWS[0], network.initial_memory(BATCH))
    np.testing.assert_array_equal(outputs, plain.apply(shared, after))


def test_a_memory_adds_its_own_weights():
    network, _ = recurrent_network()
    gru = 3 * UNITS * (INPUTS + UNITS) + 3 * UNITS + UNITS
    layers = (UNITS * 5 + 5) + (5 * 6 + 6) + (6 * ACTIONS + ACTIONS)
    assert network.layout.size == network.num_products == gru + layers
    assert network.memory_units == UNITS
    np.testing.assert_array_equal(network.initial_memory(2), np.zeros((2, UNITS), np.float32))
    assert network == network_of(settings_of(**MEMORY))
    assert network != network_of(settings_of(**{**MEMORY, "memory_units": UNITS + 1}))


def test_a_network_without_a_memory_says_so():
    plain = network_of(settings_of())
    params = plain.init(0)
    assert plain.memory_units == 0
    assert plain.initial_memory(3) is None
    outputs, memory = plain.step(params, INPUT_ROWS[0], None)
    np.testing.assert_array_equal(outputs, plain.apply(params, INPUT_ROWS[0]))
    assert memory is None


def test_symmetry_auto_leaves_a_network_with_a_memory_as_it_is():
    spec = describe_for("CartPole-v1", Settings())
    settings = settings_of(symmetry="auto")
    assert isinstance(network_for(settings, spec), SymmetricNetwork)
    assert network_for(settings.with_changes(**MEMORY), spec).memory_units == UNITS
