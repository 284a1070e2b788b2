"""Prioritised sampling beside Schaul et al. (2016), written out in NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from frankrl.config import ReplaySettings, Settings
from frankrl.core.types import QuadrupleBatch
from frankrl.replay import (
    Due,
    PrioritisedSampling,
    filled_part,
    init_replay,
    make_sampling,
    refilled,
)

CAPACITY, BATCH = 40, 8
SAMPLING = PrioritisedSampling(
    batch_size=BATCH, exponent=0.6, epsilon=1e-3, beta=0.4, beta_env_steps=1_000
)
ADD, DRAWN, LEARNED = (jax.jit(f) for f in (SAMPLING.add, SAMPLING.drawn, SAMPLING.learned))


def rows(count):
    zeros = np.zeros((count, 1), np.float32)
    return QuadrupleBatch(
        zeros,
        np.zeros(count, np.uint16),
        np.zeros(count, np.float32),
        zeros,
        np.zeros(count, bool),
        np.ones(count, np.uint8),
    )


def empty():
    return init_replay(CAPACITY, (1,), np.dtype(np.float32), SAMPLING.priorities(CAPACITY))


def added(state, count, most=CAPACITY):
    return ADD(state, rows(most), np.zeros(most, np.uint32), np.uint32(count))


def leaves(state):
    return np.ravel(np.asarray(state.priorities.tree.levels[0]))[:CAPACITY]


def with_errors(errors):
    """A full buffer whose rows have these errors, learned from in one update of each."""
    state = added(empty(), CAPACITY)
    drawn = DRAWN(state, SAMPLING.choice(0, Due(0, 5, 5, CAPACITY, 0, 0)))
    drawn = drawn._replace(indices=jnp.arange(CAPACITY, dtype=jnp.uint32).reshape(5, BATCH))
    return LEARNED(state, drawn, jnp.asarray(errors, jnp.float32).reshape(5, BATCH), np.uint32(5))


def test_new_rows_get_the_largest_priority_given_so_far():
    state = added(empty(), 3)
    np.testing.assert_array_equal(leaves(state)[:5], [1, 1, 1, 0, 0])
    drawn = DRAWN(state, SAMPLING.choice(0, Due(0, 1, 1, 3, 3, 3)))
    drawn = drawn._replace(indices=jnp.asarray([[0, 1, 2, 0, 1, 2, 0, 1]], jnp.uint32))
    errors = np.float32([[0.5, 9.0, 0.1, 0.5, 9.0, 0.1, 0.5, 9.0]])
    state = added(LEARNED(state, drawn, errors, np.uint32(1)), 2)
    expected = (np.array([0.5, 9.0, 0.1, 9.0, 9.0]) + 1e-3) ** 0.6
    np.testing.assert_allclose(leaves(state)[:5], expected, rtol=1e-5)


def test_a_row_learned_from_several_times_in_a_round_gets_its_largest_priority():
    state = added(empty(), CAPACITY)
    drawn = DRAWN(state, SAMPLING.choice(0, Due(0, 2, 3, CAPACITY, 0, 0)))
    drawn = drawn._replace(indices=jnp.zeros((3, BATCH), jnp.uint32) + jnp.uint32(7))
    errors = np.float32([[0.2] * BATCH, [0.5] * BATCH, [99.0] * BATCH])
    # The third of the updates was not due.
    state = LEARNED(state, drawn, errors, np.uint32(2))
    assert leaves(state)[7] == pytest.approx((0.5 + 1e-3) ** 0.6, rel=1e-5)
    assert state.priorities.largest == 1


def test_new_rows_take_the_place_of_the_oldest_and_their_priorities():
    state = with_errors(np.arange(CAPACITY) / 10)
    before = leaves(state)
    after = leaves(added(state, 4))
    np.testing.assert_array_equal(after[4:], before[4:])
    np.testing.assert_array_equal(after[:4], np.full(4, before.max()))


def test_rows_are_drawn_in_proportion_to_their_priorities():
    errors = np.random.default_rng(1).exponential(2.0, CAPACITY)
    errors[3] = 0.0
    state = with_errors(errors)
    expected = (errors + 1e-3) ** 0.6
    expected /= expected.sum()
    updates = 20_000
    drawn = DRAWN(state, SAMPLING.choice(11, Due(0, updates, updates, CAPACITY, 0, 0)))
    counts = np.bincount(np.ravel(drawn.indices), minlength=CAPACITY)
    # One draw from each segment: counts lie nearer to what is expected than chance would put them.
    assert scipy.stats.chisquare(counts, expected * counts.sum()).pvalue > 0.001
    np.testing.assert_allclose(
        np.asarray(drawn.probabilities), expected[np.asarray(drawn.indices)], rtol=1e-4
    )


def test_draws_of_one_segment_are_spread_over_it_evenly():
    """Those of many updates are independent of each other: the test is as strict as it says."""
    errors = np.random.default_rng(5).exponential(2.0, CAPACITY)
    state = with_errors(errors)
    weight = (errors + 1e-3) ** 0.6
    ends = np.cumsum(weight) / weight.sum() * BATCH
    drawn = DRAWN(state, SAMPLING.choice(2, Due(0, 20_000, 20_000, CAPACITY, 0, 0)))
    for segment in range(BATCH):
        inside = np.diff(np.clip(ends, segment, segment + 1), prepend=segment)
        counts = np.bincount(np.asarray(drawn.indices)[:, segment], minlength=CAPACITY)
        hit = inside > 1e-3
        assert counts[~hit].sum() <= 100
        expected = inside[hit] / inside[hit].sum() * counts[hit].sum()
        assert scipy.stats.chisquare(counts[hit], expected).pvalue > 0.001


@pytest.mark.parametrize(("env_steps", "beta"), [(0, 0.4), (500, 0.7), (1_000, 1.0), (9_999, 1.0)])
def test_weights_undo_the_bias_by_beta(env_steps, beta):
    state = with_errors(np.arange(1, CAPACITY + 1) / 7)
    choice = SAMPLING.choice(4, Due(0, 3, 3, CAPACITY, 0, env_steps))
    assert choice.beta == pytest.approx(beta)
    drawn = DRAWN(state, choice)
    priorities = (np.arange(1, CAPACITY + 1) / 7 + 1e-3) ** 0.6
    likely = priorities / priorities.sum()
    raw = (CAPACITY * likely[np.asarray(drawn.indices)]) ** -beta
    np.testing.assert_allclose(drawn.weights, raw / raw.max(axis=1, keepdims=True), rtol=1e-4)


def test_with_beta_1_the_weighted_mean_is_the_uniform_one():
    """Σ P(i) wᵢ xᵢ ∝ Σ xᵢ: what the weights are for."""
    errors = np.arange(1, CAPACITY + 1) / 7
    state = with_errors(errors)
    updates = 50_000
    drawn = DRAWN(state, SAMPLING.choice(9, Due(0, updates, updates, CAPACITY, 0, 1_000)))
    # Each batch's weights are divided by its largest, which is that of its least likely row.
    values = errors[np.asarray(drawn.indices)]
    least = (values.min(axis=1, keepdims=True) + 1e-3) ** 0.6
    weights = np.asarray(drawn.weights) / least
    assert (weights * values).sum() / weights.sum() == pytest.approx(errors.mean(), rel=5e-3)
    assert values.mean() > 1.2 * errors.mean()


def test_a_draw_never_rounds_to_1(monkeypatch):
    nearly = np.full((2, BATCH), np.nextafter(1.0, 0.0))
    monkeypatch.setattr("frankrl.replay.prioritised.uniforms", lambda *_, **__: nearly)
    choice = SAMPLING.choice(0, Due(0, 2, 2, CAPACITY, 0, 0))
    assert choice.uniforms.dtype == np.float32
    assert (choice.uniforms < 1).all()
    assert (choice.uniforms > 1 - 1e-6).all()


def test_exponent_0_makes_all_rows_equally_likely():
    flat = PrioritisedSampling(BATCH, 0.0, 1e-6, 0.4, 1_000)
    state = added(empty(), CAPACITY)
    drawn = jax.jit(flat.drawn)(state, flat.choice(0, Due(0, 5, 5, CAPACITY, 0, 0)))
    drawn = drawn._replace(indices=jnp.arange(CAPACITY, dtype=jnp.uint32).reshape(5, BATCH))
    errors = np.random.default_rng(0).exponential(3.0, (5, BATCH)).astype(np.float32)
    state = jax.jit(flat.learned)(state, drawn, errors, np.uint32(5))
    np.testing.assert_array_equal(leaves(state), np.ones(CAPACITY))
    drawn = jax.jit(flat.drawn)(state, flat.choice(0, Due(5, 5, 5, CAPACITY, 0, 0)))
    np.testing.assert_array_equal(drawn.weights, np.ones((5, BATCH)))


def test_draws_depend_on_the_seed_and_the_updates_number_alone():
    state = with_errors(np.arange(CAPACITY) / 3)
    together = DRAWN(state, SAMPLING.choice(5, Due(0, 6, 6, CAPACITY, 0, 0)))
    apart = DRAWN(state, SAMPLING.choice(5, Due(4, 2, 2, CAPACITY, 3, 0)))
    np.testing.assert_array_equal(together.indices[4:], apart.indices)
    other = DRAWN(state, SAMPLING.choice(6, Due(0, 6, 6, CAPACITY, 0, 0)))
    assert (np.asarray(other.indices) != np.asarray(together.indices)).any()


@pytest.mark.parametrize("count", [1, 15, 17, CAPACITY, CAPACITY + 9])
def test_what_is_saved_of_the_priorities_gives_them_back_bit_for_bit(count):
    state = empty()
    for _ in range(count):
        state = added(state, 1, most=1)
    drawn = DRAWN(state, SAMPLING.choice(0, Due(0, 4, 4, count, 0, 0)))
    errors = np.random.default_rng(count).exponential(1.0, (4, BATCH)).astype(np.float32)
    state = LEARNED(state, drawn, errors, np.uint32(4))
    again = refilled(filled_part(state), CAPACITY)
    assert jax.tree.structure(state) == jax.tree.structure(again)
    for one, other in zip(jax.tree.leaves(state), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(one, other)


def test_settings_are_what_the_sampling_is_made_of():
    settings = Settings().with_changes(
        replay_sampling="prioritised", priority_exponent=0.7, priority_beta=0.2, batch_size=16
    )
    assert make_sampling(settings.resolved().replay) == PrioritisedSampling(
        batch_size=16, exponent=0.7, epsilon=1e-6, beta=0.2, beta_env_steps=100_000
    )
    with pytest.raises(ValueError, match=r"Settings\.resolved"):
        make_sampling(ReplaySettings(replay_sampling="prioritised"))


def test_a_later_budget_does_not_bend_the_rise_of_beta():
    settings = Settings().with_changes(replay_sampling="prioritised", total_env_steps=500)
    longer = settings.resolved().with_changes(total_env_steps=5_000).resolved()
    assert longer.replay.priority_beta_env_steps == 500


def test_equal_samplings_share_one_compilation():
    @functools.partial(jax.jit, static_argnums=0)
    def draw(sampling, state, choice):
        return sampling.drawn(state, choice)

    state = with_errors(np.ones(CAPACITY))
    choice = SAMPLING.choice(0, Due(0, 1, 1, CAPACITY, 0, 0))
    draw(SAMPLING, state, choice)
    draw(PrioritisedSampling(BATCH, 0.6, 1e-3, 0.4, 1_000), state, choice)
    assert draw._cache_size() == 1
