"""Seeds as text and as sequences."""

import numpy as np
import pytest

from frankrl.core.errors import SettingError
from frankrl.core.seeds import checked_seeds, seeds_from, seeds_in, seeds_in_words


def test_seeds_follow_the_first_one():
    assert seeds_from(3, 2) == (3, 4)
    for first, count, words in (
        (0, 0, "at least 1"),
        (0, 10_001, "10,000"),
        (2**64 - 1, 2, "seed"),
    ):
        with pytest.raises(SettingError, match=words):
            seeds_from(first, count)


def test_a_number_counts_from_0_and_a_range_has_both_its_ends():
    assert seeds_in("64") == tuple(range(64))
    assert seeds_in("100-163") == tuple(range(100, 164))
    assert seeds_in("7-7") == (7,)
    for text in ("", "-3", "3-", "1-2-3", "5-4", "1e3", "٣", "0-10000", "9" * 30):
        with pytest.raises(SettingError):
            seeds_in(text)


def test_sequences_keep_their_order():
    assert checked_seeds(range(3)) == (0, 1, 2)
    assert checked_seeds((9, 2)) == (9, 2)
    assert checked_seeds(np.arange(2)) == (0, 1)
    for array in (np.zeros(2), np.zeros((1, 1), int), np.array(3)):
        with pytest.raises(SettingError):
            checked_seeds(array)


def test_seeds_in_words_join_those_that_follow_each_other():
    assert seeds_in_words(range(64)) == "0–63"
    assert seeds_in_words([1, 2, 3, 7, 9, 10]) == "1–3, 7, 9–10"
    assert seeds_in_words(range(0, 40, 2)) == "20 seeds"
