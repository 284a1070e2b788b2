"""Evaluations in compiled calls, held to those that are played one by one on the host."""

import contextlib

import functional_stand_ins as own
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

from frankrl.config import MAX_EVALUATION_ENVS, EvaluationSettings, Settings
from frankrl.core.errors import EnvironmentFailedError
from frankrl.core.normalisation import LeafScale, Scales
from frankrl.core.random import Use
from frankrl.environments import describe, functional_of, named_env
from frankrl.experience import HostPolicy, NormalisedQValues
from frankrl.experience.device import DeviceEnvironments
from frankrl.training.evaluator import EvaluationStopped, Evaluator
from frankrl.training.state import Experiment

USE = Use.EVALUATION_RESET


def policy_for(env_id, width=8):
    """A policy with random weights, and the environment."""
    spec = describe(env_id, {})
    network = Experiment.of(Settings().with_changes(hidden_widths=(width,)), spec, 0).network
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


@pytest.fixture
def told_of_compilations(caplog):
    jax.config.update("jax_log_compiles", True)
    yield caplog
    jax.config.update("jax_log_compiles", False)


def test_what_is_compiled_beside_the_training_is_not_compiled_again(told_of_compilations):
    # A width that no other test has.
    spec, policy = policy_for("frankrl/CartPole-functional-v0", width=7)
    q_values = NormalisedQValues(policy, None)
    with contextlib.closing(Evaluator(spec)) as evaluator:
        evaluator.prepare(q_values)
        evaluator.evaluate(q_values, 3, USE, 3)
    found = [message.split(" in ")[0] for message in told_of_compilations.messages]
    assert found.count("Finished tracing advance for jit") == 1
    assert found.count("Finished XLA compilation of jit(advance)") == 1


def test_an_evaluation_tells_what_failed_beside_the_training():
    spec, policy = policy_for("frankrl/CartPole-functional-v0", width=6)
    # Scales that do not fit: two components of four.
    wrong = LeafScale(np.zeros(2, np.float32), np.ones(2, np.float32))
    q_values = NormalisedQValues(policy, Scales((wrong,), np.float32(5), None, np.float32(1)))
    with contextlib.closing(Evaluator(spec)) as evaluator:
        evaluator.prepare(q_values)
        with pytest.raises(ValueError, match="Incompatible shapes"):
            evaluator.evaluate(q_values, 3, USE, 3)


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


class EndlessObservation(own.FrankWalk):
    """An observation that is no number, after a step."""

    observation_space = spaces.Box(-np.inf, np.inf, (), np.float32)

    def step(self, state, action, key):
        after, step = super().step(state, action, key)
        return after, step._replace(observation=step.observation / 0.0)


class NothingAllowed(own.MaskedWalk):
    """A mask that allows nothing, although the episode goes on."""

    def state_info(self, state, params=None):
        return {"action_mask": jnp.zeros(2, jnp.int8)}


@pytest.mark.parametrize("wrong", [EndlessReward, EndlessObservation, NothingAllowed])
def test_what_no_environment_may_give_is_refused(wrong):
    spec, policy = policy_for(named_env(wrong)[0])
    with pytest.raises(EnvironmentFailedError, match=r"gave in an evaluation .* is not finite"):
        evaluated(spec, NormalisedQValues(policy, None), 3)


class NothingAtTheEnd(own.FrankWalk):
    """Its masks allow nothing where an episode is over, by the time limit too."""

    def reset(self, key):
        state, square, _ = super().reset(key)
        return state, square, jnp.ones(2, jnp.bool)

    def step(self, state, action, key):
        after, step = super().step(state, action, key)
        is_over = step.terminated | step.truncated
        return after, step._replace(mask=jnp.full(2, ~is_over))


def test_a_mask_that_allows_nothing_at_an_end_allows_all_as_on_the_host():
    spec = describe(named_env(NothingAtTheEnd)[0], {})
    environments = DeviceEnvironments.of(functional_of(spec), spec, 4, 0)
    state, _, _ = environments.first(np.arange(4, dtype=np.uint32))
    truncated = np.zeros(4, np.bool_)
    for number in range(1, own.LIMIT + 1):
        # To and fro, so that no goal is reached before the time is up.
        action = np.full(4, number % 2, np.uint32)
        seeds, numbers = np.arange(4, dtype=np.uint32), np.full(4, number, np.int32)
        state, found = environments.next(state, action, seeds, numbers)
        truncated |= np.asarray(found.truncated & ~found.terminated)
        assert np.asarray(found.mask).all()
    assert truncated.any()
