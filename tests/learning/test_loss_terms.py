"""Under which noise, and at which fractions, each network is asked in an update."""

import functools

import jax
import numpy as np
import pytest
from judged_batch import judged
from small_networks import BATCH, random_noise

from frankrl.learning import batch_loss, predictions
from frankrl.networks import perturb

ROWS = np.arange(BATCH)


@pytest.mark.parametrize("kind", ["mean", "iqn"])
def test_each_network_is_asked_under_noise_of_its_own(kind):
    found = judged(kind, noisy=True, double=True)
    network, batch, noise = found.network, found.batch, found.noise
    assert not np.array_equal(noise.online_noise, noise.target_noise)
    online = perturb(found.params, noise.online_noise)
    target = perturb(found.target_params, noise.target_noise)
    for seen, params, observation in (
        (found.outputs.next_q_values, target, batch.next_observation),
        (found.bootstrap.online_next_q_values, online, batch.next_observation),
    ):
        expected = network.q_values(params, observation)
        np.testing.assert_allclose(seen, expected, rtol=1e-4, atol=1e-5)
    said = network.apply(online, batch.observation, noise.fractions)
    chosen = said[ROWS, batch.action]
    np.testing.assert_allclose(found.predictions.chosen, chosen, rtol=1e-4, atol=1e-5)
    following = network.apply(target, batch.next_observation, noise.target_fractions)
    np.testing.assert_allclose(found.outputs.next_outputs, following, rtol=1e-4, atol=1e-5)


def test_both_states_of_munchausen_are_seen_under_the_target_networks_noise():
    found = judged("mean", noisy=True, munchausen=True)
    target = perturb(found.target_params, found.noise.target_noise)
    for seen, observation in (
        (found.outputs.q_values, found.batch.observation),
        (found.outputs.next_q_values, found.batch.next_observation),
    ):
        expected = found.network.q_values(target, observation)
        np.testing.assert_allclose(seen, expected, rtol=1e-4, atol=1e-5)


def test_other_noise_gives_other_losses():
    found = judged("mean", noisy=True)
    other = random_noise(found.network, 1)
    given = (found.params, found.batch, found.targets, other)
    seen = jax.jit(lambda *given: predictions(found.network, *given))(*given)
    assert np.abs(seen.losses - found.predictions.losses).min() > 0


def test_the_loss_of_a_batch_is_the_mean_of_its_weighted_losses():
    found = judged("c51")
    weights = np.linspace(0, 2, BATCH, dtype=np.float32)
    given = (found.params, found.batch, found.targets, found.noise)
    loss_of = jax.jit(functools.partial(batch_loss, found.network))
    losses = np.asarray(found.predictions.losses, np.float64)
    plain, seen = loss_of(*given)
    assert float(plain) == pytest.approx(losses.mean(), rel=1e-5)
    np.testing.assert_allclose(seen.losses, losses, rtol=1e-5)
    assert float(loss_of(*given, weights)[0]) == pytest.approx((weights * losses).mean(), rel=1e-5)
