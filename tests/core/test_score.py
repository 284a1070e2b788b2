"""Scores over seeds, against SciPy's trimmed mean and bootstrap."""

import numpy as np
import pytest
import scipy.stats

from frankrl.core.score import score, scores


def trimmed(samples, axis=-1):
    return scipy.stats.trim_mean(samples, 0.25, axis=axis)


@pytest.mark.parametrize("count", [5, 6, 7, 8, 64, 100])
def test_the_middle_is_scipys_trimmed_mean_and_the_interval_its_bootstrap(count):
    values = np.random.default_rng(count).normal(200, 50, count)
    found = score(values)
    assert found.middle == pytest.approx(trimmed(values))
    theirs = scipy.stats.bootstrap(
        (values,), trimmed, n_resamples=10_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    # Both draw their resamples, so their ends differ by chance.
    near = 0.06 * (theirs.high - theirs.low)
    assert found.low == pytest.approx(theirs.low, abs=near)
    assert found.high == pytest.approx(theirs.high, abs=near)


def test_many_points_are_scored_as_each_alone_by_the_seeds_that_have_a_value_there():
    values = np.random.default_rng(0).normal(size=(9, 6))
    values[7:, 1] = np.nan
    values[3:, 2] = np.inf
    values[:, 3] = np.nan
    values[:, 4] = 0.1
    found = scores(values)
    for point in range(values.shape[1]):
        known = values[np.isfinite(values[:, point]), point]
        expected = score(known) if len(known) else (np.nan,) * 3
        got = (found.middle[point], found.low[point], found.high[point])
        np.testing.assert_allclose(got, expected, rtol=1e-12)
    assert (found.middle[4], found.low[4], found.high[4]) == (0.1, 0.1, 0.1)
