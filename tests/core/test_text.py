"""Text from elsewhere, as it is shown."""

from pathlib import Path

import pytest

from frankrl.core.errors import (
    DamagedError,
    FrankError,
    FrankWarning,
    SettingError,
    nearest,
    warn,
)
from frankrl.core.text import given, shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain words, γ and 日本", "plain words, γ and 日本"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("one\nline\r\tonly", r"one\nline\r\tonly"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\x9b31m", r"\x9b31m"),
        ("\udcff", r"\udcff"),
        (7, "7"),
    ],
)
def test_no_character_is_left_that_a_terminal_obeys(text, expected):
    assert shown(text) == expected


@pytest.mark.parametrize("length", [201, 10_000, 2_000_000])
def test_a_long_text_is_cut_and_says_so(length):
    found = shown("\x1b" * length)
    assert found == "\\x1b" * 200 + f" … ({length:,} characters)"
    assert shown("x" * 200) == "x" * 200


def test_a_value_that_cannot_be_shown_is_told_by_its_type():
    class Odd:
        def __repr__(self):
            raise RuntimeError

    assert given(Odd()) == "a value of type Odd"
    assert given([1, "a"]) == "[1, 'a']"
    assert len(given("x" * 1_000)) < 100


def test_a_word_of_any_length_gets_its_hint_or_none():
    assert nearest("gama", ["gamma", "tau"]) == "; did you mean 'gamma'?"
    # Comparing it would take minutes.
    assert nearest("gamma" * 400_000, ["gamma" * 100_000]) == ""


def test_every_error_and_warning_of_frank_is_one_line_that_can_be_shown():
    quoted = "\x1b]0;title\x07" + "x" * 1_000_000
    assert str(FrankError(quoted)).startswith(r"\x1b]0;title\x07xxx")
    assert len(str(DamagedError(quoted, Path("a")))) < 2_100
    with pytest.warns(FrankWarning) as caught:
        warn(quoted)
    assert str(caught[0].message) == str(SettingError(quoted))
