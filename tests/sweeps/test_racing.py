"""Racing over seeds, beside SciPy's own Wilcoxon test."""

import random

import numpy as np
import pytest
from scipy.stats import wilcoxon

from frankrl.sweeps.objectives import OBJECTIVES
from frankrl.sweeps.racing import FEWEST_SEEDS, P_VALUE, reason_to_stop
from frankrl.sweeps.trial import Trial


def trial_of(number, values, state="complete"):
    value = sum(values) / len(values)
    return Trial(number, {}, state, value, tuple(values), reason=None)


@pytest.mark.parametrize("name", ["final_return", "env_steps_to_solved"])
def test_a_trial_ends_when_wilcoxons_test_says_so(name):
    objective, draw = OBJECTIVES[name], random.Random(1)
    maximize = objective.direction == "maximize"
    decisions = []
    for _ in range(60):
        earlier = [trial_of(n, [draw.gauss(50, 5) for _ in range(8)]) for n in range(3)]
        earlier.append(trial_of(3, [1e6 if maximize else -1e6] * 5, "pruned"))
        pick = max if maximize else min
        best = pick(earlier[:3], key=lambda trial: trial.value)
        level = draw.uniform(40, 60)
        values = [draw.gauss(level, 5) for _ in range(draw.randrange(1, 9))]
        reason = reason_to_stop(objective, earlier, values, 8)
        expected = False
        if FEWEST_SEEDS <= len(values) < 8:
            difference = np.array(values) - np.array(best.values[: len(values)])
            found = wilcoxon(
                difference, alternative="less" if maximize else "greater", zero_method="zsplit"
            )
            is_worse = (np.mean(values) < best.value) == maximize
            expected = bool(found.pvalue < P_VALUE) and is_worse
        assert (reason is not None) == expected
        if reason:
            assert f"worse than trial {best.number} " in reason
        decisions.append(expected)
    assert 5 < sum(decisions) < 55


def test_fewer_than_four_seeds_can_show_nothing():
    for count in range(1, FEWEST_SEEDS):
        assert wilcoxon(-np.arange(1.0, count + 1), alternative="less").pvalue > P_VALUE
    assert wilcoxon(-np.arange(1.0, 5), alternative="less").pvalue < P_VALUE


def test_without_a_whole_trial_nothing_is_compared():
    objective = OBJECTIVES["final_return"]
    assert reason_to_stop(objective, [], [0.0] * 5, 8) is None
    failed = Trial(0, {}, "failed", reason="diverged")
    assert reason_to_stop(objective, [failed], [0.0] * 5, 8) is None
