"""ONNX graphs in onnxruntime, beside the agents that they were made of."""

import dataclasses
from functools import partial
from typing import get_args, get_type_hints

import numpy as np
import onnx
import pytest
from exporting.exported_agents import (
    FACTS,
    agent_of,
    asked,
    feed_of,
    graph_of,
    normalising_agent_of,
    observations_of,
    session_of,
    spec_for,
)
from gymnasium import spaces
from long_forms import some_of

from frankrl.config import NetworkSettings
from frankrl.core.errors import SettingError
from frankrl.exporting.graph import OPSET
from frankrl.exporting.inputs import inputs_of
from frankrl.exporting.onnx_file import onnx_file
from frankrl.networks import Dense

OBSERVATIONS = 10_000
VECTOR = spaces.Box(-np.inf, np.inf, (6,), np.float32)
BOUNDED = spaces.Box(np.array([-1, 0, -9, 5]), np.array([1, 7, -2, 500]), (4,), np.float64)
HEADS = {
    "mean": {},
    "c51": {"distribution": "c51", "num_atoms": 11, "value_min": -4.0, "value_max": 6.0},
    "qr": {"distribution": "qr", "num_quantiles": 7},
    "iqn": {"distribution": "iqn", "iqn_cosines": 5, "iqn_acting_fractions": 9},
}
TORSOS = {
    "flat": (VECTOR, {}),
    "one-hot": (spaces.MultiDiscrete([3, 4, 2], start=[0, -2, 5]), {}),
    "minatar": (spaces.Box(0, 1, (9, 10, 4), np.bool_), {"torso": "minatar"}),
    "nature": (spaces.Box(0, 255, (37, 36, 3), np.uint8), {"torso": "nature"}),
    "impala": (spaces.Box(0, 255, (9, 11, 3), np.uint8), {"torso": "impala"}),
}
WRAPPERS = {
    "plain": {},
    "dueling": {"dueling": True},
    "noisy": {"noisy": True},
    "normalised": {"layer_norm": True},
    "all": {"dueling": True, "noisy": True, "layer_norm": True},
}
MIXED = spaces.Dict(
    {
        "camera": spaces.Box(0, 255, (8, 9, 3), np.uint8),
        "inner": spaces.Dict(
            {
                "bits": spaces.MultiBinary(5),
                "room": spaces.Discrete(4, start=-1),
                "speed": spaces.Box(-3, 3, (2,), np.float64),
            }
        ),
        "pair": spaces.Tuple([spaces.Box(-9, 9, (2, 2), np.int32), spaces.Box(0, 1, ())]),
    }
)
MASKED = spaces.Dict({"action_mask": spaces.MultiBinary(4), "board": VECTOR})
CASES = {
    "scaled to its bounds": (spec_for(BOUNDED), {"scale_observation": True}),
    "tanh": (spec_for(VECTOR), {"activation": "tanh"}),
    "elu": (spec_for(VECTOR), {"activation": "elu"}),
    "silu": (spec_for(VECTOR), {"activation": "silu", "layer_norm": True}),
    "a stack of numbers": (spec_for(BOUNDED, stack=3), {"scale_observation": True}),
    "a lone number": (spec_for(spaces.Box(-1, 1, (), np.float32)), {}),
    "bits": (spec_for(spaces.MultiBinary((2, 3))), {}),
    "a table": (spec_for(spaces.Discrete(50, start=7), first_action=3), {"q_function": "table"}),
    "a table of two numbers": (
        spec_for(spaces.MultiDiscrete([3, 4]), mask="legal"),
        {"q_function": "table"},
    ),
    "stacked numbered values": (spec_for(spaces.Discrete(5, start=-2), stack=4), HEADS["qr"]),
    "mixed": (spec_for(MIXED, first_action=-2), {"layer_norm": True, **HEADS["c51"]}),
    "mixed and stacked": (spec_for(MIXED, stack=2, mask="legal"), HEADS["iqn"]),
    "a tuple": (spec_for(spaces.Tuple([VECTOR, spaces.Discrete(3)])), WRAPPERS["all"]),
    "a mask in the observation": (spec_for(MASKED, first_action=1), WRAPPERS["dueling"]),
    "a mask in the info": (spec_for(VECTOR, mask="action_mask"), HEADS["c51"]),
    "grey screens": (
        spec_for(spaces.Box(0, 255, (36, 38), np.uint8), stack=4),
        {"torso": "nature", **HEADS["iqn"], **WRAPPERS["dueling"]},
    ),
    "coloured screens": (
        spec_for(spaces.Box(0, 255, (3, 36, 36), np.uint8), stack=2),
        {"torso": "nature", **WRAPPERS["all"], **HEADS["c51"]},
    ),
    "scaled pictures": (
        spec_for(spaces.Box(-5, 5, (10, 10, 4), np.float32)),
        {"torso": "minatar", "scale_observation": True, "layer_norm": True},
    ),
    "normalised residual pictures": (
        spec_for(spaces.Box(0, 255, (10, 9), np.uint8), stack=2),
        {"torso": "impala", **WRAPPERS["all"], **HEADS["qr"]},
    ),
}
LARGE = ("grey screens", "coloured screens", "normalised residual pictures")
ALL_TOGETHER = {
    f"{head}, {torso}, {wrapper}": (spec_for(space), {**own, **HEADS[head], **WRAPPERS[wrapper]})
    for head in HEADS
    for torso, (space, own) in TORSOS.items()
    for wrapper in WRAPPERS
}
FIRST_LAYERS = {
    "iqn without hidden layers": (spec_for(VECTOR), {"hidden_widths": (), **HEADS["iqn"]}),
    "c51 without hidden layers": (spec_for(VECTOR), {"hidden_widths": (), **HEADS["c51"]}),
}


def check_alike(spec, changes, count: int, make=agent_of) -> None:
    agent = make(spec, **changes)
    session = session_of(graph_of(agent))
    compared = 0
    for start in range(0, count, 2_000):
        size = min(count - start, 2_000)
        observations, allowed = observations_of(spec, size, seed=start)
        q_values = asked(agent, observations, allowed)
        found, chosen = session.run(None, feed_of(spec, observations, allowed))
        assert (found.dtype, chosen.dtype, chosen.shape) == (np.float32, np.int64, (size,))
        # A mean of numbers that cancel is as exact as these are.
        largest = np.abs(q_values[np.isfinite(q_values)]).max()
        tolerance = 1e-5 * max(largest, changes.get("value_max", 0.0))
        np.testing.assert_array_equal(np.isinf(found), np.isinf(q_values))
        np.testing.assert_allclose(found, q_values, rtol=1e-5, atol=tolerance)
        second, first = np.sort(q_values, axis=1)[:, -2:].T
        clear = first - second > 2 * tolerance
        actions = q_values.argmax(axis=1) + spec.first_action
        np.testing.assert_array_equal(chosen[clear], actions[clear])
        compared += clear.sum()
    assert compared > 0.9 * count


SMALL = [name for name in CASES if name not in LARGE]
SOME = (
    "scaled to its bounds",
    "elu",
    "silu",
    "bits",
    "a table of two numbers",
    "mixed and stacked",
    "a tuple",
    "a mask in the observation",
)


@pytest.mark.parametrize("case", some_of(SMALL, SOME))
def test_a_graph_answers_as_its_agent_to_10000_observations(case):
    check_alike(*CASES[case], OBSERVATIONS)


NORMALISED = {
    "numbers": (spec_for(VECTOR), {}),
    "numbers of 64 bits": (spec_for(spaces.Box(-9, 9, (4,), np.float64)), HEADS["qr"]),
    "a lone number": (spec_for(spaces.Box(-1, 1, (), np.float32)), {}),
    "a stack": (spec_for(VECTOR, stack=3), WRAPPERS["dueling"]),
    "mixed": (spec_for(MIXED, mask="legal"), {"layer_norm": True}),
    "pictures": (spec_for(spaces.Box(-5, 5, (8, 9, 4), np.float32)), {"torso": "minatar"}),
}


@pytest.mark.parametrize("clip", [0.7, 10.0])
@pytest.mark.parametrize("case", NORMALISED)
def test_a_graph_normalises_as_its_agent(case, clip):
    make = partial(normalising_agent_of, clip=clip)
    check_alike(*NORMALISED[case], OBSERVATIONS if case == "numbers" else 1_000, make)


@pytest.mark.parametrize("case", LARGE)
def test_a_graph_of_a_large_torso_answers_as_its_agent(case):
    check_alike(*CASES[case], 500)


TRANSLATED = {**ALL_TOGETHER, **FIRST_LAYERS}
# Every second one: each head with each torso, and each kind of layer with both.
HALF = list(TRANSLATED)[::2]


@pytest.mark.parametrize("case", some_of(TRANSLATED, HALF))
def test_every_head_is_translated_with_every_torso_and_every_kind_of_layer(case):
    check_alike(*TRANSLATED[case], 100)


@pytest.mark.parametrize(
    ("setting", "compared"),
    [("distribution", list(HEADS)), ("activation", ["relu", "tanh", "elu", "silu"])],
)
def test_every_choice_of_a_setting_is_among_the_compared_networks(setting, compared):
    choices = get_args(get_type_hints(NetworkSettings)[setting])
    assert sorted(choices) == sorted(compared)


def described(values) -> dict:
    """Name, dtype and axes of the inputs or outputs of a graph in onnxruntime."""
    return {value.name: (value.type, value.shape) for value in values}


def test_inputs_and_outputs_have_the_names_and_dtypes_of_the_environment():
    session = session_of(graph_of(agent_of(spec_for(MIXED, mask="legal"))))
    assert described(session.get_inputs()) == {
        "camera": ("tensor(uint8)", ["batch", 8, 9, 3]),
        "inner.bits": ("tensor(int8)", ["batch", 5]),
        "inner.room": ("tensor(int64)", ["batch"]),
        "inner.speed": ("tensor(double)", ["batch", 2]),
        "pair.0": ("tensor(int32)", ["batch", 2, 2]),
        "pair.1": ("tensor(float)", ["batch"]),
        "action_mask": ("tensor(bool)", ["batch", 4]),
    }
    assert described(session.get_outputs()) == {
        "q_values": ("tensor(float)", ["batch", 4]),
        "action": ("tensor(int64)", ["batch"]),
    }


@pytest.mark.parametrize(
    ("space", "names"),
    [
        (VECTOR, ["observation"]),
        (spaces.Tuple([VECTOR, VECTOR]), ["observation.0", "observation.1"]),
        (MASKED, ["board"]),
        (
            spaces.Dict({"action_mask": MASKED["action_mask"], "all": spaces.Dict({"x": VECTOR})}),
            ["all.x"],
        ),
        (
            spaces.Dict({"action": VECTOR, "matmul": VECTOR, "observation.action": VECTOR}),
            ["observation.action", "matmul", "observation.observation.action"],
        ),
    ],
)
def test_every_input_has_a_name_of_its_own(space, names):
    spec = spec_for(space)
    assert [source.name for source in inputs_of(spec)] == names
    check_alike(spec, {}, 20)


def test_a_stack_is_one_input_with_the_oldest_observation_first():
    screens = spaces.Box(0, 255, (36, 36), np.uint8)
    agent = agent_of(spec_for(screens, stack=4), torso="nature")
    model = onnx.load_from_string(graph_of(agent))
    (source,) = model.graph.input
    axes = [axis.dim_param or axis.dim_value for axis in source.type.tensor_type.shape.dim]
    assert axes == ["batch", 4, 36, 36]
    assert "the newest 4 observations of the episode, the oldest first" in source.doc_string


def test_a_batch_may_hold_one_observation_or_none():
    agent = agent_of(spec_for(MIXED), **HEADS["iqn"])
    session = session_of(graph_of(agent))
    for size in (0, 1):
        observations, _ = observations_of(agent.spec, 1)
        feed = feed_of(agent.spec, observations, None)
        q_values, action = session.run(None, {name: part[:size] for name, part in feed.items()})
        assert (q_values.shape, action.shape) == ((size, 4), (size,))


def test_of_equal_q_values_the_first_action_is_chosen_as_by_the_agent():
    agent = agent_of(spec_for(spaces.Discrete(3), first_action=5, mask="legal"), q_function="table")
    params = np.array([[1, 2, 2, 1], [0, 0, 0, 0], [3, 1, 3, 3]], np.float32)
    agent.policy.load(params.ravel())
    allowed = np.array([[1, 1, 1, 1], [0, 0, 1, 1], [0, 1, 1, 1]], np.bool_)
    feed = {"observation": np.arange(3), "action_mask": allowed}
    q_values, action = session_of(graph_of(agent)).run(None, feed)
    np.testing.assert_array_equal(q_values, np.where(allowed, params, -np.inf))
    assert action.tolist() == [6, 7, 7] == agent.act(np.arange(3), allowed).tolist()


def test_a_number_that_the_space_does_not_hold_selects_no_row_of_a_table():
    agent = agent_of(spec_for(spaces.Discrete(3, start=4)), q_function="table")
    (q_values, _) = session_of(graph_of(agent)).run(None, {"observation": np.array([3, 7, -1])})
    np.testing.assert_array_equal(q_values, np.zeros((3, 4)))


def test_a_file_is_of_a_widely_read_version_and_says_where_it_comes_from():
    agent = agent_of(spec_for(VECTOR))
    facts = {"frank_version": "1.2", "env_id": "Spaces-v0", "gamma": 0.99, "resize": None}
    content = onnx_file(agent.policy.network, agent.policy.params, None, agent.spec, facts)
    model = onnx.load_from_string(content)
    assert [(part.domain, part.version) for part in model.opset_import] == [("", OPSET)]
    assert {part.key: part.value for part in model.metadata_props} == {
        "frank_version": "1.2",
        "env_id": "Spaces-v0",
        "gamma": "0.99",
        "resize": "null",
    }
    assert (model.producer_name, model.producer_version) == ("frankrl", "1.2")
    names = {constant.name for constant in model.graph.initializer}
    assert names >= {"hidden.0.weight", "hidden.1.bias", "output.weight"}
    again = onnx_file(agent.policy.network, agent.policy.params, None, agent.spec, facts)
    assert again == content


def with_hidden(network, *hidden):
    """The network with other hidden layers."""
    return dataclasses.replace(network, readout=dataclasses.replace(network.readout, hidden=hidden))


def test_a_part_that_is_not_franks_own_is_refused_by_its_name():
    class OwnLayer:
        num_outputs = 7

        def init(self, initializer, num_inputs):
            return Dense(7).init(initializer, num_inputs)

    agent = agent_of(spec_for(VECTOR))
    network, params = agent.policy.network, agent.policy.params
    changed = with_hidden(network, network.readout.hidden[0], OwnLayer())
    with pytest.raises(
        SettingError, match=r"contains .*OwnLayer, .* safetensors='FILE' writes its"
    ):
        onnx_file(changed, params, None, agent.spec, FACTS)


def test_more_parameters_than_a_file_can_hold_are_refused():
    agent = agent_of(spec_for(VECTOR))
    wide = with_hidden(agent.policy.network, Dense(30_000), Dense(30_000))
    with pytest.raises(SettingError, match=r"900,360,004 parameters, .*: use safetensors='FILE'"):
        onnx_file(wide, (), None, agent.spec, FACTS)
