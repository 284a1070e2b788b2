"""Bars of Q − max Q: their scale is round, holds every value, and tells small differences apart."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profile import examples

from frankrl.core.bar_scale import SteadyScale, advantages, place, round_up, scale_of


@pytest.mark.parametrize(
    ("value", "expected"), [(1.0, 1.0), (1.01, 1.5), (0.00021, 0.0003), (99.0, 100.0), (640, 800)]
)
def test_scales_end_at_round_numbers(value, expected):
    assert round_up(value) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("q_values", "bars"),
    [
        ([46.66, 46.09], [0, 0.57 / 0.6]),
        ([-1000.25, -1000.0, -1001.0], [0.25, 0, 1]),
        ([7.0, -math.inf, 4.0], [0, None, 1]),
    ],
)
def test_the_bar_of_an_action_is_as_long_as_it_is_worse_than_the_best(q_values, bars):
    scale = scale_of(q_values)
    drawn = [None if a is None else 1 - place(a, scale) for a in advantages(q_values)]
    assert drawn == [None if bar is None else pytest.approx(bar) for bar in bars]


@pytest.mark.parametrize("q_values", [[3.0, 3.0], [-math.inf, 1.0], [math.nan], []])
def test_values_without_a_difference_have_no_bars(q_values):
    assert scale_of(q_values) == 0
    assert all(a in (0, None) for a in advantages(q_values))
    assert place(0.0, 0.0) == 1


@examples(100)
@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5), min_size=1))
def test_a_steady_scale_holds_each_decision_and_is_never_much_too_wide(decisions):
    scale = SteadyScale()
    for values in decisions:
        scale.include(values)
        widest = max(values) - min(values)
        assert scale.end >= widest * (1 - 1e-6)
        assert widest == 0 or scale.end <= 4 * round_up(widest)


def test_a_steady_scale_does_not_follow_every_frame():
    scale = SteadyScale()
    ends = []
    for widest in (3.0, 2.0, 1.2, 4.0, 0.5):
        scale.include([0.0, widest])
        ends.append(scale.end)
    assert ends == [3, 3, 3, 4, 0.5]
