import itertools
import json

import numpy as np
import pytest
from dashboard_runs import make_run, write_metrics

from frankrl.dashboard.history import TD_ERRORS, History
from frankrl.dashboard.run_table import RunTable
from frankrl.dashboard.series import (
    MAX_POINTS,
    Line,
    along,
    discounted_return,
    extremes,
    lines,
    refreshes,
    sampled_age,
    shortened,
)


def history_of(run):
    history = History(run.metrics)
    history.refresh()
    return history


def line(count):
    values = np.random.default_rng(count).normal(size=count)
    return Line(np.arange(count, dtype=float), values)


@pytest.mark.parametrize("count", [0, 1, MAX_POINTS, MAX_POINTS + 1, 12_345])
def test_a_shortened_line_is_the_mean_of_each_stretch(count):
    x, y = shortened(long := line(count))
    assert len(x) == len(y) == min(count, MAX_POINTS)
    bounds = [number * count // len(y) for number in range(len(y) + 1)] if count else []
    stretches = [slice(a, b) for a, b in itertools.pairwise(bounds)]
    np.testing.assert_allclose(y, [long.y[s].mean() for s in stretches], rtol=1e-5)
    np.testing.assert_allclose(x, [long.x[s].mean() for s in stretches], rtol=1e-5)


def test_extremes_keep_the_highest_and_the_lowest_of_all():
    long = line(12_345)
    _, y = extremes(long)
    assert len(y) <= MAX_POINTS
    assert max(y) == pytest.approx(long.y.max(), rel=1e-5)
    assert min(y) == pytest.approx(long.y.min(), rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.9, 0.99, 1.0])
@pytest.mark.parametrize("length", [1, 2, 57])
def test_the_discounted_return_is_the_mean_over_an_episode_of_even_rewards(tmp_path, gamma, length):
    reward = -1.5
    run = make_run(tmp_path / "run", gamma=gamma)
    row = {
        "env_steps": [100],
        "mean_return_100": [reward * length],
        "mean_length_100": [float(length)],
    }
    write_metrics(run, training=row)
    (derived,) = discounted_return(history_of(run), run.description.settings)
    to_go = [sum(reward * gamma**k for k in range(length - step)) for step in range(length)]
    assert derived == pytest.approx(np.mean(to_go))


def test_the_return_beside_rescaled_q_values_is_on_their_scale(tmp_path):
    # γ = 0 and a reward of 24 a step: h(24) = √25 - 1 + 0.024.
    row = {"env_steps": [100], "mean_return_100": [240.0], "mean_length_100": [10.0]}
    for rescaled, unit, expected in ((False, "reward", 24.0), (True, "h(reward)", 4.024)):
        run = make_run(tmp_path / unit, gamma=0.0, value_rescaling=rescaled)
        write_metrics(run, training=row)
        settings = run.description.settings
        drawn = lines(history_of(run), settings, "env_steps")["discounted_return"]
        assert drawn.y.tolist() == pytest.approx([expected])
        assert settings.value_unit == unit


def test_axes_lead_through_what_was_recorded(tmp_path):
    run = make_run(tmp_path / "run")
    write_metrics(
        run,
        training={"env_steps": [100, 200, 300], "updates": [0, 50, 150]},
        timing={"env_steps": [100, 200, 300], "seconds": [4.0, 5.0, 9.0]},
    )
    history, steps = history_of(run), np.array([0.0, 100, 200, 250, 300])
    assert along(history, "env_steps")(steps).tolist() == steps.tolist()
    assert along(history, "updates")(steps).tolist() == [0, 0, 50, 100, 150]
    assert along(history, "seconds")(steps).tolist() == [0, 4, 5, 7, 9]


def test_refreshes_are_marked_at_each_multiple_of_the_period(tmp_path):
    run = make_run(tmp_path / "run", target_period_updates=40)
    write_metrics(run, training={"env_steps": [100, 200, 300], "updates": [0, 50, 100]})
    settings = run.description.settings
    assert refreshes(history_of(run), settings, "updates") == ([40.0, 80.0], 2)
    assert refreshes(history_of(run), settings, "env_steps") == ([180.0, 260.0], 2)


def test_evenly_sampled_transitions_are_half_as_old_as_the_oldest(tmp_path):
    settings = make_run(tmp_path / "run").description.settings
    (derived,) = sampled_age(np.array([10_001.0]), settings)
    assert derived == pytest.approx(np.arange(10_001).mean(), rel=1e-3)


def test_a_million_env_steps_fit_into_a_page(tmp_path):
    run = make_run(tmp_path / "run", total_env_steps=1_000_000)
    steps = np.arange(20, 1_000_001, 20)
    rows = np.arange(100, 1_000_001, 100)
    noise = np.random.default_rng(0).normal(size=len(steps))
    statistics = ("loss", "mean_q", "mean_max_q", "gradient_norm", *TD_ERRORS)
    write_metrics(
        run,
        episodes={
            "env_steps": steps.tolist(),
            "episode_return": noise.tolist(),
            "length": [20] * len(steps),
        },
        training={"env_steps": rows.tolist(), "updates": rows.tolist()}
        | {name: noise[: len(rows)].tolist() for name in statistics},
    )
    run_table = RunTable(tmp_path)
    run_table.refresh()
    (run_id,) = json.loads(run_table.rows_since(-1)[1])["ids"]
    payload = run_table.curves((run_id,), "env_steps", group=False)
    assert len(payload) < 200_000
    traces = json.loads(payload)["series"][0]["traces"]
    for quantity in ("return", "loss", "mean_max_q"):
        for x, y in traces[quantity].values():
            assert 0 < len(x) == len(y) <= MAX_POINTS
    assert traces["loss"]["smooth"][0][-1] > 990_000
