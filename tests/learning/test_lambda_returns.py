"""λ-returns: against numbers worked by hand, a plain loop and rlax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quiet_rlax import rlax

from frankrl.learning import lambda_returns, td_target

STEPS, ENVS, GAMMA = 12, 5, 0.97


def random_steps(seed):
    """Rewards, discounts, values and ends of some environments; some ends are truncations."""
    random = np.random.default_rng(seed)
    reward, values = random.normal(size=(2, STEPS, ENVS)).astype(np.float32)
    is_last = random.random((STEPS, ENVS)) < 0.3
    terminated = is_last & (random.random((STEPS, ENVS)) < 0.5)
    discount = np.where(terminated, 0, GAMMA).astype(np.float32)
    return reward, discount, values, is_last


def naive(reward, discount, values, is_last, trace_decay):
    """One environment after another, the weights (1 - λ) λⁿ of all n-step returns written out."""
    found = np.zeros(reward.shape)
    for env in range(reward.shape[1]):
        for first in range(len(reward)):
            total, factor, gain = 0.0, 1.0, 1.0
            for step in range(first, len(reward)):
                total += factor * gain * reward[step, env]
                gain *= discount[step, env]
                ends = is_last[step, env] or step == len(reward) - 1
                share = 1.0 if ends else 1 - trace_decay
                total += factor * gain * share * values[step, env]
                factor *= trace_decay
                if ends:
                    break
            found[first, env] = total
    return found


@pytest.mark.parametrize("trace_decay", [0.0, 0.3, 0.65, 1.0])
def test_they_are_the_weighted_n_step_returns_of_a_plain_loop(trace_decay):
    given = random_steps(0)
    found = lambda_returns(*map(jnp.asarray, given), trace_decay)
    np.testing.assert_allclose(found, naive(*given, trace_decay), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_they_agree_with_rlax_where_no_trace_goes_beyond_an_end(seed):
    reward, discount, values, is_last = map(jnp.asarray, random_steps(seed))
    traces = jnp.where(is_last, 0.0, 0.9)
    peer = jax.jit(jax.vmap(rlax.lambda_returns, in_axes=1, out_axes=1))
    expected = peer(reward, discount, values, traces)
    found = lambda_returns(reward, discount, values, is_last, 0.9)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def column(*numbers):
    return jnp.float32(numbers)[:, None]


def test_three_steps_worked_by_hand():
    """γ = λ = ½. G₂ = 4 + ½ · 8 = 8; G₁ = 2 + ½ (½ · 6 + ½ · 8) = 5.5; G₀ = 1 + ½ (½ · 3 + ½ · 5.5)
    = 3.125."""
    no_end = jnp.zeros((3, 1), bool)
    half = column(0.5, 0.5, 0.5)
    found = lambda_returns(column(1, 2, 4), half, column(3, 6, 8), no_end, 0.5)
    np.testing.assert_array_equal(found, column(3.125, 5.5, 8.0))


def test_a_truncation_bootstraps_from_its_last_observation_and_a_termination_from_nothing():
    """The step after the end belongs to another episode, and its reward of 100 counts nowhere."""
    ends = jnp.array([[False], [True], [False]])
    reward, values = column(1, 2, 100), column(3, 6, 8)
    truncated = lambda_returns(reward, column(0.5, 0.5, 0.5), values, ends, 0.5)
    # G₁ = 2 + ½ · 6 = 5; G₀ = 1 + ½ (½ · 3 + ½ · 5) = 3.
    np.testing.assert_array_equal(truncated, column(3.0, 5.0, 104.0))
    terminated = lambda_returns(reward, column(0.5, 0.0, 0.5), values, ends, 0.5)
    # G₁ = 2; G₀ = 1 + ½ (½ · 3 + ½ · 2) = 2.25.
    np.testing.assert_array_equal(terminated, column(2.25, 2.0, 104.0))


def test_without_a_trace_they_are_the_notes_targets():
    reward, discount, values, is_last = map(jnp.asarray, random_steps(5))
    found = lambda_returns(reward, discount, values, is_last, 0.0)
    expected = td_target(reward.ravel(), discount.ravel(), values.ravel())
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-6)


def test_with_a_whole_trace_they_are_the_discounted_rewards_up_to_the_end():
    reward = column(1, 1, 1, 1)
    discount, ends = column(0.5, 0.5, 0.5, 0.0), jnp.array([[False], [False], [False], [True]])
    found = lambda_returns(reward, discount, column(9, 9, 9, 9), ends, 1.0)
    np.testing.assert_array_equal(found, column(1.875, 1.75, 1.5, 1.0))


def test_a_value_that_is_not_finite_does_not_leak_over_a_terminal_state():
    ends, nothing = jnp.array([[True], [True]]), column(0.0, 0.0)
    found = lambda_returns(column(1, 2), nothing, column(np.inf, np.nan), ends, 0.5)
    np.testing.assert_array_equal(found, column(1.0, 2.0))


def test_no_gradient_flows_through_them():
    reward, discount, values, is_last = map(jnp.asarray, random_steps(1))

    def total(reward, values):
        return lambda_returns(reward, discount, values, is_last, 0.5).sum()

    assert not any(slope.any() for slope in jax.grad(total, argnums=(0, 1))(reward, values))
