"""The record of a recurrent update beside what the update itself gives back, for every head."""

import jax
import numpy as np
import pytest
from long_forms import some_of
from small_networks import in_jax, network_of, numbers, random_noise, settings_of

from frankrl.config import Clock
from frankrl.core.sequences import Sequences
from frankrl.core.types import SequenceSpec
from frankrl.explaining.sequence_record import SampledSequences, sequences_record_of
from frankrl.learning import UpdateMetrics, init_learner, update
from frankrl.replay import Sample

BATCH, BURN_IN, LEARNED, N, UNITS, ACTIONS = 5, 2, 3, 1, 6, 4
SPEC = SequenceSpec(BURN_IN, LEARNED, UNITS, 0.9)
CASES = {
    "munchausen": ("mean", {"munchausen": True}),
    "c51, noisy": ("c51", {"noisy": True, "dueling": True}),
    "iqn": ("iqn", {"double": True}),
    "cql on quantiles": ("qr", {"cql_weight": 0.7}),
}


def sequences(random):
    """Sequences of which the second begins and the third ends within."""
    time = BURN_IN + LEARNED + N
    is_shown, belongs = np.ones((BATCH, time), bool), np.ones((BATCH, LEARNED), bool)
    is_shown[1, :BURN_IN], is_shown[2, BURN_IN + 2 :], belongs[2, 1:] = False, False, False
    mask = random.random((BATCH, time, ACTIONS)) < 0.6
    mask[..., 1] = True
    discount = np.where(belongs & (random.random((BATCH, LEARNED)) < 0.8), 0.9, 0)
    return Sequences(
        spec=SPEC,
        observation=random.normal(size=(BATCH, time, 3)).astype(np.float32),
        is_shown=is_shown,
        memory=random.uniform(-1, 1, (BATCH, UNITS)).astype(np.float32),
        mask=mask,
        action=np.ones((BATCH, LEARNED), np.uint16),
        reward=np.where(belongs, random.normal(size=(BATCH, LEARNED)), 0).astype(np.float32),
        discount=discount.astype(np.float32),
        arrival=BURN_IN + np.arange(1, LEARNED + 1) + np.zeros((BATCH, 1), int),
        belongs=belongs,
    )


@pytest.mark.parametrize("case", some_of(CASES, ["munchausen"]))
def test_a_record_says_what_the_update_gives_back(case):
    kind, changes = CASES[case]
    settings = settings_of(kind, memory="gru", memory_units=UNITS, **changes)
    network, random = network_of(settings, numbers(3)), np.random.default_rng(2)
    learning, state = settings.learning, init_learner(settings.learning, network, network.init(3))
    batch, weights = sequences(random), random.uniform(0.2, 1, BATCH).astype(np.float32)
    noise = in_jax(random_noise(network, 1, BATCH * LEARNED))
    step = jax.jit(update, static_argnums=(0, 1))
    after, found = step(learning, network, state, batch, 0.01, noise, weights)
    own = SampledSequences(
        Sample(np.arange(BATCH), weights, None),
        batch,
        env_steps=np.arange(BATCH * LEARNED, dtype=np.uint32).reshape(BATCH, LEARNED),
        num_steps=np.ones((BATCH, LEARNED), np.uint32),
        terminated=batch.discount == 0,
    )
    record = sequences_record_of(
        learning,
        network,
        state,
        after,
        own,
        env_steps=9,
        clock=Clock.ENV_STEPS,
        learning_rate=0.01,
        noise=noise,
    )
    metrics = UpdateMetrics(*np.asarray(found.metrics))
    close = {"rel": 1e-4, "abs": 1e-6}
    assert len(record.losses) == BATCH * LEARNED - 2
    assert record.loss == pytest.approx(metrics.loss, **close)
    losses = record.losses
    if record.conservative_losses is not None:
        losses = losses + record.conservative_losses
    assert record.loss == pytest.approx(np.mean(record.weights * losses), **close)
    assert record.chosen_q.mean() == pytest.approx(metrics.mean_q, **close)
    assert record.q_values.max(axis=1).mean() == pytest.approx(metrics.mean_max_q, **close)
    assert record.targets.mean() == pytest.approx(metrics.mean_target, **close)
    assert np.abs(record.td_errors).mean() == pytest.approx(metrics.mean_abs_td_error, **close)
    assert record.gradient_norms["all"] == pytest.approx(metrics.gradient_norm, **close)
    first = record.sequences.step == 0
    np.testing.assert_allclose(record.td_errors[first], found.td_errors, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(record.sequences.priorities, found.priorities, rtol=1e-4)
    np.testing.assert_array_equal(np.isinf(record.q_values), ~record.batch.mask)
    np.testing.assert_array_equal(np.isinf(record.target_q_values), ~record.batch.next_mask)
    assert not np.array_equal(record.chosen_q, record.chosen_q_after)
