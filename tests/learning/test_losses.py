import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quiet_rlax import rlax

from frankrl.config import LearningSettings
from frankrl.learning import elementwise_loss

TD_ERRORS = jnp.float32([-30, -2.5, -1, -0.3, -1e-3, 0, 1e-3, 0.3, 1, 1.853, 2.5, 30])
DELTAS = [0.1, 1.0, 2.5, 100.0]


def gradients(loss):
    return jax.grad(lambda td_error: jnp.sum(loss(td_error)))(TD_ERRORS)


def huber_settings(delta):
    return LearningSettings(loss="huber", huber_delta=delta)


def test_the_notes_loss_is_the_squared_td_error():
    loss = elementwise_loss(LearningSettings(), jnp.float32([4.953 - 3.1]))
    np.testing.assert_allclose(loss, [3.433609], rtol=1e-5)
    assert round(float(loss[0]), 2) == 3.43


def test_mse_is_twice_rlax_l2_loss():
    settings = LearningSettings(loss="mse")
    np.testing.assert_allclose(
        elementwise_loss(settings, TD_ERRORS), 2 * rlax.l2_loss(TD_ERRORS), rtol=1e-6
    )
    np.testing.assert_allclose(
        gradients(lambda x: elementwise_loss(settings, x)),
        2 * gradients(rlax.l2_loss),
        rtol=1e-6,
    )


@pytest.mark.parametrize("delta", DELTAS)
def test_huber_agrees_with_rlax_in_value_and_gradient(delta):
    settings = huber_settings(delta)
    np.testing.assert_allclose(
        elementwise_loss(settings, TD_ERRORS), rlax.huber_loss(TD_ERRORS, delta), rtol=1e-6
    )
    np.testing.assert_allclose(
        gradients(lambda x: elementwise_loss(settings, x)),
        gradients(lambda x: rlax.huber_loss(x, delta)),
        rtol=1e-6,
    )


@pytest.mark.parametrize("delta", DELTAS)
def test_the_gradient_of_huber_is_the_td_error_clipped_to_delta(delta):
    inside = np.abs(np.asarray(TD_ERRORS)) != np.float32(delta)
    found = gradients(lambda x: elementwise_loss(huber_settings(delta), x))
    expected = np.clip(np.asarray(TD_ERRORS), -delta, delta)
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-6 * delta)


def test_the_gradient_at_zero_error_is_zero_for_both_losses():
    for settings in (LearningSettings(loss="mse"), huber_settings(1.0)):
        slope = jax.grad(lambda x, s=settings: elementwise_loss(s, x)[0])(jnp.zeros(1))
        assert slope[0] == 0
