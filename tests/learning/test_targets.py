import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quiet_rlax import rlax

from frankrl.learning import bootstrap_values, td_target
from frankrl.learning.targets import of_actions

BATCH, ACTIONS = 32, 4


def random_batch(seed):
    random = np.random.default_rng(seed)
    q_values, target_next, online_next = random.normal(size=(3, BATCH, ACTIONS)).astype(np.float32)
    action = random.integers(0, ACTIONS, BATCH).astype(np.uint16)
    reward = random.normal(size=BATCH).astype(np.float32)
    terminated, num_steps = random.random(BATCH) < 0.3, random.integers(1, 6, BATCH)
    discount = np.where(terminated, 0, 0.97**num_steps).astype(np.float32)
    batch = q_values, target_next, online_next, action, reward, discount
    return tuple(map(jnp.asarray, batch))


def one_target(reward, discount, *next_values):
    """Of one transition: of a number, or of several that stand for a distribution."""
    given = jnp.float32([next_values if len(next_values) > 1 else next_values[0]])
    return td_target(jnp.float32([reward]), jnp.float32([discount]), given)[0].tolist()


def test_the_notes_worked_example_gives_their_numbers():
    """y = 0.3 + 0.99 · 4.7 = 4.953; with Q = 3.1 the loss is 3.43."""
    next_q_values = jnp.float32([[2.1, 1.3, 4.7, 0.9]])
    y = one_target(0.3, 0.99, bootstrap_values(next_q_values)[0])
    assert y == pytest.approx(4.953, abs=1e-6)
    assert (y - 3.1) ** 2 == pytest.approx(3.43, abs=5e-3)


def test_without_a_discount_the_target_is_the_reward():
    assert one_target(0.3, 0.0, 4.7) == np.float32(0.3)
    assert one_target(0.3, 0.0, 4.7, -1.0) == [np.float32(0.3)] * 2


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_without_a_discount_a_value_that_is_not_finite_does_not_leak(value):
    assert one_target(0.3, 0.0, value) == np.float32(0.3)
    assert one_target(0.3, 0.0, value, 1.0) == [np.float32(0.3)] * 2


def test_with_a_discount_such_a_value_is_not_hidden():
    assert one_target(0.3, 0.5, np.inf) == np.inf
    assert np.isnan(one_target(0.3, 0.5, np.nan))


@pytest.mark.parametrize("discount", [0.5, 0.99**3, 1.0])
def test_each_quantile_of_the_future_is_discounted_alike(discount):
    found = one_target(1.0, discount, 2.0, -4.0, 0.0)
    assert found == pytest.approx([1 + 2 * discount, 1 - 4 * discount, 1], rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_td_error_agrees_with_rlax_q_learning(seed):
    q_values, target_next, _, action, reward, discount = random_batch(seed)
    expected = jax.jit(jax.vmap(rlax.q_learning))(
        q_values, action.astype(np.int32), reward, discount, target_next
    )
    y = td_target(reward, discount, bootstrap_values(target_next))
    np.testing.assert_allclose(y - of_actions(q_values, action), expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_td_error_agrees_with_rlax_double_q_learning(seed):
    q_values, target_next, online_next, action, reward, discount = random_batch(seed)
    expected = jax.jit(jax.vmap(rlax.double_q_learning))(
        q_values, action.astype(np.int32), reward, discount, target_next, online_next
    )
    y = td_target(reward, discount, bootstrap_values(target_next, online_next))
    np.testing.assert_allclose(y - of_actions(q_values, action), expected, rtol=2e-5, atol=1e-6)


def test_double_takes_the_first_of_equally_good_actions():
    values = bootstrap_values(jnp.float32([[1.0, 2.0, 3.0]]), jnp.float32([[5.0, 5.0, 4.0]]))
    np.testing.assert_array_equal(values, [1.0])


@pytest.mark.parametrize("double", [False, True])
def test_of_several_numbers_an_action_those_of_the_picked_one_are_taken(double):
    random = np.random.default_rng(0)
    target, online = random.normal(size=(2, BATCH, ACTIONS)).astype(np.float32)
    outputs = random.normal(size=(BATCH, ACTIONS, 5)).astype(np.float32)
    picks = (online if double else target).argmax(axis=1)
    given = (jnp.asarray(online) if double else None, jnp.asarray(outputs))
    found = bootstrap_values(jnp.asarray(target), *given)
    np.testing.assert_array_equal(found, outputs[np.arange(BATCH), picks])


@pytest.mark.parametrize(("batch", "actions"), [(1, 1), (1, 4), (7, 1), (16, 300)])
def test_of_actions_picks_one_entry_of_each_row(batch, actions):
    random = np.random.default_rng(batch)
    q_values = random.normal(size=(batch, actions)).astype(np.float32)
    action = random.integers(0, actions, batch).astype(np.uint16)
    chosen = of_actions(jnp.array(q_values), jnp.array(action))
    np.testing.assert_array_equal(chosen, [q_values[i, a] for i, a in enumerate(action)])


def test_of_actions_is_not_disturbed_by_what_is_not_finite_beside_the_action():
    q_values = jnp.float32([[-np.inf, 2.0, np.nan]])
    assert of_actions(q_values, jnp.uint16([1])).tolist() == [2.0]


def test_no_gradient_flows_through_the_target():
    def total(reward, discount, next_q_values):
        values = bootstrap_values(next_q_values, next_q_values)
        return td_target(reward, discount, values).sum()

    given = jnp.ones(1), jnp.full(1, 0.9), jnp.float32([[1.0, 2.0]])
    slopes = jax.jit(jax.grad(total, argnums=(0, 1, 2)))(*given)
    assert not any(slope.any() for slope in slopes)
