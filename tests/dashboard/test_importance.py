"""The importance of settings, beside SciPy's test of Kruskal and Wallis and its χ²."""

import numpy as np
import pytest
import scipy.stats

from frankrl.dashboard.importance import FEWEST_TRIALS, epsilon_squared, importances


@pytest.mark.parametrize("decimals", [9, 0])
@pytest.mark.parametrize("groups", [2, 3, 6])
def test_the_share_is_that_of_the_test_of_kruskal_and_wallis(groups, decimals):
    random = np.random.default_rng(groups)
    group = random.integers(groups, size=60)
    # Without decimals many values are equal.
    values = np.round(random.normal(size=60) + 0.7 * group, decimals)
    h = scipy.stats.kruskal(*[values[group == one] for one in range(groups)]).statistic
    most = scipy.stats.chi2.ppf(0.95, groups - 1)
    found = epsilon_squared(values, group)
    assert found.share == pytest.approx(max(0, (h - groups + 1) / (60 - groups)), abs=1e-12)
    assert found.chance == pytest.approx((most - groups + 1) / (60 - groups), abs=0.002)


def test_a_setting_without_an_effect_stays_below_the_line_of_chance_in_19_of_20_sweeps():
    random = np.random.default_rng(0)
    above = 0
    for _ in range(2_000):
        settings = [{"a": value} for value in random.random(40)]
        found = importances(settings, list(random.normal(size=40)), {"a": False})["a"]
        above += found.share > found.chance
    assert 0.03 < above / 2_000 < 0.06


def test_the_setting_that_decides_has_the_largest_share_and_ranks_decide():
    random = np.random.default_rng(1)
    settings = [
        {"rate": 10 ** random.uniform(-5, -1), "double": bool(random.integers(2)), "none": 1}
        for _ in range(50)
    ]
    values = [
        -((np.log10(one["rate"]) + 3) ** 2) + 0.5 * one["double"] + 0.1 * random.normal()
        for one in settings
    ]
    choices = {"rate": False, "double": True, "none": False}
    found = importances(settings, values, choices)
    assert found["rate"].share > 0.7
    assert found["rate"].share > found["double"].share
    # A setting that never differs explains nothing that could be measured.
    assert found["none"] is None
    # Any order-preserving change of the values leaves it.
    assert importances(settings, [np.exp(5 * value) for value in values], choices) == found


def test_true_and_one_are_two_choices_and_lists_are_choices():
    settings = [{"a": (True, 1, (16, 8))[number % 3]} for number in range(30)]
    values = [float(number % 3) for number in range(30)]
    assert importances(settings, values, {"a": True})["a"].share == pytest.approx(1)


def test_with_few_trials_or_equal_values_nothing_is_said():
    settings = [{"a": number} for number in range(FEWEST_TRIALS)]
    values = list(map(float, range(FEWEST_TRIALS)))
    assert importances(settings, values, {"a": False})["a"] is not None
    assert importances(settings[1:], values[1:], {"a": False}) == {"a": None}
    assert importances(settings, [0.0] * FEWEST_TRIALS, {"a": False}) == {"a": None}
    # A trial that lacks a setting does not count for it.
    assert importances([{}, *settings[1:]], values, {"a": False}) == {"a": None}
