import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quiet_rlax import rlax

from frankrl.learning.losses import huber, squared

TD_ERRORS = jnp.float32([-30, -2.5, -1, -0.3, -1e-3, 0, 1e-3, 0.3, 1, 1.853, 2.5, 30])
DELTAS = [0.1, 1.0, 2.5, 100.0]


def gradients(loss):
    return jax.jit(jax.grad(lambda td_error: jnp.sum(loss(td_error))))(TD_ERRORS)


def test_the_notes_loss_is_the_squared_td_error():
    loss = squared(jnp.float32([4.953 - 3.1]))
    np.testing.assert_allclose(loss, [3.433609], rtol=1e-5)
    assert round(float(loss[0]), 2) == 3.43


def test_the_squared_error_is_twice_rlax_l2_loss():
    np.testing.assert_allclose(squared(TD_ERRORS), 2 * rlax.l2_loss(TD_ERRORS), rtol=1e-6)
    np.testing.assert_allclose(gradients(squared), 2 * gradients(rlax.l2_loss), rtol=1e-6)


@pytest.mark.parametrize("delta", DELTAS)
def test_huber_agrees_with_rlax_in_value_and_gradient(delta):
    np.testing.assert_allclose(
        huber(TD_ERRORS, delta), rlax.huber_loss(TD_ERRORS, delta), rtol=1e-6
    )
    np.testing.assert_allclose(
        gradients(lambda x: huber(x, delta)),
        gradients(lambda x: rlax.huber_loss(x, delta)),
        rtol=1e-6,
    )


@pytest.mark.parametrize("delta", DELTAS)
def test_the_gradient_of_huber_is_the_td_error_clipped_to_delta(delta):
    inside = np.abs(np.asarray(TD_ERRORS)) != np.float32(delta)
    found = gradients(lambda x: huber(x, delta))
    expected = np.clip(np.asarray(TD_ERRORS), -delta, delta)
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-6 * delta)


def test_the_gradient_at_zero_error_is_zero_for_both_losses():
    for loss in (squared, lambda error: huber(error, 1.0)):
        assert jax.grad(lambda x, loss=loss: loss(x)[0])(jnp.zeros(1))[0] == 0
