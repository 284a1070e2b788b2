"""What rows of metrics say of the updates before them."""

import itertools

import numpy as np
import pytest
from in_memory import experiment_of, rounds_of
from long_forms import some_of

import frankrl
from frankrl.runs import MetricsReader, RunFolder
from frankrl.training.interval import MAX_ROUNDS, Interval

QUANTILES = {
    "td_error_min": 0,
    "td_error_p05": 5,
    "td_error_p25": 25,
    "td_error_p50": 50,
    "td_error_p75": 75,
    "td_error_p95": 95,
    "td_error_max": 100,
}


def by_hand(values, percent: float) -> float:
    """A quantile between two of the sorted values, in a straight line."""
    ordered = sorted(float(value) for value in np.ravel(values))
    place = percent / 100 * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def test_quantiles_are_those_of_the_sorted_td_errors():
    errors = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    found = Interval.empty(5)._replace(td_errors=errors).td_error_quantiles()
    assert found == pytest.approx([by_hand(errors, p) for p in QUANTILES.values()], abs=1e-6)


def test_without_an_update_there_is_nothing_to_say():
    nothing = Interval.empty(5)
    assert set(nothing.means()) == set(nothing.td_error_quantiles()) == {None}


@pytest.mark.parametrize("every", some_of([120, 1_600], [120]))
def test_a_row_tells_the_td_errors_of_the_rounds_before_it(tmp_path, every):
    """The same rounds once more, and each row's quantiles from what they gave."""
    result = frankrl.train(
        "CartPole-v1",
        out=tmp_path / "run",
        preset="default",
        num_envs=4,
        hidden_widths=(8,),
        batch_size=8,
        replay_ratio=0.5,
        learning_starts_env_steps=16,
        log_every_env_steps=every,
        total_env_steps=1_600,
        evaluate_every_env_steps=10_000,
        final_evaluation_episodes=1,
    )
    run = RunFolder.open(tmp_path / "run")
    reader = MetricsReader(run.metrics)
    rows = reader.columns("training")
    reader.close()
    again = rounds_of(experiment_of("CartPole-v1", run.description.settings, run.description.seed))
    results = [
        (one.ticks, np.array(one.output().td_errors))
        for one in itertools.islice(again, result.env_steps // 4)
        if one.updates > 0
    ]
    before = 0
    for number, now in enumerate(rows["env_steps"]):
        newest = [errors for at, errors in results if before < at <= now][-MAX_ROUNDS:]
        for column, percent in QUANTILES.items():
            expected = by_hand(newest, percent)
            assert rows[column][number] == pytest.approx(expected, rel=1e-4, abs=1e-5)
        before = now
    assert len(rows["env_steps"]) == 1_600 // every
