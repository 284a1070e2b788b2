"""Fitted Q evaluation against exact policy evaluation: of a table on the nine squares, and of a
network in a world of three states with masks."""

import dataclasses

import gymnasium
import numpy as np
import pytest
from long_forms import some_of
from nine_squares_data import SQUARES, write_squares
from training.masked_mdps import ALLOWED, PAYS

from frankrl.cli.main import main as frank
from frankrl.config import Settings
from frankrl.core.errors import SettingError
from frankrl.datasets import DataEpisode, DataSetDescription, open_dataset, write_dataset
from frankrl.environments import describe
from frankrl.tabular import model_of, policy_q_values
from frankrl.training import Experiment
from frankrl.training.estimate import Estimate, fitted_q_evaluation

pytest.importorskip("h5py")
GAMMA = 0.9
POLICIES = {"short": (1, 1, 2, 2, 0, 2, 1, 1, 0), "walls": (0, 0, 1, 3, 0, 1, 2, 1, 0)}
"""An action for each square: to the goal from almost all, and mostly into walls."""


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    return open_dataset(write_squares(tmp_path_factory.mktemp("data"), 60))


def experiment(**changes):
    chosen = {"q_function": "table", "gamma": GAMMA} | changes
    return Experiment.of(Settings().with_changes(**chosen), describe(SQUARES, {}), 0)


def table_of(policy):
    """The parameters of a Q-table whose greedy actions are the policy's."""
    empty = experiment().network.init(0)
    return empty._replace(output=np.eye(4, dtype=np.float32)[list(policy)])


@pytest.mark.parametrize("name", some_of(POLICIES, ["walls"]))
def test_the_estimate_of_a_policy_is_its_exact_value(name, squares):
    policy = POLICIES[name]
    found = fitted_q_evaluation(experiment(), table_of(policy), None, squares, updates=2_000)
    exact = policy_q_values(model_of(describe(SQUARES, {})), np.array(policy), GAMMA)
    starts = [int(episode.observations[0]) for episode in squares.episodes()]
    expected = exact[starts, np.array(policy)[starts]]
    np.testing.assert_allclose(found.values, expected, atol=0.02)
    assert found.mean_value == pytest.approx(expected.mean(), abs=0.02)
    returns = [
        sum(GAMMA**t * reward for t, reward in enumerate(episode.rewards))
        for episode in squares.episodes()
    ]
    np.testing.assert_allclose(found.data_returns, returns, rtol=1e-5, atol=1e-6)


def test_exact_values_of_a_policy_are_those_of_playing_it():
    model, policy = model_of(describe(SQUARES, {})), np.array(POLICIES["short"])
    q_values = policy_q_values(model, policy, GAMMA)
    for square, action in np.ndindex(9, 4):
        state, chosen, total, factor, over = square, action, 0.0, 1.0, False
        for _ in range(400):
            reward = model.reward[state, chosen, 0]
            over = bool(model.terminated[state, chosen, 0])
            state = model.next_state[state, chosen, 0]
            total, factor, chosen = total + factor * reward, factor * GAMMA, policy[state]
            if over:
                break
        assert q_values[square, action] == pytest.approx(total, abs=1e-9)


MASKED = "MaskedMDP-v0"
# With γ = ½ the policy below takes the action 0, 2 and 0, which pays -1, ½ and -1.
# Terminated after state 2: V(2) = -1, V(1) = ½ + γ V(2), V(0) = -1 + γ V(1).
# Truncated: V(2) = -1 + γ V(0), so V(0) = (-1 + γ/2 - γ²) / (1 - γ³).
MASKED_VALUES = {"terminated": (-1, 0, -1), "truncated": (-8 / 7, -2 / 7, -11 / 7)}


def masked_episodes(end, number):
    """Random allowed actions, from each state in turn: until state 2 is left, or for two steps."""
    random = np.random.default_rng(0)
    for start in np.arange(number) % 3:
        count = 3 - start if end == "terminated" else 2
        states = (start + np.arange(count + 1)) % 3
        taken = np.array([random.choice(np.flatnonzero(ALLOWED[s])) for s in states[:-1]])
        seen = np.eye(3, 4, dtype=np.float32)[states].reshape(-1, 2, 2)
        rewards, over = np.array(PAYS)[taken], end == "terminated"
        yield DataEpisode(seen, taken + 2, rewards, over, not over, ALLOWED[states] == 1)


@pytest.mark.parametrize("end", some_of(MASKED_VALUES, ["truncated"]))
def test_a_network_is_estimated_by_its_allowed_actions_and_beyond_a_time_limit(end, tmp_path):
    env = gymnasium.make(MASKED)
    about = DataSetDescription(env.observation_space, env.action_space, MASKED)
    place = write_dataset("masked/random-v0", tmp_path, about, masked_episodes(end, 120))
    settings = Settings().with_changes(hidden_widths=(32,), gamma=0.5)
    own = Experiment.of(settings, describe(MASKED, {}), 0)
    policy = own.network.init(0)
    # Of all actions it would take 2, which is not allowed in the states 0 and 2; 1 is its last.
    preferred = np.array([1, 0, 2], np.float32)
    output = policy.output._replace(weight=0 * policy.output.weight, bias=preferred)
    policy = policy._replace(output=output)
    found = fitted_q_evaluation(own, policy, None, open_dataset(place), updates=1_000)
    np.testing.assert_allclose(found.values, np.resize(MASKED_VALUES[end], 120), atol=0.02)


def test_the_same_seed_gives_the_same_estimate_and_says_that_it_is_one(squares):
    given = experiment(), table_of(POLICIES["short"]), None, squares
    one, other = (fitted_q_evaluation(*given, updates=60, seed=5) for _ in range(2))
    np.testing.assert_array_equal(one.values, other.values)
    assert "Estimate by fitted Q evaluation" in repr(one)
    assert one.summary()["estimated_by"] == "fitted Q evaluation"
    low, high = one.summary()["interval_95_over_first_states"]
    assert low <= one.mean_value <= high


def test_an_estimate_says_how_much_of_its_first_guess_is_left(squares):
    given = experiment(), table_of(POLICIES["short"]), None, squares
    short, longer = (fitted_q_evaluation(*given, updates=updates) for updates in (60, 2_000))
    # 3 and 100 copies of the target network, each of which multiplies an error by γ.
    assert short.left_of_first_guess == pytest.approx(0.9**3)
    assert "73 % of its first guess, which knows nothing, is left after 60 updates" in repr(short)
    assert longer.summary()["left_of_first_guess"] == pytest.approx(0.9**100)
    assert "first guess" not in repr(longer)


def test_a_policy_with_memory_is_refused(squares):
    own = experiment(q_function="network", memory="gru")
    with pytest.raises(SettingError, match="depend on what it remembers"):
        fitted_q_evaluation(own, own.network.init(0), None, squares)


def test_another_environments_data_are_refused(squares):
    other = Experiment.of(Settings(), describe("CartPole-v1", {}), 0)
    with pytest.raises(SettingError, match="action space"):
        fitted_q_evaluation(other, other.network.init(0), None, squares)


def test_rewards_are_the_environments_own_although_the_run_clips_them(squares):
    made = experiment()
    spec = made.spec
    clipped = dataclasses.replace(spec.preprocessing, clip_rewards=True)
    clipping = dataclasses.replace(made, spec=dataclasses.replace(spec, preprocessing=clipped))
    policy = table_of(POLICIES["short"])
    one, other = (
        fitted_q_evaluation(own, policy, None, squares, updates=60) for own in (made, clipping)
    )
    assert isinstance(one, Estimate)
    np.testing.assert_array_equal(one.values, other.values)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--fqe"], "name one with --dataset"),
        (["--dataset", "some/data-v0"], "give --fqe with it"),
        (["--updates", "5"], "give --fqe with it"),
        (["--fqe", "--dataset", "some/data-v0", "--episodes", "7"], "leave --episodes out"),
        (["--fqe", "--dataset", "some/data-v0", "--updates", "0"], "from 1 to"),
        (["--fqe", "--dataset", "nowhere/data-v0"], "there is no data set"),
    ],
)
def test_a_wrong_command_is_answered_in_one_sentence(words, sentence, tmp_path, capsys):
    assert frank(["evaluate", str(tmp_path / "run"), *words]) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
