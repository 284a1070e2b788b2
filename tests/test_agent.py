"""The trained agent, asked from Python."""

from dataclasses import replace

import gymnasium
import jax
import numpy as np
import odd_envs  # noqa: F401 - registers environments
import pytest
from gymnasium import spaces
from memoryless import memoryless
from toy_text import TAXI
from training import masked_mdps

import frankrl
from frankrl.agent import Agent
from frankrl.core.errors import FrankError, SettingError
from frankrl.environments import describe
from frankrl.environments.env_group import EnvGroup
from frankrl.runs import RunFolder

QUICK = {"total_env_steps": 600, "num_envs": 4, "final_evaluation_episodes": 2}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("agent") / "run"
    frankrl.train("CartPole-v1", preset="default", out=path, **QUICK)
    return path


def linear(spec):
    """Q-values that are a fixed linear function of all numbers of an observation."""

    @memoryless
    def q_values(observation, action_mask):
        leaves = jax.tree.leaves(observation)
        for leaf, expected in zip(leaves, spec.leaves, strict=True):
            assert (leaf.shape[1:], leaf.dtype) == (expected.shape, expected.dtype)
        numbers = np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)
        weights = np.random.default_rng(0).normal(size=(numbers.shape[1], spec.num_actions))
        values = numbers @ weights + np.arange(spec.num_actions) / 7
        return values if action_mask is None else np.where(action_mask, values, -np.inf)

    return q_values


def agent_for(env_id: str, **env_kwargs) -> Agent:
    spec = describe(env_id, env_kwargs)
    return Agent(spec, linear(spec), epsilon=0.5)


def test_a_loaded_agent_acts_by_the_largest_of_its_q_values(run):
    agent = frankrl.load(run)
    observations = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    q_values = agent.q_values(observations)
    assert q_values.shape == (50, 2)
    np.testing.assert_array_equal(agent.act(observations), q_values.argmax(axis=1))


def test_one_observation_gives_one_answer_and_a_batch_gives_a_batch():
    agent = agent_for("CartPole-v1")
    observations = np.random.default_rng(0).normal(size=(5, 4))
    single = [agent.q_values(one) for one in observations]
    np.testing.assert_allclose(agent.q_values(observations), single, rtol=1e-5)
    np.testing.assert_array_equal(
        agent.q_values(observations.tolist()), agent.q_values(observations)
    )
    assert np.shape(agent.act(observations[0])) == ()
    action, state = agent.predict(observations[0])
    assert (np.shape(action), state) == ((), None)
    assert agent.predict(observations, state="kept")[1] == "kept"


def test_an_observation_of_another_shape_is_refused_with_the_right_one():
    with pytest.raises(SettingError, match=r"shape \(4,\) .*got \(3,\)"):
        agent_for("CartPole-v1").act(np.zeros(3))


def test_an_observation_that_is_not_finite_is_refused():
    with pytest.raises(SettingError, match=r"agent of CartPole-v1 was given .* not finite"):
        agent_for("CartPole-v1").act([0, 0, np.nan, 0])


def test_acting_deterministically_repeats_and_otherwise_explores_with_epsilon():
    agent = agent_for("CartPole-v1")
    observations = np.zeros((4_000, 4), np.float32)
    greedy = agent.predict(observations)[0]
    assert len(set(greedy.tolist())) == 1
    other = agent.predict(observations, deterministic=False)[0] != greedy
    # ε = ½ and two actions: every fourth action differs; 5 standard deviations.
    assert abs(other.mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 4_000)


def test_actions_are_numbered_as_the_environment_numbers_them():
    agent = agent_for("frank_easy:Easy-v0")
    assert set(agent.act(np.random.default_rng(0).random((40, 2))).tolist()) <= {3, 4}
    explored = agent.predict(np.zeros((200, 2)), deterministic=False)[0]
    assert set(explored.tolist()) == {3, 4}


class Dictionary(gymnasium.Env):
    observation_space = spaces.Dict(
        {"place": spaces.Discrete(5), "speed": spaces.Box(-1, 1, (2,), np.float32)}
    )
    action_space = spaces.Discrete(2)


gymnasium.register("Dictionary-v0", Dictionary)


def test_observations_with_parts_are_taken_singly_and_in_batches():
    agent = agent_for("Dictionary-v0")
    singles = [
        {"place": place, "speed": np.array([0.1 * place, -0.5], np.float32)} for place in range(5)
    ]
    batch = {
        "place": np.array([one["place"] for one in singles]),
        "speed": np.array([one["speed"] for one in singles]),
    }
    np.testing.assert_allclose(
        agent.q_values(batch), [agent.q_values(one) for one in singles], rtol=1e-5
    )
    lake = agent_for("FrozenLake-v1")
    assert lake.q_values(7).shape == (4,)
    assert lake.q_values(np.array([7, 8])).shape == (2, 4)
    for wrong, words in (("seven", "no array of numbers"), (99, "holds 99"), (-1, "holds -1")):
        with pytest.raises(SettingError, match=f"FrozenLake-v1 was given an observation.*{words}"):
            lake.q_values(wrong)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"place": 1}, "was given an observation without the entry 'speed'; its .* lie in Dict"),
        (7, "no dict but int"),
        ({"place": 5, "speed": [0, 0]}, "'place' that holds 5"),
        ({"place": [1, 2], "speed": [[0, 0]]}, "entries of different lengths"),
        ({"place": [1, 2], "speed": [0, 0]}, "entries of different lengths"),
        (
            {"place": 1, "speed": [0]},
            r"entry 'speed' of .* shape \(2,\) .*got \(1,\)",
        ),
    ],
)
def test_a_wrong_part_of_an_observation_is_named(wrong, words):
    with pytest.raises(SettingError, match=words):
        agent_for("Dictionary-v0").q_values(wrong)


def test_an_agent_is_told_what_is_allowed_where_the_environment_tells_it_in_its_info():
    taxi = agent_for(TAXI)
    masks = np.array([[1, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1]], np.int8)
    found = taxi.q_values(np.array([7, 8]), masks)
    np.testing.assert_array_equal(np.isinf(found), masks == 0)
    np.testing.assert_array_equal(taxi.q_values(7, masks[0]), found[0])
    assert taxi.act(np.array([7, 8]), masks).tolist() == [found[0].argmax(), 5]
    assert taxi.predict(8, action_mask=masks[1])[0] == 5


def test_an_agent_is_told_what_is_allowed_where_a_method_of_the_environment_tells_it():
    agent = agent_for("MaskedMDP-v0", where="method")
    state = np.eye(4)[0].reshape(2, 2)
    assert np.isinf(agent.q_values(state, [True, True, False])).tolist() == [False, False, True]
    with pytest.raises(SettingError, match=r"give action_mask=env\.action_masks\(\) as well"):
        agent.act(state)


@pytest.mark.parametrize(
    "given",
    [
        {"image": np.full((8, 8, 1), 255), "vector": [2.0, 0.6]},
        {"image": np.full((8, 8, 1), 255.0), "vector": np.array([2.0, 0.6])},
        {"image": np.full((8, 8, 1), 255, np.uint8), "vector": np.float32([2.0, 0.6])},
    ],
)
def test_an_observation_with_parts_is_taken_as_leniently_as_a_lone_one(given):
    agent = agent_for("OddPixelAnswer-v0")
    exact = {"image": np.full((8, 8, 1), 255, np.uint8), "vector": np.float32([2.0, 0.6])}
    np.testing.assert_array_equal(agent.q_values(given), agent.q_values(exact))


def test_random_actions_of_an_agent_are_allowed_ones():
    agent = agent_for("MaskedMDP-v0")
    states = np.tile(np.eye(4)[0].reshape(2, 2), (3_000, 1, 1))
    masks = np.tile([1, 0, 1], (3_000, 1))
    actions, _ = agent.predict(states, deterministic=False, action_mask=masks)
    counts = np.bincount(actions, minlength=5)
    # ε = ½ over two actions, which are numbered from 2: a quarter is the other one.
    assert counts[[0, 1, 3]].sum() == 0
    assert abs(counts[[2, 4]].min() - 750) < 5 * np.sqrt(3_000 * 0.25 * 0.75)


def test_an_observation_with_named_parts_carries_its_own_mask():
    agent = agent_for("MaskedMDP-v0", where="observation")
    singles = [
        {
            "action_mask": masked_mdps.ALLOWED[state].astype(np.int8),
            "observation": np.eye(4, dtype=np.float32)[state].reshape(2, 2),
        }
        for state in range(3)
    ]
    batch = {name: np.stack([one[name] for one in singles]) for name in singles[0]}
    found = agent.q_values(batch)
    np.testing.assert_array_equal(np.isinf(found), masked_mdps.ALLOWED == 0)
    np.testing.assert_allclose(found, [agent.q_values(one) for one in singles], rtol=1e-5)
    for wrong, words in (
        (singles[0] | {"observation": np.zeros(3)}, r"has shape \(2, 2\) .*got \(3,\)"),
        ({"action_mask": [1, 1, 1]}, "without the entry 'observation'"),
        ({"observation": np.zeros((2, 2))}, "no action mask"),
        (7, "no dict but int"),
    ):
        with pytest.raises(SettingError, match=words):
            agent.act(wrong)
    with pytest.raises(SettingError, match="takes no action_mask: its observations hold it"):
        agent.act(singles[0], action_mask=[1, 1, 1])


@pytest.mark.parametrize(
    ("observation", "mask", "words"),
    [
        (7, None, r'give action_mask=info\["action_mask"\]'),
        (7, [1, 0], r"an action mask of shape \(2,\), where one entry for each of 6 actions"),
        (7, [0] * 6, "allows no action"),
        (7, [2, 1, 1, 1, 1, 1], "entries other than 0 and 1"),
        (7, 1, r"an action mask of shape \(\)"),
        (np.array([7, 8]), np.ones((1, 6)), "an action mask for 1 of 2 observations"),
        (np.array([7, 8]), 1, "an action mask for 1 of 2 observations"),
    ],
)
def test_a_missing_or_wrong_mask_is_one_kind_of_error(observation, mask, words):
    with pytest.raises(SettingError, match=words):
        agent_for(TAXI).act(observation, mask)


def test_a_mask_for_an_environment_that_has_none_is_refused():
    with pytest.raises(SettingError, match="CartPole-v1 takes no action_mask: it has"):
        agent_for("CartPole-v1").q_values(np.zeros(4), action_mask=[1, 1])


def test_evaluation_from_python_repeats_and_has_another_seed_for_other_episodes(run):
    agent = frankrl.load(run)
    first = frankrl.evaluate(agent, episodes=4, seed=1)
    again = frankrl.evaluate(agent, episodes=4, seed=1)
    np.testing.assert_array_equal(first.returns, again.returns)
    assert not np.array_equal(first.returns, frankrl.evaluate(agent, episodes=4, seed=2).returns)
    of_run = frankrl.evaluate(run, episodes=4, seed=1)
    np.testing.assert_array_equal(first.returns, of_run.returns)
    with pytest.raises(SettingError, match="best chooses an agent of a run"):
        frankrl.evaluate(agent, best=True)


def test_an_evaluation_is_like_those_of_the_run_unless_it_is_asked_otherwise(run, monkeypatch):
    made, usual = [], EnvGroup.__init__

    def counted(self, spec, count, *rest):
        made.append(count)
        usual(self, spec, count, *rest)

    monkeypatch.setattr(EnvGroup, "__init__", counted)
    agent = frankrl.load(run)

    def lengths(**asked):
        return frankrl.evaluate(agent, episodes=4, **asked).lengths

    def of_run(**settings):
        folder = RunFolder.open(run)
        changed = folder.description.settings.with_changes(**settings)
        description = replace(folder.description, settings=changed)
        agent.run = replace(folder, description=description)

    of_run(evaluation_envs=2, evaluation_max_episode_steps=5)
    assert list(lengths()) == [5] * 4
    assert list(lengths(evaluation_envs=3, evaluation_max_episode_steps=6)) == [6] * 4
    of_run(evaluation_on="training", num_envs=1)
    lengths()
    assert made == [2, 3, 1]


def test_what_is_exported_is_what_there_is():
    assert sorted(frankrl.__all__) == frankrl.__all__
    for name in frankrl.__all__:
        found = getattr(frankrl, name)
        assert getattr(found, "__module__", found.__name__).startswith("frankrl")
    with pytest.raises(AttributeError, match="no attribute 'tarin'"):
        _ = frankrl.tarin


def test_a_mistake_in_python_is_one_kind_of_error(tmp_path):
    for mistake in (
        {"env": "CartPol-v1"},
        {"env": "CartPole-v1", "preset": "best"},
        {"env": "CartPole-v1", "gama": 0.9},
        {"env": "CartPole-v1", "gamma": 1.5},
        {"env": "CartPole-v1", "seed": -1},
        {"env": "CartPole-v1", "replay_capacity": 10**12},
        {"env": "Pendulum-v1"},
    ):
        with pytest.raises(FrankError):
            frankrl.train(out=tmp_path / "run", **mistake)
    assert list(tmp_path.iterdir()) == []


def test_stable_baselines3_evaluates_an_agent_unchanged():
    evaluation = pytest.importorskip(
        "stable_baselines3.common.evaluation",
        reason="Stable-Baselines3 is not installed: pip install -e '.[test-sb3]'",
    )
    from stable_baselines3.common.env_util import make_vec_env

    agent = agent_for("CartPole-v1")
    envs = make_vec_env("CartPole-v1", n_envs=3, seed=0)
    returns, lengths = evaluation.evaluate_policy(
        agent, envs, n_eval_episodes=6, return_episode_rewards=True
    )
    assert len(returns) == 6
    assert returns == [float(length) for length in lengths]
