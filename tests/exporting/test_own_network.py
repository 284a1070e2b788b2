"""Networks and torsos of one's own as ONNX graphs, beside what JAX computes."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest
from exporting.exported_agents import FACTS, spec_for
from gymnasium import spaces

from frankrl.config import Settings
from frankrl.core.errors import MissingExtraError
from frankrl.core.normalisation import LeafScale, Scales
from frankrl.exporting.inputs import inputs_of
from frankrl.exporting.onnx_file import onnx_file
from frankrl.learning import network_for

COUNT = 10_000
VECTOR = spaces.Box(-2, 3, (5,), np.float32)
PARTS = spaces.Dict(
    {
        "picture": spaces.Box(0, 255, (4, 3, 2), np.uint8),
        "place": spaces.Discrete(5, start=2),
        "speed": spaces.Box(-1, 1, (3,), np.float64),
    }
)
CLIP = 1.5


def flat(observation):
    leaves = [jnp.asarray(leaf, jnp.float32) for leaf in jax.tree.leaves(observation)]
    return jnp.concatenate([leaf.reshape(leaf.shape[0], -1) for leaf in leaves], axis=1)


class Own:
    """A network, or a torso, of one layer over everything that it is given."""

    def init(self, key, spec):
        observation = jax.tree.map(lambda leaf: jnp.zeros((1, *leaf.shape)), spec.observation)
        shape = (flat(observation).shape[1], self.size(spec))
        return {"weight": jax.random.normal(key, shape) / 30, "shift": jnp.ones(shape[1])}

    def apply(self, params, observation):
        outputs = jax.nn.silu(flat(observation) @ params["weight"] + params["shift"])
        return self.shaped(outputs)


class OwnNetwork(Own):
    def size(self, spec):
        return spec.num_actions

    def shaped(self, outputs):
        return outputs


class OwnTorso(Own):
    def size(self, spec):
        return 11

    def shaped(self, outputs):
        return jnp.tanh(outputs)


@pytest.mark.parametrize(
    ("space", "changes", "scaled"),
    [
        pytest.param(VECTOR, {"network": OwnNetwork()}, False, marks=pytest.mark.slow),
        (VECTOR, {"network": OwnNetwork()}, True),
        pytest.param(PARTS, {"network": OwnNetwork()}, False, marks=pytest.mark.slow),
        (PARTS, {"torso": OwnTorso(), "dueling": True, "distribution": "c51"}, False),
    ],
)
def test_a_graph_of_ones_own_code_computes_what_jax_computes(space, changes, scaled):
    pytest.importorskip("jax2onnx", reason="jax2onnx is not installed")
    spec = spec_for(space, first_action=3)
    network = network_for(Settings().with_changes(**changes), spec)
    params = network.init(5)
    scale = LeafScale(np.full(5, 0.5, np.float32), np.full(5, 2.0, np.float32))
    scales = Scales((scale,), np.float32(CLIP), None, np.float32(1)) if scaled else None
    content = onnx_file(network, params, scales, spec, FACTS)

    random = np.random.default_rng(2)
    given = {}
    for part in inputs_of(spec):
        low, high = (2, 7) if part.first_values else (0, 256) if part.dtype == np.uint8 else (-1, 1)
        drawn = random.uniform(low, high, (COUNT, *part.shape))
        given[part.name] = np.floor(drawn) if part.dtype.kind != "f" else drawn
        given[part.name] = given[part.name].astype(part.dtype)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    q_values, action = session.run(["q_values", "action"], given)

    seen = given["observation"] if space is VECTOR else given | {"place": given["place"] - 2}
    if scaled:
        seen = np.clip((seen - 0.5) * 2, -CLIP, CLIP)
    expected = np.asarray(network.q_values(params, jax.tree.map(jnp.asarray, seen)))
    np.testing.assert_allclose(q_values, expected, atol=2e-5 * np.abs(expected).max())
    best = np.sort(expected, axis=1)
    clear = best[:, -1] - best[:, -2] > 1e-3
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(action[clear], expected.argmax(axis=1)[clear] + 3)


def test_a_torso_of_ones_own_before_a_memory_is_translated():
    pytest.importorskip("jax2onnx", reason="jax2onnx is not installed")
    spec = spec_for(VECTOR)
    changes = {"torso": OwnTorso(), "memory": "gru", "memory_units": 9}
    network = network_for(Settings().with_changes(**changes), spec)
    params = network.init(5)
    content = onnx_file(network, params, None, spec, FACTS)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    state = memory = np.zeros((3, 9), np.float32)
    for step in range(4):
        observation = np.random.default_rng(step).normal(size=(3, 5)).astype(np.float32)
        q_values, _, state = session.run(None, {"observation": observation, "state": state})
        expected, memory = network.q_step(params, jnp.asarray(observation), None, memory)
        np.testing.assert_allclose(q_values, expected, atol=1e-5)
        np.testing.assert_allclose(state, memory, atol=1e-5)


def test_without_jax2onnx_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    spec = spec_for(VECTOR)
    network = network_for(Settings().with_changes(network=OwnNetwork()), spec)
    words = r"onnx for a network of your own needs .*'jax2onnx'.*frankrl\[onnx-own\]"
    with pytest.raises(MissingExtraError, match=words):
        onnx_file(network, network.init(0), None, spec, FACTS)
