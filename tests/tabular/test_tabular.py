"""Tables: the right Q-values of small worlds, and that agents come to them."""

import itertools
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from in_memory import experiment_of, rounds_of
from toy_text import CLIFF_WALKING, TAXI

import frankrl
from frankrl.config import Settings
from frankrl.config.presets import load_preset
from frankrl.core.errors import SettingError
from frankrl.environments import describe, describe_for, nine_squares
from frankrl.opening import open_network
from frankrl.runs import RunFolder
from frankrl.tabular import Model, led_to, model_of, optimal_q_values, q_table, table_size
from frankrl.tabular import table as table_module

GAMMA = 0.99
SHORT = {"evaluate_every_env_steps": 10**6, "final_evaluation_episodes": 50}


def spec_of(env_id, **env_kwargs):
    return describe(env_id, env_kwargs)


def test_gymnasium_finds_nothing_wrong_with_the_nine_squares():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make("frankrl/NineSquares-v0").unwrapped, skip_render_check=False)


def test_the_nine_squares_do_what_their_model_says():
    env = gymnasium.make("frankrl/NineSquares-v0")
    random = np.random.default_rng(0)
    for episode in range(100):
        square, _ = env.reset(seed=episode)
        assert square not in (nine_squares.GOAL, nine_squares.PIT)
        for length in range(1, 51):
            action = int(random.integers(4))
            ((probability, arrived, reward, ended),) = env.unwrapped.P[square][action]
            square, got, terminated, truncated, _ = env.step(action)
            assert (probability, arrived, reward, ended) == (1.0, square, got, terminated)
            assert truncated == (length == 50)
            if terminated or truncated:
                break


def test_every_ordinary_square_is_a_place_to_start():
    env = gymnasium.make("frankrl/NineSquares-v0")
    assert {env.reset(seed=seed)[0] for seed in range(100)} == {0, 1, 2, 3, 5, 6, 7}


def test_a_wall_leaves_frank_where_he_is():
    for square, wall in ((0, 0), (2, 1), (6, 2), (0, 3)):
        assert nine_squares.transitions()[square][wall][0][1] == square


@pytest.mark.parametrize(
    ("square", "action", "value"),
    [
        (7, 1, 1.0),
        (5, 2, 1.0),
        (5, 3, -1.0),
        (2, 2, -0.1 + GAMMA * 1.0),
        (1, 1, -0.1 + GAMMA * (-0.1 + GAMMA * 1.0)),
        (0, 0, -0.1 + GAMMA * (-0.1 * (1 + GAMMA + GAMMA**2) + GAMMA**3)),
        (8, 0, 0.0),
    ],
)
def test_the_exact_q_values_of_the_grid_are_those_computed_by_hand(square, action, value):
    exact = optimal_q_values(model_of(spec_of("frankrl/NineSquares-v0")), GAMMA)
    assert exact[square, action] == pytest.approx(value, abs=1e-10)


def by_policy_iteration(table, gamma):
    """Q* by solving linear equations for each policy: another way than the one that is tested."""
    states, actions = len(table), len(table[0])
    policy = np.zeros(states, int)
    while True:
        moves, rewards = np.zeros((states, states)), np.zeros(states)
        for state in range(states):
            for p, arrived, reward, ended in table[state][policy[state]]:
                rewards[state] += p * reward
                moves[state, arrived] += 0 if ended else p * gamma
        values = np.linalg.solve(np.eye(states) - moves, rewards)
        q_values = np.zeros((states, actions))
        for state in range(states):
            for action in range(actions):
                q_values[state, action] = sum(
                    p * (reward + gamma * values[arrived] * (not ended))
                    for p, arrived, reward, ended in table[state][action]
                )
        better = q_values.argmax(axis=1)
        if (
            q_values[np.arange(states), better] <= q_values[np.arange(states), policy] + 1e-12
        ).all():
            return q_values
        policy = better


@pytest.mark.parametrize(
    ("env_id", "gamma"), [("FrozenLake-v1", 0.99), (CLIFF_WALKING, 0.9), (TAXI, 0.9)]
)
def test_the_exact_q_values_agree_with_policy_iteration(env_id, gamma):
    expected = by_policy_iteration(gymnasium.make(env_id).unwrapped.P, gamma)
    found = optimal_q_values(model_of(spec_of(env_id)), gamma)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_world_without_a_model_has_none():
    assert model_of(spec_of("CartPole-v1")) is None


def test_values_that_grow_for_ever_are_refused():
    one = np.ones((1, 1, 1))
    model = Model(one, np.zeros((1, 1, 1), int), one, np.zeros((1, 1, 1), bool))
    with pytest.raises(SettingError, match="not converged after"):
        optimal_q_values(model, 1.0)


def test_no_action_leads_onto_the_cliff():
    # Whoever steps onto one of its ten squares stands at the start again.
    visited = led_to(model_of(spec_of(CLIFF_WALKING)))
    assert np.flatnonzero(~visited).tolist() == list(range(37, 47))


def test_a_large_table_is_looked_up_in_parts(monkeypatch):
    values, sizes = np.random.default_rng(0).normal(size=(48, 4)), []

    def q_values(states):
        sizes.append(len(states))
        return values[states]

    monkeypatch.setattr(table_module, "_MAX_NUMBERS", 240)
    np.testing.assert_array_equal(q_table(spec_of(CLIFF_WALKING), q_values), values)
    assert sizes == [5] * 9 + [3]


def test_a_state_is_looked_up_in_the_table():
    random = np.random.default_rng(0)
    network = experiment_of("frankrl/NineSquares-v0", load_preset("table"), seed=0).network
    table = random.normal(size=(9, 4)).astype(np.float32)
    states = random.integers(0, 9, 50, dtype=np.int32)
    found = network.q_values(network.init(0)._replace(output=table), states)
    np.testing.assert_array_equal(found, table[states])


def learned_table(path):
    """The Q-table of a run's agent, and its environment."""
    agent = frankrl.load(path)
    return q_table(agent.spec, lambda states: agent.batch_q_values(states)[0]), agent.spec


def test_the_table_comes_to_the_exact_q_values(tmp_path):
    frankrl.train(
        "frankrl/NineSquares-v0",
        q_function="table",
        out=tmp_path / "run",
        total_env_steps=4_000,
        epsilon_end=1.0,
        **SHORT,
    )
    found, spec = learned_table(tmp_path / "run")
    np.testing.assert_allclose(found, optimal_q_values(model_of(spec), GAMMA), atol=1e-4)


def test_each_step_of_the_table_is_watkins_rule():
    """Q(s, a) ← Q(s, a) + α (r + γ max Q(s′, ·) - Q(s, a)), in a loop of its own."""
    settings = load_preset("table").with_changes(learning_rate_end=None, learning_rate=0.15)
    experiment, alpha = experiment_of("frankrl/NineSquares-v0", settings, seed=1), 2 * 0.15
    table = np.zeros((9, 4))
    for result in itertools.islice(rounds_of(experiment), 300):
        steps = result.input.steps
        square, arrived = steps.observation
        if steps.is_last[0]:
            arrived = steps.last_observation[0]
        y = steps.reward[0] + (0 if steps.terminated[0] else GAMMA * table[arrived].max())
        table[square, steps.action[0]] += alpha * (y - table[square, steps.action[0]])
        found = np.asarray(result.output().eval_params).reshape(9, 4)
        np.testing.assert_allclose(found, table, atol=1e-5)
    assert np.count_nonzero(table) > 10


@pytest.mark.slow
def test_a_network_comes_to_the_exact_q_values_too(tmp_path):
    frankrl.train(
        "frankrl/NineSquares-v0",
        out=tmp_path / "run",
        n_step=1,
        hidden_widths=(64,),
        learning_rate=2e-3,
        learning_rate_end=1e-5,
        epsilon_end=1.0,
        total_env_steps=12_000,
        target_period_updates=100,
        **SHORT,
    )
    found, spec = learned_table(tmp_path / "run")
    exact, ordinary = optimal_q_values(model_of(spec), GAMMA), [0, 1, 2, 3, 5, 6, 7]
    np.testing.assert_allclose(found[ordinary], exact[ordinary], atol=0.03)


def test_a_table_run_continues_to_the_same_bits(tmp_path):
    settings = {"q_function": "table", "checkpoint_every_env_steps": 300, **SHORT}
    env_id = "frankrl/NineSquares-v0"
    frankrl.train(env_id, out=tmp_path / "whole", total_env_steps=900, **settings)
    frankrl.train(
        env_id,
        out=tmp_path / "parts",
        total_env_steps=500,
        learning_rate_decay_env_steps=900,
        **settings,
    )
    frankrl.resume(tmp_path / "parts", total_env_steps=900)
    one, other = (
        open_network(RunFolder.open(tmp_path / name)).params.output for name in ("whole", "parts")
    )
    assert one.tobytes() == other.tobytes()
    assert one.shape == (9, 4)


def test_a_table_where_states_have_no_numbers_is_refused(tmp_path):
    with pytest.raises(SettingError, match=r"states of CartPole-v1 are no numbers "):
        frankrl.train("CartPole-v1", q_function="table", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert table_size(spec_of("CartPole-v1")) is None
    stacked = describe_for("FrozenLake-v1", Settings().with_changes(frame_stack=2))
    assert table_size(stacked) is None
    with pytest.raises(ValueError, match="are not numbered"):
        q_table(spec_of("CartPole-v1"), lambda states: np.zeros((len(states), 2)))


@pytest.mark.parametrize("name", ["dueling", "layer_norm", "scale_observation"])
def test_what_only_a_network_has_is_refused_with_a_table(name):
    with pytest.raises(SettingError, match=f"{name} .*because q_function is table"):
        load_preset("table").with_changes(**{name: True})


@pytest.mark.parametrize(
    "table",
    [
        {1: {0: [(1.0, 1, 0.0, True)]}},
        {0: {0: [(1.0, 7, 0.0, True)]}},
        {0: {0: [(1.0, 0, 0.0, True)], 1: [(1.0, 0, 0.0, True)]}},
        {0: {0: "nothing"}},
        {},
    ],
)
def test_a_model_of_another_form_counts_as_none(table, monkeypatch):
    spec = spec_of("frankrl/NineSquares-v0")
    monkeypatch.setattr(nine_squares, "transitions", lambda: table)
    assert model_of(spec) is None
