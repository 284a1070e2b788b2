"""Behaviour cloning: optax's cross-entropy, masks, and the policy that it ends in."""

import functools

import jax
import numpy as np
import optax
import pytest
from learning_run import begun, setup, step
from small_networks import ACTIONS, BATCH, in_jax, random_batch, stacked

from frankrl.config import Settings
from frankrl.core.errors import SettingError
from frankrl.learning import UpdateMetrics, cloning_terms, metrics_of, updates


def cloning(**changes):
    return setup(algorithm="bc", dataset="data", **changes)


def test_loss_and_gradient_agree_with_optax():
    made = cloning()
    batch, params = in_jax(random_batch(0)), in_jax(made.network.init(1))

    def expected(params):
        logits = made.network.apply(params, batch.observation)
        labels = batch.action.astype(np.int32)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    loss, gradients = jax.jit(jax.value_and_grad(expected))(params)
    terms = jax.jit(lambda params: cloning_terms(made.network, params, batch))(params)
    assert float(terms.loss) == pytest.approx(float(loss), rel=1e-6)
    assert float(np.mean(terms.losses)) == pytest.approx(float(loss), rel=1e-6)
    for own, other in zip(
        jax.tree.leaves(terms.gradients), jax.tree.leaves(gradients), strict=True
    ):
        np.testing.assert_allclose(own, other, rtol=1e-4, atol=1e-6)


def test_actions_that_are_not_allowed_have_no_probability():
    made = cloning()
    mask = np.ones((BATCH, ACTIONS), np.bool_)
    batch = random_batch(0)
    mask[np.arange(BATCH), (batch.action + 1) % ACTIONS] = False
    params = in_jax(made.network.init(1))
    terms = jax.jit(functools.partial(cloning_terms, made.network))(
        params, in_jax(batch._replace(mask=mask))
    )
    logits = np.asarray(made.network.apply(params, batch.observation), np.float64)
    weights = np.where(mask, np.exp(logits), 0)
    chosen = (weights / weights.sum(axis=1, keepdims=True))[np.arange(BATCH), batch.action]
    np.testing.assert_allclose(terms.losses, -np.log(chosen), rtol=1e-5)


def test_rewards_and_next_states_play_no_part_and_there_is_no_target_network():
    made = cloning()
    batch = random_batch(0)
    other = batch._replace(reward=batch.reward + 7, next_observation=-batch.next_observation)
    first, metrics = step(made, begun(made), batch)
    second, _ = step(made, begun(made), other)
    np.testing.assert_array_equal(first.params, second.params)
    assert first.target_params is None
    assert metrics_of(made.learning) == ("loss", "gradient_norm")
    assert [float(getattr(metrics, name)) for name in UpdateMetrics._fields[1:5]] == [0.0] * 4
    assert int(first.num_updates) == 1


def test_cloning_ends_in_the_frequencies_of_the_data():
    """In one state, of which four in five actions are 2: π(2 | s) → 0.8."""
    made = cloning(polyak_window_updates=50)
    one = random_batch(0)
    action = np.array([2, 2, 2, 2, 0, 2, 2, 2, 2, 0], np.uint16)
    same = jax.tree.map(lambda field: np.repeat(field[:1], len(action), axis=0), one)
    batches = stacked([same._replace(action=action)] * 400)
    state, output = jax.jit(updates, static_argnums=(0, 1))(*made, begun(made), batches, 1e-2)
    params = made.network.layout.unflatten(state.eval_params)
    logits = np.asarray(made.network.apply(params, same.observation)[0], np.float64)
    policy = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(policy, [0.2, 0, 0.8, 0], atol=0.01)
    entropy = -(0.8 * np.log(0.8) + 0.2 * np.log(0.2))
    assert float(output.metrics[-1, 0]) == pytest.approx(entropy, abs=0.01)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"distribution": "qr"}, "no distribution"),
        ({"noisy": True}, "does not explore"),
        ({"cql_weight": 0.5}, "algorithm is bc"),
        ({"double": True}, "algorithm is bc"),
        ({"target_period_updates": 5}, "algorithm is bc"),
        ({"n_step": 3}, "algorithm is bc"),
    ],
)
def test_what_cloning_has_no_use_for_is_refused_in_one_sentence(changes, words):
    with pytest.raises(SettingError, match=words):
        Settings().with_changes(algorithm="bc", dataset="data", **changes)
