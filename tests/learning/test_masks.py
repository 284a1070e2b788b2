"""Targets, gradients and statistics where some actions are not allowed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from frankrl.config import LearningSettings, NetworkSettings
from frankrl.core.types import QuadrupleBatch, Scaling
from frankrl.environments.masks import joined
from frankrl.learning import (
    UpdateDraws,
    batch_target,
    init_learner,
    look_ahead,
    target_says,
    update,
)
from frankrl.networks import MaskedQNetwork, QTable, make_q_network, pack

SHAPE = (2, 3)
TARGET_Q, ONLINE_Q = [2.0, 5.0, 3.0], [4.0, 9.0, 1.0]
NEXT_ALLOWED = [True, False, True]


def masked(seed=0, num_actions=4, **settings):
    inner = make_q_network(NetworkSettings(**settings), SHAPE, Scaling(), num_actions, seed)
    return MaskedQNetwork(inner, SHAPE)


def states_and_masks(seed, batch, num_actions=4):
    random = np.random.default_rng(seed)
    allowed = random.random((batch, num_actions)) < 0.5
    allowed[np.arange(batch), random.integers(0, num_actions, batch)] = True
    return random.normal(size=(batch, *SHAPE)).astype(np.float32), allowed


def test_allowed_actions_keep_their_values_and_others_have_minus_infinity():
    network = masked(dueling=True, layer_norm=True, hidden_widths=(8,))
    states, allowed = states_and_masks(0, 20)
    expected = np.where(allowed, network.inner(states), -np.inf)
    stored = joined(states, allowed)
    np.testing.assert_array_equal(network(stored), expected)
    assert network(stored).dtype == np.float32
    compiled = jax.jit(lambda network, observation: network(observation))
    in_jax = compiled(network, jnp.asarray(stored))
    assert in_jax.dtype == jnp.float32
    np.testing.assert_allclose(in_jax, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("double", "terminated", "expected"),
    [
        # y = 1 + ½ · 3: the 5 is not allowed.
        (False, False, 2.5),
        # Of 4 and 1 the Q-network picks the first action: y = 1 + ½ · 2.
        (True, False, 2.0),
        (False, True, 1.0),
        (True, True, 1.0),
    ],
)
def test_the_target_takes_its_maximum_over_allowed_actions(double, terminated, expected):
    settings = LearningSettings(gamma=0.5, double=double)
    target, online = (
        pack(MaskedQNetwork(QTable(jnp.array([values])), (1,))) for values in (TARGET_Q, ONLINE_Q)
    )
    state = np.ones((1, 1), np.float32)
    batch = QuadrupleBatch(
        observation=jnp.array(joined(state, np.ones((1, 3), bool))),
        action=jnp.array([0], jnp.uint16),
        reward=jnp.array([1.0]),
        next_observation=jnp.array(joined(state, np.array([NEXT_ALLOWED]))),
        terminated=jnp.array([terminated]),
        num_steps=jnp.array([1], jnp.uint8),
    )
    draws = UpdateDraws()
    says = target_says(settings, target, batch, draws)
    ahead = look_ahead(settings, online.network(), batch, says, draws)
    y = batch_target(settings, online.network(), batch, ahead)
    assert y.tolist() == [expected]


def batch_of(seed, size=16):
    random = np.random.default_rng(seed)
    states, allowed = states_and_masks(seed, size)
    following, next_allowed = states_and_masks(seed + 1, size)
    actions = [random.choice(np.flatnonzero(row)) for row in allowed]
    return QuadrupleBatch(
        observation=jnp.array(joined(states, allowed)),
        action=jnp.array(actions, jnp.uint16),
        reward=jnp.array(random.normal(size=size), jnp.float32),
        next_observation=jnp.array(joined(following, next_allowed)),
        terminated=jnp.array(random.random(size) < 0.3),
        num_steps=jnp.array(random.integers(1, 4, size), jnp.uint8),
    )


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_every_number_of_masked_updates_is_finite(double, loss):
    settings = LearningSettings(double=double, loss=loss, polyak_window_updates=5)
    state = init_learner(settings, masked(hidden_widths=(8,), dueling=True, layer_norm=True))
    step = jax.jit(lambda state, batch: update(settings, state, batch, 1e-2))
    for seed in range(10):
        state, statistics = step(state, batch_of(seed))
        assert np.isfinite(statistics).all()
    for leaf in jax.tree.leaves(state):
        assert np.isfinite(leaf).all()


def test_where_nothing_of_the_future_counts_a_mask_changes_no_gradient():
    """The mask only hides what was not taken: the weights move as they do without it."""
    settings = LearningSettings(gamma=0.9, max_gradient_norm=None, optimiser="sgd")
    network, batch = masked(hidden_widths=(8,)), batch_of(3)
    batch = batch._replace(terminated=jnp.ones(16, bool))
    size = int(np.prod(SHAPE))
    plain = batch._replace(
        observation=batch.observation[:, :size], next_observation=batch.next_observation[:, :size]
    )
    found, _ = update(settings, init_learner(settings, network), batch, 0.1)
    expected, _ = update(settings, init_learner(settings, network.inner), plain, 0.1)
    np.testing.assert_allclose(found.online.weights, expected.online.weights, rtol=1e-5, atol=1e-7)
    assert np.abs(found.online.weights - pack(network).weights).max() > 1e-3
