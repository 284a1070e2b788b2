import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profile import examples

from frankrl.core.random import (
    RESET_SEEDS,
    Use,
    generator,
    reset_seed,
    sequence,
    uniforms,
)

SEEDS = st.integers(0, 2**63)
USES = st.sampled_from(Use)


@examples(50)
@given(SEEDS, USES, st.integers(0, 10**9), st.integers(0, 10**6))
def test_every_draw_is_a_function_of_its_arguments_alone(seed, use, first, second):
    def draws():
        return (
            generator(seed, use, first).random(5).tolist(),
            uniforms(seed, use, first, 3, 2).tolist(),
            reset_seed(seed, use, first, second) if use in RESET_SEEDS else None,
        )

    before = draws()
    generator(seed + 1, use, first).random(100)
    assert draws() == before


def test_the_stream_is_numpys_philox_keyed_by_use_and_counters():
    expected = np.random.Generator(
        np.random.Philox(np.random.SeedSequence(5, spawn_key=(2, 7, 9)))
    ).random(4)
    np.testing.assert_array_equal(generator(5, Use.EXPLORATION, 7, 9).random(4), expected)


def test_other_uses_seeds_and_counters_give_other_numbers():
    streams = {
        tuple(generator(seed, use, *counters).integers(0, 2**63, 2))
        for seed in (0, 1, 2**40)
        for use in Use
        for counters in ((), (0,), (1,), (0, 1), (1, 0), (2**33,))
    }
    assert len(streams) == 3 * len(Use) * 6


def test_the_numbers_of_the_uses_never_change():
    assert {use.name: int(use) for use in Use}.items() >= {
        "NETWORK": 1,
        "EXPLORATION": 2,
        "REPLAY": 3,
        "TRAINING_RESET": 4,
        "EVALUATION_RESET": 5,
        "SOLVED_RESET": 6,
        "FILM_RESET": 7,
    }.items()


@pytest.mark.parametrize("start", [0, 1, 32_700, 32_767, 32_768, 32_769, 1_000_003])
@pytest.mark.parametrize("count", [1, 2, 68, 69, 70_000])
def test_rows_of_the_table_are_the_same_singly_and_together(start, count):
    table = uniforms(1, Use.EXPLORATION, start, count, 2)
    assert table.shape == (count, 2)
    for row in (0, count // 2, count - 1):
        alone = uniforms(1, Use.EXPLORATION, start + row, 1, 2)
        np.testing.assert_array_equal(table[row], alone[0])


def test_numbers_are_uniform_from_zero_below_one_and_never_repeat():
    table = uniforms(0, Use.EXPLORATION, 0, 20_000, 2)
    assert table.min() >= 0
    assert table.max() < 1
    assert table.mean() == pytest.approx(0.5, abs=0.01)
    assert len(np.unique(table)) == table.size


def test_what_a_caller_does_to_its_numbers_changes_no_later_draw():
    before = uniforms(11, Use.EXPLORATION, 0, 4, 2).tolist()
    numbers = uniforms(11, Use.EXPLORATION, 0, 4, 2)
    if numbers.flags.writeable:
        numbers[...] = 0
    assert uniforms(11, Use.EXPLORATION, 0, 4, 2).tolist() == before


RESETS = [use for use in Use if use.name.endswith("_RESET")]


def test_every_use_that_resets_environments_has_seeds_that_no_other_use_has():
    assert set(RESET_SEEDS) == set(RESETS)
    # What is learned from is either a run's own or a data set.
    assert RESET_SEEDS[Use.DATA_RESET] == RESET_SEEDS[Use.TRAINING_RESET]
    ranges = sorted(set(RESET_SEEDS.values()), key=lambda seeds: seeds.start)
    assert (ranges[0].start, ranges[-1].stop) == (0, 2**31)
    assert all(seeds.step == 1 and len(seeds) >= 2**19 for seeds in ranges)
    for one, other in itertools.pairwise(ranges):
        assert one.stop == other.start


@examples(200)
@given(SEEDS, st.sampled_from(RESETS), st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_reset_seed_fits_32_bits_with_a_sign_and_belongs_to_its_use(seed, use, index, episode):
    found = reset_seed(seed, use, index, episode)
    assert found in RESET_SEEDS[use]
    assert int(np.int32(found)) == found


def test_episodes_hardly_share_reset_seeds():
    seeds = {reset_seed(0, Use.TRAINING_RESET, i, n) for i in range(20) for n in range(200)}
    assert len(seeds) >= 3_998


def test_a_reset_seed_of_training_is_the_top_of_the_sequences_first_word():
    for episode in range(50):
        word = int(sequence(4, Use.TRAINING_RESET, 1, episode).generate_state(1)[0])
        top = word // 2
        # The highest 2²¹ of the 2³¹ numbers belong to other uses.
        expected = top if top < 2**31 - 2**21 else top - (2**31 - 2**21)
        assert reset_seed(4, Use.TRAINING_RESET, 1, episode) == expected


@pytest.mark.parametrize(
    ("use", "first", "bits"),
    [
        (Use.EVALUATION_RESET, 2**31 - 2**21, 20),
        (Use.SOLVED_RESET, 2**31 - 2**20, 19),
        (Use.FILM_RESET, 2**31 - 2**19, 19),
    ],
)
def test_other_reset_seeds_are_low_bits_of_that_word_in_the_part_of_their_use(use, first, bits):
    word = int(sequence(4, use, 1, 2).generate_state(1)[0])
    assert reset_seed(4, use, 1, 2) == first + word // 2 % 2**bits


@pytest.mark.parametrize("start", [0, 32_768])
def test_no_rows_are_an_empty_table(start):
    assert uniforms(1, Use.EXPLORATION, start, 0, 2).shape == (0, 2)
