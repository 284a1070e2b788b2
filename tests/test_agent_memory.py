"""The state that an agent with a memory takes and gives, as Stable-Baselines3's policies do."""

import numpy as np
import pytest

from frankrl.agent import Agent, Trained
from frankrl.config import Clock, Settings
from frankrl.core.errors import SettingError
from frankrl.environments import describe
from frankrl.experience import HostPolicy, NormalisedQValues
from frankrl.learning import network_for

UNITS, BATCH, TIME = 6, 3, 12
RANDOM = np.random.default_rng(0)
OBSERVATIONS = RANDOM.normal(size=(TIME, BATCH, 4)).astype(np.float32)


def agent_for(**changes):
    settings = Settings().with_changes(hidden_widths=(8,), **changes).resolved()
    spec = describe("CartPole-v1", {})
    network = network_for(settings, spec)
    policy = HostPolicy(network)
    policy.load(network.layout.flatten(network.init(4)))
    return Agent(
        spec,
        NormalisedQValues(policy, None),
        0.5,
        trained=Trained(policy, 0, None, Clock.ENV_STEPS),
    )


@pytest.fixture(scope="module")
def agent():
    return agent_for(memory="gru", memory_units=UNITS)


def one_by_one(agent, starts):
    """Q-values and memory of each environment by itself, from the network's own steps."""
    network, params = agent.trained.policy.network, agent.trained.policy.params
    values, memories = np.zeros((TIME, BATCH, 2)), np.zeros((TIME, BATCH, UNITS))
    for index in range(BATCH):
        memory = network.initial_memory(1)
        for time in range(TIME):
            memory = network.initial_memory(1) if starts[time, index] else memory
            found, memory = network.q_step(params, OBSERVATIONS[time, index, None], None, memory)
            values[time, index], memories[time, index] = found[0], memory[0]
    return values, memories


def test_states_and_episode_starts_are_those_of_each_environment_by_itself(agent):
    starts = RANDOM.random((TIME, BATCH)) < 0.3
    starts[0] = True
    values, memories = one_by_one(agent, starts)
    state = None
    for time in range(TIME):
        before = None if state is None else np.where(starts[time][:, None], 0, state)
        found = agent.q_values(OBSERVATIONS[time], state=before)
        np.testing.assert_allclose(found, values[time], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(
            agent.act(OBSERVATIONS[time], state=before), found.argmax(axis=1)
        )
        actions, state = agent.predict(OBSERVATIONS[time], state, starts[time])
        np.testing.assert_array_equal(actions, found.argmax(axis=1))
        np.testing.assert_allclose(state, memories[time], rtol=1e-5, atol=1e-6)
    assert starts[1:].any()
    assert agent.memory_units == UNITS


def test_one_observation_takes_and_gives_one_state(agent):
    values, memories = one_by_one(agent, np.arange(TIME)[:, None] == np.zeros(BATCH))
    state = None
    for time in range(TIME):
        given, start = OBSERVATIONS[time, 0], [time == 0] if time % 2 else time == 0
        found = agent.q_values(given, state=state)
        np.testing.assert_allclose(found, values[time, 0], rtol=1e-5, atol=1e-6)
        action, state = agent.predict(given, state, start)
        assert (np.shape(action), state.shape) == ((), (UNITS,))
        np.testing.assert_allclose(state, memories[time, 0], rtol=1e-5, atol=1e-6)


def test_no_state_begins_an_episode_and_one_start_holds_for_the_whole_batch(agent):
    state = agent.predict(OBSERVATIONS[0])[1]
    for starts in (True, [True] * BATCH):
        again = agent.predict(OBSERVATIONS[1], state, starts)[1]
        np.testing.assert_array_equal(again, agent.predict(OBSERVATIONS[1])[1])
    kept = state.copy()
    assert not np.array_equal(agent.predict(OBSERVATIONS[1], state)[1], again)
    np.testing.assert_array_equal(state, kept)


def test_random_actions_leave_the_memory_as_it_is(agent):
    expected = agent.predict(OBSERVATIONS[0])[1]
    found = agent.predict(OBSERVATIONS[0], deterministic=False)[1]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"state": np.zeros(UNITS)},
            r"the state of shape \(6,\); .*None or an array of finite numbers of shape \(3, 6\)",
        ),
        ({"state": np.zeros((BATCH, UNITS + 1))}, r"of shape \(3, 7\); .* of shape \(3, 6\)"),
        ({"state": np.full((BATCH, UNITS), np.nan)}, "the state with values that are not finite"),
        ({"state": "kept"}, "given the state 'kept'"),
        ({"episode_start": [True, False]}, r"given the episode_start.*shape \(3,\) or \(\)"),
        ({"episode_start": np.ones((BATCH, 1))}, "given the episode_start"),
        ({"episode_start": "no"}, "given the episode_start 'no'"),
        ({"episode_start": [0.5, 0, 1.0]}, "must be True or False"),
        ({"episode_start": [0, 1, 2]}, "must be True or False"),
        ({"episode_start": [None, True, False]}, "given the episode_start"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_in_one_sentence(agent, arguments, words):
    with pytest.raises(SettingError, match=f"the agent of CartPole-v1 was .*{words}"):
        agent.predict(OBSERVATIONS[0], **arguments)


def test_an_agent_without_a_memory_gives_the_state_back():
    agent = agent_for()
    expected = agent.predict(OBSERVATIONS[0])[0]
    actions, state = agent.predict(OBSERVATIONS[0], "kept", [True, False])
    np.testing.assert_array_equal(actions, expected)
    assert (state, agent.memory_units) == ("kept", 0)


def test_an_evaluation_by_stable_baselines3_carries_the_state(agent):
    evaluation = pytest.importorskip("stable_baselines3.common.evaluation")
    vec_env = pytest.importorskip("stable_baselines3.common.env_util")
    envs = vec_env.make_vec_env("CartPole-v1", n_envs=2, seed=0)
    _, lengths = evaluation.evaluate_policy(agent, envs, 4, return_episode_rewards=True)
    by_hand = {index: [] for index in range(2)}
    envs = vec_env.make_vec_env("CartPole-v1", n_envs=2, seed=0)
    observations, states, running = envs.reset(), {0: None, 1: None}, [0, 0]
    while sum(map(len, by_hand.values())) < 8:
        actions = []
        for index in range(2):
            action, states[index] = agent.predict(observations[index], states[index])
            actions.append(action)
        observations, _, dones, _ = envs.step(np.array(actions))
        for index in np.flatnonzero(dones):
            by_hand[index].append(running[index] + 1)
            states[index] = None
        running = [0 if done else steps + 1 for done, steps in zip(dones, running, strict=True)]
    assert sorted(lengths) == sorted(by_hand[0][:2] + by_hand[1][:2])
