"""Uniform draws beside chi-squared and the formula; the newest transitions beside a list."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profile import examples

from frankrl.core.random import Use, uniforms
from frankrl.replay import NewestSampler, ReplayBuffer, SampleRequest, UniformSampler

SEED = 3


def drawn(batch_size, first_update, num_updates, first, end, seed=SEED):
    request = SampleRequest(first_update, num_updates, first, end, num_new=1, ticks=end)
    return UniformSampler(batch_size).draws(seed, request)


@pytest.mark.parametrize(("first", "end"), [(0, 1), (0, 3), (5, 13), (2**31 - 9, 2**31 - 1)])
def test_only_what_can_be_drawn_is_drawn_and_all_of_it(first, end):
    found = drawn(100, 0, 4, first, end)
    assert found.dtype == np.uint32
    assert found.shape == (4, 100)
    assert set(found.ravel().tolist()) == set(range(first, end))


@pytest.mark.parametrize(("first", "end"), [(0, 7), (0, 50), (33, 83), (1_000_001, 1_000_012)])
def test_draws_are_uniform(first, end):
    found = drawn(250, 0, 200, first, end).astype(np.int64) - first
    counts = np.bincount(found.ravel(), minlength=end - first)
    assert scipy.stats.chisquare(counts).pvalue > 1e-3


def test_the_draws_of_one_batch_are_independent_of_each_other():
    found = drawn(2, 0, 5_000, 0, 5)
    pairs = np.bincount(found[:, 0] * 5 + found[:, 1], minlength=25)
    assert scipy.stats.chisquare(pairs).pvalue > 1e-3


@pytest.mark.parametrize("num_steps", [1, 29, 30, 31, 59, 60, 12_345])
def test_the_slot_in_a_ring_of_finished_transitions_is_the_floor_of_u_times_fill(num_steps):
    """As if each transition lay in the slot of a ring in which the oldest is overwritten."""
    capacity, batch_size = 30, 16
    buffer = ReplayBuffer(capacity, 1, 1, 0.9, UniformSampler(batch_size))
    found = drawn(batch_size, 7, 5, *buffer.drawable(num_steps)).astype(np.int64)
    numbers = uniforms(SEED, Use.REPLAY, 7, 5, width=batch_size)
    slots = np.floor(numbers * min(num_steps, capacity)).astype(int)
    held = {step % capacity: step for step in range(num_steps)}
    np.testing.assert_array_equal(found, [[held[slot] for slot in row] for row in slots.tolist()])


@pytest.mark.parametrize("first_update", [0, 17, 1_000_000])
@pytest.mark.parametrize("batch_size", [1, 16, 100_000])
def test_drawing_for_several_updates_at_once_equals_drawing_one_by_one(first_update, batch_size):
    together = drawn(batch_size, first_update, 6, 40, 70)
    alone = [drawn(batch_size, first_update + i, 1, 40, 70)[0] for i in range(6)]
    np.testing.assert_array_equal(together, alone)


def test_another_seed_update_or_number_of_transitions_gives_other_draws():
    base = drawn(16, 5, 2, 0, 30)
    for other in (
        drawn(16, 5, 2, 0, 31),
        drawn(16, 5, 2, 0, 30, seed=SEED + 1),
        drawn(16, 6, 2, 0, 30),
    ):
        assert not np.array_equal(base, other)


@pytest.mark.parametrize("sampler", [UniformSampler(4), NewestSampler(4)])
def test_where_no_update_is_due_nothing_is_drawn(sampler):
    for end in (0, 9):
        found = sampler.draws(SEED, SampleRequest(0, 0, 0, end, 0, 12))
        assert found.shape == (0, 4)
        assert found.dtype == np.uint32


@examples(200)
@given(
    capacity=st.integers(4, 12),
    num_envs=st.integers(1, 3),
    n_step=st.integers(1, 3),
    batch_size=st.integers(1, 4),
    rounds=st.lists(st.tuples(st.integers(1, 2), st.integers(0, 4)), min_size=1, max_size=12),
)
def test_the_newest_transitions_are_those_at_the_end_of_a_list(
    capacity, num_envs, n_step, batch_size, rounds
):
    """Each update of a round learns from what was finished by its share of the round."""
    buffer = ReplayBuffer(capacity, num_envs, n_step, 0.9, NewestSampler(batch_size))
    num_steps, finished = 0, []
    for vector_steps, num_updates in rounds:
        before = len(finished)
        for _ in range(num_envs * vector_steps):
            num_steps += 1
            if num_steps > (n_step - 1) * num_envs:
                finished.append(len(finished))
        if not finished:
            continue
        first, end = buffer.drawable(num_steps)
        new = len(finished) - before
        request = SampleRequest(0, num_updates, first, end, new, num_steps)
        found = buffer.sampler.draws(SEED, request)
        assert found.shape == (num_updates, batch_size)
        held = finished[-capacity:]
        for update in range(1, num_updates + 1):
            seen = finished[: max(before + update * new // num_updates, 1)]
            # All of a round are added before its updates begin, so some may be gone.
            while len(set(seen) & set(held)) < min(batch_size, len(seen)):
                seen.append(len(seen))
            chosen = found[update - 1].tolist()
            if len(seen) >= batch_size:
                assert chosen == seen[-batch_size:]
            else:
                assert set(chosen) == set(seen)
        if num_updates:
            assert found[-1, -1] == finished[-1]


@pytest.mark.parametrize("end", [2**31 - 50, 2**31, 2**31 + 50, 4_000_000_000])
@pytest.mark.parametrize("sampler", [NewestSampler(16), UniformSampler(16)])
def test_late_in_the_longest_runs_only_what_can_be_drawn_is_drawn(sampler, end):
    """On the host and in compiled code; both know env steps as 32 bits without a sign."""
    first, num_updates = end - 90, 5
    request = SampleRequest(2**32 - 7, num_updates, first, end, 8, end)
    bits = np.random.default_rng(0).integers(0, 2**32, (num_updates, 16), np.uint32)
    on_device = sampler.device_draws(jnp.asarray(bits), request)
    shares = [end - 8 + number * 8 // num_updates for number in range(1, num_updates + 1)]
    for draws in (sampler.draws(SEED, request), on_device):
        found = np.asarray(draws).astype(np.int64)
        assert first <= found.min() <= found.max() < end
        if isinstance(sampler, NewestSampler):
            assert found.tolist() == [list(range(share - 16, share)) for share in shares]


def test_samplers_compare_by_value():
    assert UniformSampler(4) == UniformSampler(4) != UniformSampler(5)
    assert hash(NewestSampler(4)) == hash(NewestSampler(4))
    assert UniformSampler(4) != NewestSampler(4)
