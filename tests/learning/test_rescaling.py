"""Value rescaling beside its equations in float64, and beside rlax."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quiet_rlax import rlax
from small_networks import KINDS, settings_of

from frankrl.core.types import Transition
from frankrl.core.value_scale import on_value_scale
from frankrl.learning import bootstrap_values, make_head, rescaling, td_target

rescaled, unscaled = jax.jit(rescaling.rescaled), jax.jit(rescaling.unscaled)
TARGET = jax.jit(td_target, static_argnames="rescaling")
VALUES = np.float32([0, 1e-6, 1e-3, 0.5, 1, 3, 24, 1e3, 1e5, 3e6])
BOTH = np.concatenate([-VALUES[::-1], VALUES])


def test_the_scale_is_that_of_the_paper():
    x = BOTH.astype(np.float64)
    expected = np.sign(x) * (np.sqrt(np.abs(x) + 1) - 1) + 1e-3 * x
    np.testing.assert_allclose(rescaled(jnp.asarray(BOTH)), expected, rtol=1e-6)
    # By hand: h(3) = (2 - 1) + 0.003, h(-24) = -(5 - 1) - 0.024.
    assert rescaled(jnp.float32(3)) == pytest.approx(1.003, rel=1e-6)
    assert rescaled(jnp.float32(-24)) == pytest.approx(-4.024, rel=1e-6)


def test_what_people_see_is_on_the_learners_scale():
    shown = on_value_scale(BOTH.astype(np.float64), is_rescaled=True)
    np.testing.assert_allclose(shown, rescaled(jnp.asarray(BOTH)), rtol=1e-6)
    assert on_value_scale(BOTH, is_rescaled=False) is BOTH


def test_its_inverse_gives_every_value_back():
    np.testing.assert_allclose(unscaled(rescaled(jnp.asarray(BOTH))), BOTH, rtol=3e-6)


def test_both_agree_with_rlax():
    """In rlax's float32 the difference of two numbers near 1 costs some bits."""
    pair = rlax.SIGNED_HYPERBOLIC_PAIR
    np.testing.assert_allclose(rescaled(jnp.asarray(BOTH)), pair.apply(BOTH), rtol=1e-3, atol=1e-6)
    y = np.asarray(rescaled(jnp.asarray(BOTH)))
    np.testing.assert_allclose(unscaled(jnp.asarray(y)), pair.apply_inv(y), rtol=2e-2, atol=1e-3)


def test_a_target_is_the_one_of_rlax():
    random = np.random.default_rng(0)
    q, target_q, picker = (3 * random.normal(size=(3, 16, 4))).astype(np.float32)
    action, reward = random.integers(0, 4, 16), (50 * random.normal(size=16)).astype(np.float32)
    discount = np.where(random.random(16) < 0.3, 0, 0.97).astype(np.float32)

    @jax.jit
    @jax.vmap
    def one(*given):
        own, action, reward, discount, target, picker = given
        best = jnp.argmax(picker)
        policy = jax.nn.one_hot(best, 4)
        y = rlax.SIGNED_HYPERBOLIC_PAIR.apply(
            reward + discount * jnp.sum(policy * rlax.SIGNED_HYPERBOLIC_PAIR.apply_inv(target))
        )
        return y - own[action]

    expected = one(q, action, reward, discount, target_q, picker)
    values = jax.jit(bootstrap_values)(target_q, picker)
    y = TARGET(jnp.asarray(reward), jnp.asarray(discount), values, rescaling=True)
    np.testing.assert_allclose(
        np.asarray(y) - q[np.arange(16), action], expected, rtol=2e-3, atol=2e-3
    )


def test_n_step_targets_agree_with_rlaxs_transformed_ones():
    """Over one step rlax's transformed n-step Q-learning is the same."""
    q = np.float32([[0.3, -1.0], [2.0, 0.5]])
    found = TARGET(jnp.float32([7.0]), jnp.float32([0.9]), jnp.float32([2.0]), rescaling=True)
    peer = functools.partial(
        rlax.transformed_n_step_q_learning, n=1, tx_pair=rlax.SIGNED_HYPERBOLIC_PAIR
    )
    expected = jax.jit(peer)(
        q[:1], jnp.array([0]), q[1:], jnp.array([0]), np.float32([7.0]), np.float32([0.9])
    )
    np.testing.assert_allclose(np.asarray(found) - q[0, 0], expected, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_head_learns_on_the_scale(kind):
    """Of a return that is certain, the target is h(r + discount · h⁻¹(next))."""
    head = make_head(settings_of(kind, value_rescaling=True))
    transition = Transition(
        None, jnp.array([0]), jnp.float32([5.0]), None, jnp.float32([0.5]), None, None
    )
    following = 1.2
    outputs = jnp.float32([following])
    if kind == "c51":
        near = 10 * (1 - np.abs(head.support - following) / 0.8)
        outputs = jnp.asarray(np.log(np.maximum(near / 10, 1e-9)), jnp.float32)[None]
    elif kind != "mean":
        outputs = jnp.full((1, 7), following, jnp.float32)
    by_hand = rescaled(5.0 + 0.5 * unscaled(np.float32(following)))
    found = jax.jit(lambda *given: head.target_mean(head.target(*given)))(transition, outputs)
    np.testing.assert_allclose(found, [by_hand], atol=0.02 if kind == "c51" else 1e-5)
    assert "value_rescaling" in head.target_note
