"""ONNX graphs of agents with a memory in onnxruntime, beside the agents, over whole episodes."""

from functools import partial

import gymnasium
import numpy as np
import onnx
import pytest
from exporting.exported_agents import (
    agent_of,
    feed_of,
    graph_of,
    normalising_agent_of,
    observations_of,
    session_of,
    spec_for,
)
from gymnasium import spaces

from frankrl.agent import Agent, Trained
from frankrl.config import Clock
from frankrl.environments import describe
from frankrl.experience import NormalisedQValues
from frankrl.exporting.inputs import inputs_of

UNITS, EPISODES, STEPS = 11, 7, 25
GRU = {"memory": "gru", "memory_units": UNITS}
VECTOR = spaces.Box(-np.inf, np.inf, (6,), np.float32)
MIXED = spaces.Dict(
    {
        "camera": spaces.Box(0, 255, (8, 9, 3), np.uint8),
        "room": spaces.Discrete(4, start=-1),
        "speed": spaces.Box(-3, 3, (2,), np.float64),
    }
)
C51 = {"distribution": "c51", "num_atoms": 11, "value_min": -4.0, "value_max": 6.0}
CASES = {
    "a vector": (spec_for(VECTOR), {}),
    "everything in the layers": (
        spec_for(VECTOR),
        {"dueling": True, "noisy": True, "layer_norm": True},
    ),
    "c51": (spec_for(VECTOR), C51),
    "quantiles": (spec_for(VECTOR), {"distribution": "qr", "num_quantiles": 7}),
    "iqn": (spec_for(VECTOR), {"distribution": "iqn", "iqn_cosines": 5}),
    "iqn without hidden layers": (
        spec_for(VECTOR),
        {"distribution": "iqn", "iqn_cosines": 5, "hidden_widths": ()},
    ),
    "pictures": (spec_for(spaces.Box(0, 1, (9, 10, 4), np.bool_)), {"torso": "minatar"}),
    "parts and a mask": (spec_for(MIXED, mask="legal", first_action=-2), {}),
    "a stack": (spec_for(spaces.Box(-2, 2, (3,), np.float64), stack=3), {}),
}


def remembering(spec, make=agent_of, **changes) -> Agent:
    """An agent with a memory and random parameters."""
    agent = make(spec, **{**GRU, **changes})
    agent.batch_q_values = NormalisedQValues(agent.policy, agent.scales)
    agent.trained = Trained(agent.policy, 0, agent.scales, Clock.ENV_STEPS)
    return agent


def check_episodes(agent: Agent) -> None:
    """Several episodes at the same time, each side with its own state."""
    spec, session = agent.spec, session_of(graph_of(agent))
    state, memory, agreed = np.zeros((EPISODES, UNITS), np.float32), None, 0
    for step in range(STEPS):
        observations, allowed = observations_of(spec, EPISODES, seed=step)
        feed = feed_of(spec, observations, allowed) | {"state": state}
        q_values, action, state = session.run(["q_values", "action", "new_state"], feed)
        expected = agent.q_values(observations, allowed, memory)
        best, memory = agent.predict(observations, memory, action_mask=allowed)
        tolerance = 1e-5 * np.abs(expected[np.isfinite(expected)]).max()
        np.testing.assert_allclose(q_values, expected, rtol=1e-5, atol=tolerance)
        np.testing.assert_allclose(state, memory, atol=2e-6)
        second, first = np.sort(expected, axis=1)[:, -2:].T
        clear = first - second > 2 * tolerance
        np.testing.assert_array_equal(action[clear], best[clear])
        agreed += clear.sum()
    assert agreed > 0.9 * EPISODES * STEPS
    assert np.abs(memory).max() > 0.1


@pytest.mark.parametrize("case", CASES)
def test_a_graph_answers_as_its_agent_all_through_several_episodes(case):
    spec, changes = CASES[case]
    check_episodes(remembering(spec, **changes))


def test_a_graph_normalises_what_it_remembers_as_its_agent():
    check_episodes(remembering(spec_for(VECTOR), partial(normalising_agent_of, clip=0.7)))


def test_a_graph_plays_episodes_of_an_environment_as_its_agent():
    spec = describe("CartPole-v1", {})
    agent = remembering(spec, hidden_widths=(9,))
    session, env = session_of(graph_of(agent)), gymnasium.make("CartPole-v1")
    lengths = []
    for seed in range(5):
        observation, _ = env.reset(seed=seed)
        state, memory = np.zeros((1, UNITS), np.float32), None
        ended, length = False, 0
        while not ended:
            q_values, action, state = session.run(
                None, {"observation": observation[None], "state": state}
            )
            best, memory = agent.predict(observation, memory)
            expected = agent.q_values(observation)
            if length:
                # Without what it remembers it would say something else.
                assert np.abs(q_values[0] - expected).max() > 1e-4
            assert action[0] == best
            observation, _, terminated, truncated, _ = env.step(int(action[0]))
            ended, length = terminated or truncated, length + 1
        lengths.append(length)
    env.close()
    assert min(lengths) > 5


def test_the_state_is_an_input_and_the_new_state_an_output():
    model = onnx.load_from_string(graph_of(remembering(spec_for(VECTOR, mask="legal"))))
    axes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert axes == {
        "observation": ["batch", 6],
        "action_mask": ["batch", 4],
        "state": ["batch", UNITS],
        "q_values": ["batch", 4],
        "action": ["batch"],
        "new_state": ["batch", UNITS],
    }
    (state,) = (value for value in model.graph.input if value.name == "state")
    assert "zeros at an episode's start" in state.doc_string


def test_an_entry_called_state_makes_room_for_the_memory():
    space = spaces.Dict({"state": VECTOR, "new_state": VECTOR})
    names = {"observation.state", "observation.new_state"}
    spec = spec_for(space)
    assert {source.name for source in inputs_of(spec)} == {"state", "new_state"}
    assert {source.name for source in inputs_of(spec, remembers=True)} == names
    found = session_of(graph_of(remembering(spec))).get_inputs()
    assert {value.name for value in found} == {*names, "state"}


def test_a_batch_may_be_empty():
    session = session_of(graph_of(remembering(spec_for(VECTOR))))
    feed = {"observation": np.zeros((0, 6), np.float32), "state": np.zeros((0, UNITS), np.float32)}
    shapes = [found.shape for found in session.run(None, feed)]
    assert shapes == [(0, 4), (0,), (0, UNITS)]
