"""Threefry beside its published numbers and JAX's own, and what is made of its bits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profile import examples
from jax.extend.random import threefry_2x32

from frankrl.core.device_random import (
    as_below,
    as_normals,
    as_uniforms,
    episode_seeds,
    random_bits,
    seed_words,
    threefry,
)
from frankrl.core.random import Use

WORDS = st.integers(0, 2**32 - 1)
DRAWN = jax.jit(random_bits, static_argnums=(1, 3, 4))


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_threefry_gives_the_numbers_that_its_authors_published(key, counter, expected):
    key, counter = (tuple(jnp.array(words, jnp.uint32)) for words in (key, counter))
    assert tuple(map(int, threefry(key, counter))) == expected


@examples(20)
@given(WORDS, st.sampled_from(Use), WORDS)
def test_a_use_has_the_key_that_jax_folds_in(seed, use, counter):
    key = jax.random.key_data(jax.random.fold_in(jax.random.key(np.uint32(seed)), int(use)))
    expected = threefry_2x32(key, np.array([counter, counter, 0, 1], np.uint32))
    found = np.asarray(DRAWN(seed_words(seed), use, np.uint32(counter), 1, 4))
    assert found[0].tolist() == np.asarray(expected).tolist()


def test_rows_are_those_of_one_endless_table():
    whole = np.asarray(DRAWN(seed_words(2**63), Use.REPLAY, 5, 6, 3))
    parts = [np.asarray(DRAWN(seed_words(2**63), Use.REPLAY, 5 + row, 1, 3)) for row in range(6)]
    assert whole.tolist() == np.concatenate(parts).tolist()
    assert len(np.unique(whole)) == whole.size


@examples(50)
@given(WORDS, WORDS)
def test_whole_numbers_below_a_count_are_exact(bits, count):
    assert int(as_below(np.uint32(bits), count)) == bits * count >> 32


def test_uniform_and_normal_numbers_are_distributed_so():
    bits = DRAWN(seed_words(3), Use.REPLAY, 0, 100, 100)
    uniform, normal = np.asarray(as_uniforms(bits)).ravel(), np.asarray(as_normals(bits)).ravel()
    assert scipy.stats.kstest(uniform, "uniform").pvalue > 0.01
    assert scipy.stats.kstest(normal, "norm").pvalue > 0.01
    ends = np.array([0, 2**32 - 1], np.uint32)
    assert np.isfinite(np.asarray(as_normals(ends))).all()
    assert np.asarray(as_uniforms(ends)).max() < 1


def test_each_environment_and_episode_begins_with_a_seed_of_its_own():
    seeds = [
        np.asarray(episode_seeds(seed_words(0), Use.TRAINING_RESET, np.full(8, episode), 2**31))
        for episode in range(50)
    ]
    assert len(np.unique(seeds)) == 400
