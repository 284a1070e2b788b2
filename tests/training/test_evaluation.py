import math

import numpy as np
import pytest
import scipy.stats
from memoryless import memoryless
from probe_envs import FaultyProbe, episode_length

import frankrl
from frankrl.agent import Agent
from frankrl.config import MAX_EVALUATION_ENVS, EvaluationSettings
from frankrl.core.errors import EnvironmentFailedError
from frankrl.core.random import Use, reset_seed
from frankrl.environments import EnvGroup, describe
from frankrl.environments.preprocessing import Preprocessing
from frankrl.training import evaluation as module
from frankrl.training.evaluation import Evaluation, interval_of_mean
from frankrl.training.evaluator import Evaluator

USE = Use.EVALUATION_RESET


def always(action):
    return memoryless(lambda shown, _: np.tile(np.eye(2)[action], (len(shown), 1)))


def evaluate(q_values, episodes, env_id="FrankSeed-v0", seed=3, number=0, use=USE, **kwargs):
    evaluator = Evaluator(describe(env_id, kwargs))
    try:
        return evaluator.evaluate(q_values, episodes, use, seed, number)
    finally:
        evaluator.close()


def known_lengths(episodes, seed=3, number=0, use=USE):
    return [episode_length(reset_seed(seed, use, number, n)) for n in range(episodes)]


@pytest.mark.parametrize("episodes", [1, 2, 25, 26, 120])
def test_returns_and_lengths_are_the_known_ones_in_the_order_of_their_seeds(episodes):
    for action, sign in ((0, 1), (1, -1)):
        found = evaluate(always(action), episodes)
        np.testing.assert_array_equal(found.lengths, known_lengths(episodes))
        np.testing.assert_array_equal(found.returns, sign * found.lengths)
        assert found.mean_return == sign * np.mean(known_lengths(episodes))


@pytest.mark.parametrize("at_once", [1, 2, 7, 25])
@pytest.mark.parametrize(("hopeless_below", "played"), [(-np.inf, 60), (1_000, 8), (6.1, None)])
def test_the_result_does_not_depend_on_how_many_environments_there_are(
    at_once, hopeless_below, played
):
    spec = describe("FrankSeed-v0", {})
    evaluator = Evaluator(spec, settings=EvaluationSettings(evaluation_envs=at_once))
    found = evaluator.evaluate(always(0), 60, USE, 3, hopeless_below=hopeless_below)
    assert evaluator._made == at_once
    evaluator.close()
    played = played or given_up_after(known_lengths(60), hopeless_below)
    np.testing.assert_array_equal(found.lengths, known_lengths(60)[:played])
    np.testing.assert_array_equal(found.returns, known_lengths(60)[:played])


@memoryless
def by_the_stack(observations, masks):
    """Q-values that depend on every number of a stack, the oldest most."""
    weights = np.array([5.0, -3.0, 1.0])[:, None] * np.array([1.0, 7.0, 3.0, 2.0])
    told = np.tensordot(observations, weights, axes=([1, 2], [0, 1]))
    return np.stack([np.sin(told), np.cos(told)], axis=1)


def test_each_of_many_episodes_sees_its_own_stack():
    """Episodes end in another order than they began, so that their environments change places."""
    spec = describe("CartPole-v1", {}, preprocessing=Preprocessing(frame_stack=3))
    found = []
    for at_once in (1, 25):
        evaluator = Evaluator(spec, settings=EvaluationSettings(evaluation_envs=at_once))
        found.append(evaluator.evaluate(by_the_stack, 60, USE, 3).lengths)
        evaluator.close()
    np.testing.assert_array_equal(*found)
    assert len(set(found[0].tolist())) > 5


@pytest.mark.parametrize("at_once", [1, 4, 25])
def test_it_is_told_how_many_episodes_have_ended(at_once):
    told = []
    spec = describe("FrankSeed-v0", {})
    evaluator = Evaluator(spec, settings=EvaluationSettings(evaluation_envs=at_once))
    evaluator.evaluate(always(0), 9, USE, 3, on_episode=lambda *counts: told.append(counts))
    evaluator.close()
    assert (told[0], told[-1]) == ((0, 9), (9, 9))
    assert told == sorted(told)
    if at_once == 1:
        assert told == [(count, 9) for count in range(10)]


@pytest.mark.parametrize("most_steps", [1, 2, 30])
def test_an_episode_is_cut_off_after_so_many_steps(most_steps):
    found = frankrl.evaluate(
        Agent(describe("FrankSeed-v0", {}), always(0), 0.0),
        episodes=40,
        seed=3,
        evaluation_max_episode_steps=most_steps,
    )
    np.testing.assert_array_equal(found.lengths, np.minimum(known_lengths(40), most_steps))
    np.testing.assert_array_equal(found.returns, found.lengths)


@pytest.mark.parametrize(("keep_envs", "expected"), [(True, [10, 10]), (False, [10, 20])])
def test_environments_are_made_anew_only_where_they_are_not_kept(monkeypatch, keep_envs, expected):
    made, count = [], []
    usual = EnvGroup.__init__
    monkeypatch.setattr(
        EnvGroup, "__init__", lambda self, spec, n, *rest: made.append(n) or usual(self, spec, n)
    )
    evaluator = Evaluator(describe("FrankSeed-v0", {}), keep_envs=keep_envs)
    for _ in expected:
        evaluator.evaluate(always(0), 10, USE, 3)
        count.append(sum(made))
    evaluator.close()
    assert count == expected


def test_the_policy_sees_the_state_of_its_own_environment():
    seen = []

    @memoryless
    def q_values(observations, masks):
        seen.append(observations.copy())
        return np.eye(2)[(observations[:, 0] >= 2).astype(int)]

    found = evaluate(q_values, 30, env_id="FrankCounting-v0", limit=4)
    # Two steps of action 0, then action 1 ends it: rewards 1 + 2 + 3.
    np.testing.assert_array_equal(found.lengths, np.full(30, 3))
    np.testing.assert_array_equal(found.returns, np.full(30, 6.0))
    assert all(batch.dtype == np.float32 for batch in seen)


def test_a_tie_is_broken_towards_the_first_action():
    found = evaluate(memoryless(lambda shown, _: np.zeros((len(shown), 2))), 5)
    assert (found.returns > 0).all()


def test_use_seed_and_number_alone_decide_the_episodes():
    evaluator = Evaluator(describe("FrankSeed-v0", {}))
    first = evaluator.evaluate(always(0), 40, USE, 3, 7)
    evaluator.evaluate(always(1), 11, Use.SOLVED_RESET, 5)
    again = evaluator.evaluate(always(0), 40, USE, 3, 7)
    evaluator.close()
    np.testing.assert_array_equal(first.returns, again.returns)
    np.testing.assert_array_equal(first.returns, known_lengths(40, number=7))
    others = [{"seed": 4}, {"number": 1}, {"use": Use.SOLVED_RESET}]
    for other in others:
        found = evaluate(always(0), 40, **other)
        np.testing.assert_array_equal(found.lengths, known_lengths(40, **other))
        assert not np.array_equal(found.lengths, known_lengths(40))


def test_more_episodes_begin_with_the_same_ones():
    np.testing.assert_array_equal(
        evaluate(always(0), 100).returns[:30], evaluate(always(0), 30).returns
    )


def given_up_after(returns, wanted):
    """The first number of episodes, from 8 on, whose mean is 1.5 standard errors too low."""
    for count in range(8, len(returns) + 1):
        first = returns[:count]
        mean = sum(first) / count
        variance = sum((value - mean) ** 2 for value in first) / count
        if mean + 1.5 * math.sqrt(variance / count) < wanted:
            return count
    return len(returns)


@pytest.mark.parametrize("share", [0.5, 0.95, 1.0, 1.2, 2.0])
def test_a_hopeless_evaluation_ends_after_the_first_episodes_that_show_it(share):
    whole = np.array(known_lengths(100))
    evaluator = Evaluator(describe("FrankSeed-v0", {}))
    found = evaluator.evaluate(always(0), 100, USE, 3, hopeless_below=share * whole.mean())
    after = evaluator.evaluate(always(0), 100, USE, 3)
    evaluator.close()
    played = given_up_after(whole.tolist(), share * whole.mean())
    assert (played == 100) == (share <= 1)
    np.testing.assert_array_equal(found.returns, whole[:played])
    np.testing.assert_array_equal(found.lengths, whole[:played])
    np.testing.assert_array_equal(after.returns, whole)


def test_few_agents_that_would_pass_are_given_up():
    """Returns as a lander's: most episodes land, one in eight does not."""
    random = np.random.default_rng(0)
    passed = given_up = 0
    for _ in range(300):
        lands = random.random(100) > 0.12
        returns = np.where(lands, random.normal(232, 30, 100), random.normal(50, 100, 100))
        if returns.mean() >= 200:
            passed += 1
            given_up += given_up_after(returns.tolist(), 200) < 100
    assert passed > 200
    assert given_up <= 0.06 * passed


@pytest.mark.parametrize("episodes", [1, 7, 60])
def test_episodes_are_counted_as_they_end(episodes):
    told = []
    evaluator = Evaluator(describe("FrankSeed-v0", {}))
    evaluator.evaluate(always(0), episodes, USE, 3, on_episode=lambda *counts: told.append(counts))
    evaluator.close()
    done = [count for count, _ in told]
    assert {of for _, of in told} == {episodes}
    assert (done[0], done[-1]) == (0, episodes)
    assert done == sorted(done)
    # The shortest of those that were begun together end first.
    together = known_lengths(min(episodes, MAX_EVALUATION_ENVS))
    assert done[1] == together.count(min(together))


@pytest.mark.parametrize("fault", ["raise", "nan", "shape", "nan_reward", "no_reward", "ragged"])
def test_an_environment_that_fails_is_an_environment_failed_error(fault):
    with pytest.raises(EnvironmentFailedError, match="FrankFaulty-v0"):
        evaluate(ending_at_three, 3, env_id="FrankFaulty-v0", fault=fault)


@memoryless
def ending_at_three(observations, masks):
    return np.eye(2)[(observations[:, 0] >= 2).astype(int)]


def test_an_evaluation_that_failed_does_not_spoil_the_next(monkeypatch):
    evaluator = Evaluator(describe("FrankFaulty-v0", {"fault": "nan_reward"}))
    with pytest.raises(EnvironmentFailedError):
        evaluator.evaluate(ending_at_three, 3, USE, 0)
    monkeypatch.setattr(FaultyProbe, "_spoiled", lambda self, observation: observation)
    assert evaluator.evaluate(always(1), 3, USE, 0).lengths.tolist() == [1, 1, 1]
    evaluator.close()


RETURNS = np.random.default_rng(0).exponential(size=40)


@pytest.mark.parametrize("drawn", [1, 100, 1_000_000])
def test_the_interval_is_scipys_percentile_bootstrap(monkeypatch, drawn):
    monkeypatch.setattr(module, "_MAX_DRAWN", drawn)
    expected = scipy.stats.bootstrap(
        (RETURNS,),
        np.mean,
        n_resamples=2_000,
        confidence_level=0.95,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert interval_of_mean(RETURNS) == pytest.approx((expected.low, expected.high), rel=1e-12)


def test_the_interval_is_that_of_resampling_by_hand():
    random = np.random.default_rng(1)
    means = random.choice(RETURNS, (20_000, len(RETURNS))).mean(axis=1)
    expected = np.percentile(means, [2.5, 97.5])
    np.testing.assert_allclose(interval_of_mean(RETURNS), expected, rtol=0.03)


def test_the_interval_holds_the_true_mean_about_as_often_as_it_says():
    random = np.random.default_rng(2)
    intervals = [interval_of_mean(random.normal(5, 1, 60)) for _ in range(100)]
    assert sum(low <= 5 <= high for low, high in intervals) >= 88


@pytest.mark.parametrize("values", [[3.0], [2.0, 2.0, 2.0], [0.1] * 7])
def test_the_interval_of_values_without_spread_is_their_mean(values):
    assert interval_of_mean(np.array(values)) == (np.mean(values), np.mean(values))


def test_a_summary_holds_the_usual_figures_as_plain_numbers():
    lengths = np.arange(1, 41)
    summary = Evaluation(RETURNS, lengths).summary()
    expected = {
        "episodes": 40,
        "mean_return": sum(RETURNS) / 40,
        "std_return": np.sqrt(sum((RETURNS - sum(RETURNS) / 40) ** 2) / 40),
        "min_return": sorted(RETURNS)[0],
        "median_return": sum(sorted(RETURNS)[19:21]) / 2,
        "max_return": sorted(RETURNS)[-1],
        "mean_length": 20.5,
    }
    assert {name: summary[name] for name in expected} == pytest.approx(expected, rel=1e-12)
    assert summary["interval_95"] == list(interval_of_mean(RETURNS))
    assert summary["returns"] == RETURNS.tolist()
    assert summary["lengths"] == lengths.tolist()
    assert {type(value) for value in summary.values()} == {int, float, list}
