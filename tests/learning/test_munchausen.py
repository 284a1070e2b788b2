"""Munchausen DQN against its formulas in plain NumPy, double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from judged_batch import judged
from small_networks import BATCH

from frankrl.config import LearningSettings
from frankrl.learning.munchausen import munchausen_bonus, soft_bootstrap

BOOTSTRAP = jax.jit(soft_bootstrap, static_argnums=0)
BONUS = jax.jit(munchausen_bonus, static_argnums=0)
Q = np.array([[1.0, 1.02, 0.9, -3.0], [5.0, 5.0, 5.0, 5.0], [0.0, -1e4, 0.01, 0.02]])
SETTINGS = LearningSettings(munchausen=True)


def log_policy(q_values, temperature):
    scaled = q_values / temperature
    scaled = scaled - scaled.max(axis=1, keepdims=True)
    return scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))


@pytest.mark.parametrize("temperature", [0.03, 1.0])
def test_the_value_of_the_next_state_is_the_soft_one(temperature):
    settings = LearningSettings(munchausen=True, munchausen_temperature=temperature)
    logs = log_policy(Q, temperature)
    expected = (np.exp(logs) * (Q - temperature * logs)).sum(axis=1)
    q_values = jnp.asarray(Q, jnp.float32)
    np.testing.assert_allclose(BOOTSTRAP(settings, q_values, q_values), expected, rtol=1e-5)
    # It is also τ ln Σ exp(Q/τ).
    highest = Q.max(axis=1)
    closed = highest + temperature * np.log(
        np.exp((Q - highest[:, None]) / temperature).sum(axis=1)
    )
    np.testing.assert_allclose(expected, closed, rtol=1e-9)


def test_the_bonus_is_the_clipped_logarithm_of_the_actions_probability():
    actions = np.array([1, 0, 1])
    logs = log_policy(Q, 0.03)[np.arange(3), actions]
    expected = 0.9 * np.maximum(0.03 * logs, -1.0)
    found = BONUS(SETTINGS, jnp.asarray(Q, jnp.float32), jnp.asarray(actions))
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert found[2] == pytest.approx(-0.9)  # at the floor


def test_of_quantiles_each_is_averaged_over_the_actions():
    random = np.random.default_rng(0)
    outputs = random.normal(size=(3, 4, 5))
    logs = log_policy(Q, 0.5)
    expected = np.einsum("ba,bak->bk", np.exp(logs), outputs - 0.5 * logs[:, :, None])
    found = BOOTSTRAP(
        LearningSettings(munchausen=True, munchausen_temperature=0.5),
        jnp.asarray(Q, jnp.float32),
        jnp.asarray(outputs, jnp.float32),
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_an_action_that_is_not_allowed_counts_for_nothing():
    allowed, forbidden = jnp.float32([[1.0, 2.0]]), jnp.float32([[1.0, 2.0, -jnp.inf]])
    np.testing.assert_allclose(
        BOOTSTRAP(SETTINGS, forbidden, forbidden), BOOTSTRAP(SETTINGS, allowed, allowed)
    )
    assert BONUS(SETTINGS, forbidden, jnp.array([1])) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("kind", ["mean", "qr"])
def test_a_target_is_the_reward_the_bonus_and_the_discounted_soft_value(kind):
    """Of quantiles each for itself."""
    found = judged(kind, munchausen=True, munchausen_temperature=0.5)
    batch, rows = found.batch, np.arange(BATCH)
    own, following = (
        np.asarray(q_values, np.float64)
        for q_values in (found.outputs.q_values, found.outputs.next_q_values)
    )
    outputs = np.asarray(found.outputs.next_outputs, np.float64).reshape(*following.shape, -1)
    bonus = 0.9 * np.clip(0.5 * log_policy(own, 0.5)[rows, batch.action], -1, 0)
    logs = log_policy(following, 0.5)
    value = np.einsum("ba,bak->bk", np.exp(logs), outputs - 0.5 * logs[:, :, None])
    expected = (batch.reward + bonus)[:, None] + batch.discount[:, None] * value
    np.testing.assert_allclose(
        np.reshape(found.targets, expected.shape), expected, rtol=1e-4, atol=1e-4
    )
