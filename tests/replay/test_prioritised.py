"""Prioritised sampling beside Schaul et al. (2016), written out in NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profile import examples
from saved_chunks import SavedChunks

from frankrl.core.types import Steps
from frankrl.replay import (
    PrioritisedSampler,
    ReplayBuffer,
    Sample,
    SampleRequest,
)

CAPACITY, BATCH = 40, 8
SAMPLER = PrioritisedSampler(
    batch_size=BATCH, exponent=0.6, epsilon=1e-3, beta=0.4, beta_ticks=1_000
)
BUFFER = ReplayBuffer(CAPACITY, 1, 1, 0.9, SAMPLER)


@functools.lru_cache
def compiled(sampler, capacity):
    sample = jax.jit(lambda state, draws: sampler.sample(state, capacity, draws))
    learn = jax.jit(lambda *given: sampler.set_priorities(given[0], capacity, *given[1:]))
    return sample, learn


SAMPLE, LEARN = compiled(SAMPLER, CAPACITY)


@functools.lru_cache
def compiled_add(buffer):
    return jax.jit(buffer.add)


def empty(buffer=BUFFER):
    return buffer.init(jax.ShapeDtypeStruct((1,), np.float32), None, 1)


def added(state, count, buffer=BUFFER):
    """The buffer after so many steps in which nothing happens and nothing ends."""
    steps = Steps(
        observation=np.zeros((count + buffer.num_envs, 1), np.float32),
        mask=None,
        action=np.zeros(count, int),
        reward=np.zeros(count, np.float32),
        is_last=np.zeros(count, bool),
        terminated=np.zeros(count, bool),
        last_observation=np.zeros((count, 1), np.float32),
        last_mask=None,
    )
    return compiled_add(buffer)(state, steps)


def request(state, num_updates, *, first_update=0, env_steps=0, buffer=BUFFER):
    first, end = buffer.drawable(int(state.num_steps))
    return SampleRequest(first_update, num_updates, first, end, 0, env_steps)


def sampled(state, num_updates, seed, **how):
    return SAMPLE(state, SAMPLER.draws(seed, request(state, num_updates, **how)))


def named(env_steps):
    """Transitions that somebody names, rather than draws."""
    return Sample(jnp.asarray(env_steps, jnp.uint32), None, None)


def priorities(state, capacity=CAPACITY):
    return np.ravel(np.asarray(state.priorities.tree.levels[0]))[:capacity]


def with_errors(errors):
    """A full buffer whose transitions have these errors, learned from in one update of each."""
    state = added(empty(), CAPACITY)
    errors = np.asarray(errors, np.float32).reshape(5, BATCH)
    return LEARN(state, named(np.arange(CAPACITY).reshape(5, BATCH)), errors)


def test_new_transitions_get_the_largest_priority_given_so_far():
    state = added(empty(), 3)
    np.testing.assert_array_equal(priorities(state)[:5], [1, 1, 1, 0, 0])
    errors = np.float32([[0.5, 9.0, 0.1, 0.5, 9.0, 0.1, 0.5, 9.0]])
    state = added(LEARN(state, named([[0, 1, 2, 0, 1, 2, 0, 1]]), errors), 2)
    expected = (np.array([0.5, 9.0, 0.1, 9.0, 9.0]) + 1e-3) ** 0.6
    np.testing.assert_allclose(priorities(state)[:5], expected, rtol=1e-5)


def test_a_transition_learned_from_several_times_in_a_round_gets_its_largest_priority():
    state = added(empty(), CAPACITY)
    errors = np.float32([[0.2] * BATCH, [0.5] * BATCH, [0.3] * BATCH])
    state = LEARN(state, named(np.full((3, BATCH), 7)), errors)
    assert priorities(state)[7] == pytest.approx((0.5 + 1e-3) ** 0.6, rel=1e-5)
    assert state.priorities.largest == 1


def test_the_largest_priority_never_falls():
    state = with_errors(np.full(CAPACITY, 50.0))
    largest = float(state.priorities.largest)
    assert largest == pytest.approx((50 + 1e-3) ** 0.6, rel=1e-5)
    state = LEARN(state, named(np.arange(CAPACITY).reshape(5, BATCH)), np.zeros((5, BATCH), "f4"))
    assert float(state.priorities.largest) == largest
    assert priorities(added(state, 1))[0] == pytest.approx(largest)


def test_new_transitions_take_the_place_of_the_oldest_and_their_priorities():
    state = with_errors(np.arange(CAPACITY) / 10)
    before = priorities(state)
    after = priorities(added(state, 4))
    np.testing.assert_array_equal(after[4:], before[4:])
    np.testing.assert_array_equal(after[:4], np.full(4, before.max()))


def test_transitions_are_drawn_in_proportion_to_their_priorities():
    errors = np.random.default_rng(1).exponential(2.0, CAPACITY)
    errors[3] = 0.0
    state = with_errors(errors)
    expected = (errors + 1e-3) ** 0.6
    expected /= expected.sum()
    sample = sampled(state, 20_000, seed=11)
    counts = np.bincount(np.ravel(sample.env_steps), minlength=CAPACITY)
    # One draw from each segment: counts lie nearer to what is expected than chance would put them.
    assert scipy.stats.chisquare(counts, expected * counts.sum()).pvalue > 0.001
    np.testing.assert_allclose(
        np.asarray(sample.probabilities), expected[np.asarray(sample.env_steps)], rtol=1e-4
    )


def test_draws_of_one_segment_are_spread_over_it_evenly():
    """Those of many updates are independent of each other: the test is as strict as it says."""
    errors = np.random.default_rng(5).exponential(2.0, CAPACITY)
    state = with_errors(errors)
    weight = (errors + 1e-3) ** 0.6
    ends = np.cumsum(weight) / weight.sum() * BATCH
    sample = sampled(state, 20_000, seed=2)
    for segment in range(BATCH):
        inside = np.diff(np.clip(ends, segment, segment + 1), prepend=segment)
        counts = np.bincount(np.asarray(sample.env_steps)[:, segment], minlength=CAPACITY)
        hit = inside > 1e-3
        assert counts[~hit].sum() <= 100
        expected = inside[hit] / inside[hit].sum() * counts[hit].sum()
        assert scipy.stats.chisquare(counts[hit], expected).pvalue > 0.001


class Naive:
    """Priorities in a list by env step, searched from the first slot at each draw.

    Errors are whole numbers, α is 1 and ε a half: no sum of priorities is rounded.
    """

    def __init__(self, buffer):
        self.buffer, self.priorities, self.largest = buffer, {}, 1.0

    def add(self, num_steps):
        first, end = self.buffer.drawable(num_steps)
        for env_step in range(first, end):
            self.priorities.setdefault(env_step, self.largest)
        self.priorities = {step: self.priorities[step] for step in range(first, end)}

    def sample(self, uniforms, beta):
        in_slots = sorted(self.priorities, key=lambda step: step % self.buffer.capacity)
        whole = sum(self.priorities.values())
        found = [self._found(in_slots, whole, row) for row in uniforms.tolist()]
        raw = np.array([[self.priorities[step] for step in row] for row in found])
        weights = (len(in_slots) * raw / whole) ** -beta
        return found, weights / weights.max(axis=1, keepdims=True), raw / whole

    def _found(self, in_slots, whole, uniforms):
        found = []
        for segment, number in enumerate(uniforms):
            target = (segment + number) * whole / len(uniforms)
            for step in in_slots:
                if target < self.priorities[step]:
                    break
                target -= self.priorities[step]
            found.append(step)
        return found

    def learn(self, env_steps, errors):
        new = {}
        for step, error in zip(env_steps, errors, strict=True):
            new[step] = max(new.get(step, 0), error + 0.5)
        self.priorities |= new
        self.largest = max(self.largest, *new.values())


EXACT = PrioritisedSampler(4, exponent=1.0, epsilon=0.5, beta=0.4, beta_ticks=50)
BUFFERS = [
    ReplayBuffer(8, 1, 1, 0.9, EXACT),
    ReplayBuffer(17, 3, 2, 0.9, EXACT),
    ReplayBuffer(50, 2, 4, 0.9, EXACT),
]
EVENTS = st.lists(
    st.tuples(st.integers(1, 9), st.lists(st.integers(0, 60), min_size=8, max_size=8)),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize("buffer", BUFFERS, ids=["full_soon", "n_step", "large"])
@examples(25)
@given(events=EVENTS, seed=st.integers(0, 100))
def test_samples_are_those_of_a_list_that_is_searched_from_its_beginning(buffer, events, seed):
    """Through wrap-around, with n-step returns, whatever was learned before."""
    sample_of, learn = compiled(EXACT, buffer.capacity)
    state, naive, done = empty(buffer), Naive(buffer), 0
    for rounds, errors in events:
        for _ in range(rounds):
            state = added(state, buffer.num_envs, buffer)
            naive.add(int(state.num_steps))
        if not naive.priorities:
            continue
        due = request(state, 2, first_update=done, env_steps=int(state.num_steps), buffer=buffer)
        draws = EXACT.draws(seed, due)
        sample = sample_of(state, draws)
        found, weights, probabilities = naive.sample(draws.uniforms, draws.beta)
        assert np.asarray(sample.env_steps).tolist() == found
        np.testing.assert_allclose(sample.weights, weights, rtol=1e-5)
        np.testing.assert_allclose(sample.probabilities, probabilities, rtol=1e-6)
        state = learn(state, sample, np.float32(errors).reshape(2, 4))
        naive.learn(np.ravel(sample.env_steps).tolist(), errors)
        assert float(state.priorities.largest) == naive.largest
        expected = np.zeros(buffer.capacity)
        for env_step, priority in naive.priorities.items():
            expected[env_step % buffer.capacity] = priority
        np.testing.assert_array_equal(priorities(state, buffer.capacity), expected)
        done += 2


@pytest.mark.parametrize(("env_steps", "beta"), [(0, 0.4), (500, 0.7), (1_000, 1.0), (9_999, 1.0)])
def test_weights_undo_the_bias_by_beta(env_steps, beta):
    state = with_errors(np.arange(1, CAPACITY + 1) / 7)
    draws = SAMPLER.draws(4, request(state, 3, env_steps=env_steps))
    assert draws.beta == pytest.approx(beta)
    sample = SAMPLE(state, draws)
    likely = (np.arange(1, CAPACITY + 1) / 7 + 1e-3) ** 0.6
    likely /= likely.sum()
    raw = (CAPACITY * likely[np.asarray(sample.env_steps)]) ** -beta
    np.testing.assert_allclose(sample.weights, raw / raw.max(axis=1, keepdims=True), rtol=1e-4)


def test_with_beta_1_the_weighted_mean_is_the_uniform_one():
    """Σ P(i) wᵢ xᵢ ∝ Σ xᵢ: what the weights are for."""
    errors = np.arange(1, CAPACITY + 1) / 7
    sample = sampled(with_errors(errors), 50_000, seed=9, env_steps=1_000)
    # Each batch's weights are divided by its largest, which is that of its least likely one.
    values = errors[np.asarray(sample.env_steps)]
    least = (values.min(axis=1, keepdims=True) + 1e-3) ** 0.6
    weights = np.asarray(sample.weights) / least
    assert (weights * values).sum() / weights.sum() == pytest.approx(errors.mean(), rel=5e-3)
    assert values.mean() > 1.2 * errors.mean()


def test_a_draw_never_rounds_to_1(monkeypatch):
    nearly = np.full((2, BATCH), np.nextafter(1.0, 0.0))
    monkeypatch.setattr("frankrl.replay.prioritised.uniforms", lambda *_, **__: nearly)
    draws = SAMPLER.draws(0, SampleRequest(0, 2, 0, CAPACITY, 0, 0))
    assert draws.uniforms.dtype == np.float32
    assert (draws.uniforms < 1).all()
    assert (draws.uniforms > 1 - 1e-6).all()


def test_exponent_0_makes_all_transitions_equally_likely():
    flat = PrioritisedSampler(BATCH, 0.0, 1e-6, 0.4, 1_000)
    sample_of, learn = compiled(flat, CAPACITY)
    errors = np.random.default_rng(0).exponential(3.0, (5, BATCH)).astype(np.float32)
    state = learn(added(empty(), CAPACITY), named(np.arange(CAPACITY).reshape(5, BATCH)), errors)
    np.testing.assert_array_equal(priorities(state), np.ones(CAPACITY))
    sample = sample_of(state, flat.draws(0, request(state, 5, first_update=5)))
    np.testing.assert_array_equal(sample.weights, np.ones((5, BATCH)))


def test_draws_depend_on_the_seed_and_the_updates_number_alone():
    state = with_errors(np.arange(CAPACITY) / 3)
    together = sampled(state, 6, seed=5)
    apart = sampled(state, 2, seed=5, first_update=4)
    np.testing.assert_array_equal(together.env_steps[4:], apart.env_steps)
    other = sampled(state, 6, seed=6)
    assert (np.asarray(other.env_steps) != np.asarray(together.env_steps)).any()


def test_where_no_update_is_due_nothing_is_drawn():
    for state in (empty(), added(empty(), 3)):
        sample = sampled(state, 0, seed=5)
        assert sample.env_steps.shape == sample.weights.shape == (0, BATCH)


@pytest.mark.parametrize("count", [1, 15, 17, CAPACITY, CAPACITY + 9])
def test_what_is_saved_of_the_priorities_gives_them_back_bit_for_bit(count):
    state = empty()
    for _ in range(count):
        state = added(state, 1)
    errors = np.random.default_rng(count).exponential(1.0, (4, BATCH)).astype(np.float32)
    state = LEARN(state, sampled(state, 4, seed=0), errors)
    disk = SavedChunks(BUFFER, 16)
    disk.save(state)
    again = disk.restore(jax.eval_shape(lambda: state))
    assert jax.tree.structure(state) == jax.tree.structure(again)
    for one, other in zip(jax.tree.leaves(state), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(one, other)


def test_equal_samplers_share_one_compilation():
    @functools.partial(jax.jit, static_argnums=0)
    def draw(sampler, state, draws):
        return sampler.sample(state, CAPACITY, draws)

    state = with_errors(np.ones(CAPACITY))
    draws = SAMPLER.draws(0, request(state, 1))
    draw(SAMPLER, state, draws)
    draw(PrioritisedSampler(BATCH, 0.6, 1e-3, 0.4, 1_000), state, draws)
    assert draw._cache_size() == 1
