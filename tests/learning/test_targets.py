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
    terminated = random.random(BATCH) < 0.3
    num_steps = random.integers(1, 6, BATCH).astype(np.uint8)
    batch = q_values, target_next, online_next, action, reward, terminated, num_steps
    return tuple(map(jnp.asarray, batch))


def one_target(reward, next_values, *, terminated=False, num_steps=1, gamma=0.99):
    return float(
        td_target(
            jnp.float32([reward]),
            jnp.array([terminated]),
            jnp.uint8([num_steps]),
            jnp.float32([next_values]),
            gamma,
        )[0]
    )


def test_the_notes_worked_example_gives_their_numbers():
    next_q_values = jnp.float32([[2.1, 1.3, 4.7, 0.9]])

    y = one_target(0.3, float(bootstrap_values(next_q_values)[0]))

    assert y == pytest.approx(4.953, abs=1e-6)
    assert (y - 3.1) ** 2 == pytest.approx(3.43, abs=5e-3)


def test_after_termination_the_target_is_the_reward():
    assert one_target(0.3, 4.7, terminated=True) == np.float32(0.3)


def test_an_infinite_value_behind_a_termination_does_not_leak():
    assert one_target(0.3, np.inf, terminated=True) == np.float32(0.3)


def test_a_truncated_episode_keeps_its_future():
    # Truncation is not an argument at all: only `terminated` cuts the future.
    assert one_target(0.0, 1.0, terminated=False, gamma=0.9) == pytest.approx(0.9)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("num_steps", [1, 2, 3, 10, 255])
def test_the_future_is_discounted_by_gamma_to_the_number_of_steps(gamma, num_steps):
    y = one_target(1.0, 2.0, num_steps=num_steps, gamma=gamma)
    assert y == pytest.approx(1 + 2 * gamma**num_steps, rel=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_td_error_agrees_with_rlax_q_learning(seed):
    q_values, target_next, _, action, reward, terminated, num_steps = random_batch(seed)
    discount = jnp.where(terminated, 0.0, 0.97**num_steps)
    expected = jax.vmap(rlax.q_learning)(
        q_values, action.astype(np.int32), reward, discount, target_next
    )

    y = td_target(reward, terminated, num_steps, bootstrap_values(target_next), 0.97)

    np.testing.assert_allclose(y - of_actions(q_values, action), expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_td_error_agrees_with_rlax_double_q_learning(seed):
    q_values, target_next, online_next, action, reward, terminated, num_steps = random_batch(seed)
    discount = jnp.where(terminated, 0.0, 0.97**num_steps)
    expected = jax.vmap(rlax.double_q_learning)(
        q_values, action.astype(np.int32), reward, discount, target_next, online_next
    )

    values = bootstrap_values(target_next, online_next)
    y = td_target(reward, terminated, num_steps, values, 0.97)

    np.testing.assert_allclose(y - of_actions(q_values, action), expected, rtol=2e-5, atol=1e-6)


def test_double_takes_the_first_of_equally_good_actions():
    values = bootstrap_values(jnp.float32([[1.0, 2.0, 3.0]]), jnp.float32([[5.0, 5.0, 4.0]]))
    np.testing.assert_array_equal(values, [1.0])


@pytest.mark.parametrize(("batch", "actions"), [(1, 1), (1, 4), (7, 1), (16, 300)])
def test_of_actions_picks_one_entry_of_each_row(batch, actions):
    random = np.random.default_rng(batch)
    q_values = random.normal(size=(batch, actions)).astype(np.float32)
    action = random.integers(0, actions, batch).astype(np.uint16)

    chosen = of_actions(jnp.array(q_values), jnp.array(action))

    np.testing.assert_array_equal(chosen, [q_values[i, a] for i, a in enumerate(action)])


def test_no_gradient_flows_through_the_target():
    def total(next_q_values):
        ones = jnp.ones(1)
        values = bootstrap_values(next_q_values, next_q_values)
        return td_target(ones, ones < 0, ones.astype(jnp.uint8), values, 0.9).sum()

    gradient = jax.grad(total)(jnp.float32([[1.0, 2.0]]))
    np.testing.assert_array_equal(gradient, [[0.0, 0.0]])
