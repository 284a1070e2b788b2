"""What the terminal's width does to texts in two columns and to paths in tables."""

import pytest

from frankrl.cli.tables import folded
from frankrl.cli.two_columns import entry


def test_a_text_stays_in_its_column_and_breaks_between_words():
    assert list(entry("  --out", "where it is written, in full", 10, 30)) == [
        "  --out   where it is written,",
        "          in full",
    ]


def test_a_name_that_does_not_fit_gets_a_line_of_its_own():
    assert list(entry("a-long-name", "text", 6, 30)) == ["a-long-name", "      text"]


def test_a_word_longer_than_the_line_is_not_broken():
    assert list(entry("films", "/a/path-of-a-program", 7, 12)) == ["films  /a/path-of-a-program"]


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (40, "runs/CartPole-v1/CartPole-v1-s0"),
        (20, "runs/CartPole-v1/\nCartPole-v1-s0"),
        (12, "runs/\nCartPole-v1/\nCartPole-v1-\ns0"),
    ],
)
def test_a_path_is_folded_after_a_slash_or_a_hyphen(width, expected):
    assert folded("runs/CartPole-v1/CartPole-v1-s0", width) == expected
