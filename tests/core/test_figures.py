"""Figures have as many digits as their spread allows; nouns are counted rightly."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profile import examples

from frankrl.core.figures import counted, figure, signed


@pytest.mark.parametrize(
    ("value", "spread", "text"),
    [
        (0.955, 0.0095, "0.9550"),
        (0.955, 0.05, "0.955"),
        (267.31, 4.3, "267.3"),
        (267.31, 22.0, "267"),
        (-0.0004, 0.3, "0.00"),
        (1234.56, 0.04, "1,234.560"),
        (-12_345.6, 800.0, "-12,346"),
        (3e-5, 2e-6, "0.0000300"),
    ],
)
def test_a_figure_ends_at_the_second_digit_of_its_spread(value, spread, text):
    assert figure(value, spread) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.955, "0.955"),
        (0.05, "0.05"),
        (46.66, "46.66"),
        (46.094, "46.09"),
        (500.0, "500"),
        (-250.04, "-250"),
        (12_345.6, "12,346"),
        (0.00001234, "1.234e-05"),
        (math.inf, "inf"),
        (math.nan, "nan"),
    ],
)
@pytest.mark.parametrize("spread", [0.0, math.nan, 1e-17])
def test_without_a_spread_a_figure_has_four_digits_and_its_whole_part(value, text, spread):
    assert figure(value, spread) == text


@examples(100)
@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e3))
def test_a_figure_is_off_by_less_than_a_twentieth_of_its_spread(value, spread):
    text = figure(value, spread)
    assert abs(float(text.replace(",", "")) - value) <= max(0.05 * spread, 0.5 + 1e-9)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.234, "+1.23"),
        (-250.04, "−250.0"),
        (-12345.6, "−12346"),
        (2e7, "+2.00e+07"),
        (0.955, "+0.955"),
        (-0.0123, "−0.0123"),
        (2e-6, "+2.0e-06"),
    ],
)
def test_numbers_carry_their_sign_and_stay_short(value, text):
    assert signed(value) == text


@pytest.mark.parametrize(
    ("count", "nouns", "text"),
    [
        (0, ("env step",), "0 env steps"),
        (1, ("env step",), "1 env step"),
        (2_000, ("update",), "2,000 updates"),
        (1, ("refresh", "refreshes"), "1 refresh"),
        (3, ("refresh", "refreshes"), "3 refreshes"),
    ],
)
def test_one_of_a_thing_is_singular(count, nouns, text):
    assert counted(count, *nouns) == text
