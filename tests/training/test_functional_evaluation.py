"""Evaluations in compiled calls, held to those that are played one by one on the host."""

import contextlib

import functional_stand_ins as own
import numpy as np
import pytest

from frankrl.config import MAX_EVALUATION_ENVS, EvaluationSettings, Settings
from frankrl.core.errors import EnvironmentFailedError
from frankrl.core.normalisation import LeafScale, Scales
from frankrl.core.random import Use
from frankrl.environments import describe, named_env
from frankrl.experience import HostPolicy, NormalisedQValues
from frankrl.training.evaluator import EvaluationStopped, Evaluator
from frankrl.training.state import Experiment

USE = Use.EVALUATION_RESET


def policy_for(env_id, **kwargs):
    """A policy with random weights, and the environment."""
    spec = describe(env_id, kwargs)
    network = Experiment.of(Settings().with_changes(hidden_widths=(8,)), spec, 0).network
    policy = HostPolicy(network)
    policy.load(network.layout.flatten(network.init(5)))
    return spec, policy


def evaluated(spec, q_values, episodes, settings=None, **options):
    evaluator = Evaluator(spec, settings=settings or EvaluationSettings(evaluation_envs=4))
    with contextlib.closing(evaluator):
        return evaluator.evaluate(q_values, episodes, USE, 3, **options), evaluator._made


@pytest.mark.parametrize(
    ("env_id", "episodes"),
    [
        ("frankrl/CartPole-functional-v0", 60),
        ("frankrl/NineSquares-functional-v0", 30),
        ("functional:functional_stand_ins:MaskedWalk", 26),
    ],
)
def test_compiled_episodes_are_those_of_the_host(env_id, episodes):
    spec, policy = policy_for(env_id)
    compiled, made = evaluated(spec, NormalisedQValues(policy, None), episodes)
    by_one, _ = evaluated(spec, policy.q_values, episodes)
    assert made == 0
    np.testing.assert_array_equal(compiled.lengths, by_one.lengths)
    np.testing.assert_allclose(compiled.returns, by_one.returns, rtol=1e-5)
    assert len(set(compiled.lengths.tolist())) > 1


def test_observations_are_normalised():
    spec, policy = policy_for("frankrl/CartPole-functional-v0")
    mean, factor = np.float32([0.01, 0, -0.02, 0.1]), np.float32([30, 4, 9, 2])
    scales = Scales((LeafScale(mean, factor),), np.float32(5), None, np.float32(1))
    q_values = NormalisedQValues(policy, scales)
    compiled, _ = evaluated(spec, q_values, 20)
    by_one, _ = evaluated(spec, lambda *shown, **kept: q_values(*shown, **kept), 20)
    np.testing.assert_array_equal(compiled.lengths, by_one.lengths)


def test_episodes_are_cut_off_stopped_and_given_up_as_on_the_host():
    spec, policy = policy_for("frankrl/NineSquares-functional-v0")
    q_values = NormalisedQValues(policy, None)
    short = EvaluationSettings(evaluation_max_episode_steps=3)
    assert evaluated(spec, q_values, 7, short)[0].lengths.max() == 3
    told = []
    found, _ = evaluated(
        spec, q_values, 60, hopeless_below=9.0, on_episode=lambda *now: told.append(now)
    )
    by_one, _ = evaluated(spec, policy.q_values, 60, hopeless_below=9.0)
    np.testing.assert_array_equal(found.lengths, by_one.lengths)
    assert len(found.returns) < MAX_EVALUATION_ENVS
    assert told == [(0, 60)]
    with pytest.raises(EvaluationStopped):
        evaluated(spec, q_values, 60, stop_requested=lambda: True)


class EndlessReward(own.FrankWalk):
    """A reward that is no number."""

    def step(self, state, action, key):
        after, step = super().step(state, action, key)
        return after, step._replace(reward=step.reward / 0.0)


def test_rewards_that_are_no_numbers_are_refused():
    spec, policy = policy_for(named_env(EndlessReward)[0])
    with pytest.raises(
        EnvironmentFailedError, match="rewards in an evaluation that are not finite"
    ):
        evaluated(spec, NormalisedQValues(policy, None), 3)
