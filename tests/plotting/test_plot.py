"""Plots: the curves are those of the metrics, and the picture is complete."""

import sys

import numpy as np
import pytest
from dashboard_runs import write_metrics
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profile import examples

from frankrl.config import Settings
from frankrl.core.errors import FrankWarning, MissingExtraError, RunFolderError, SettingError
from frankrl.core.score import score
from frankrl.core.types import FinishedEpisode
from frankrl.plotting.plot import draw, write_plot
from frankrl.runs import MetricsWriter, RunDescription, RunFolder
from frankrl.runs.curves import (
    Curve,
    band_of,
    common_grid,
    grouped,
    middle_by_step,
    on_grid,
    read_curves,
    smoothed,
    smoothing_window,
)

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def make_run(
    folder,
    name,
    *,
    env_id="CartPole-v1",
    preset="default",
    seed=0,
    offset=0.0,
    rows=12,
    settings=None,
):
    """A run whose episode k ends at env step 100·(k+1) with the return 10·k + offset."""
    description = RunDescription(env_id, preset, seed, settings or Settings())
    run = RunFolder.create(folder / name, description)
    writer = MetricsWriter(run.metrics)
    for k in range(rows):
        env_steps, loss = 100 * (k + 1), None if k == 0 else 2.0 / k
        learned = (1e-3, loss, None if k == 0 else float(k), *(None,) * 13)
        writer.write(
            [
                ("training", (env_steps, k, k + 1, 1 - k / rows, *learned)),
                ("episodes", FinishedEpisode(env_steps, 0, k, 10.0 * k + offset, 5 + k)),
            ]
        )
    for env_steps in (400, 800):
        for purpose, value in (("progress", env_steps / 10 + offset), ("solved", -1e6)):
            row = (env_steps, 0, purpose, 10, value, 1.0, 20.0, None)
            writer.write([("evaluations", row)] if rows else [])
    writer.close()
    return run


def lines_of(axis):
    return [line for line in axis.lines if len(line.get_xdata())]


def test_smoothing_is_the_mean_of_the_points_around():
    values = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0])
    expected = [2.0, 8 / 3, 2.0, 10 / 3, 5.0, 7.0]
    np.testing.assert_allclose(smoothed(values, 3), expected)


@examples(100)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60),
    st.integers(0, 30).map(lambda half: 2 * half + 1),
)
def test_smoothing_agrees_with_a_naive_loop(values, window):
    half = window // 2
    naive = [np.mean(values[max(i - half, 0) : i + half + 1]) for i in range(len(values))]
    np.testing.assert_allclose(smoothed(np.array(values), window), naive, atol=1e-6)


@pytest.mark.parametrize(("points", "window"), [(1, 5), (75, 5), (150, 11), (10_000, 101)])
def test_the_smoothing_window_is_odd_and_grows_with_the_run(points, window):
    assert smoothing_window(points) == window


def test_a_curve_on_the_grid_is_linear_between_its_points_and_absent_beyond_them():
    curve = Curve(np.array([10.0, 20.0]), np.array([0.0, 1.0]))
    found = on_grid(curve, np.array([0.0, 10.0, 15.0, 20.0, 30.0]))
    np.testing.assert_allclose(found, [np.nan, 0.0, 0.5, 1.0, np.nan])
    assert np.isnan(on_grid(Curve(np.zeros(0), np.zeros(0)), np.arange(3.0))).all()


def test_the_common_grid_reaches_from_the_first_to_the_last_point_of_all():
    curves = [
        Curve(np.array([10.0, 20.0]), np.zeros(2)),
        Curve(np.array([5.0]), np.zeros(1)),
        Curve(np.zeros(0), np.zeros(0)),
    ]
    np.testing.assert_allclose(common_grid(curves, 4), [5.0, 10.0, 15.0, 20.0])
    assert len(common_grid(curves[2:])) == 0


def test_few_runs_become_their_mean_and_range():
    band = band_of(np.array([[1.0, 5.0], [2.0, 7.0], [9.0, 6.0]]))
    np.testing.assert_allclose(band.middle, [4.0, 6.0])
    np.testing.assert_allclose(band.low, [1.0, 5.0])
    np.testing.assert_allclose(band.high, [9.0, 7.0])


def test_five_runs_become_their_interquartile_mean_and_its_interval():
    values = np.array([[0.0], [1.0], [2.0], [3.0], [100.0]])
    band = band_of(values)
    assert (band.middle[0], band.low[0], band.high[0]) == score(values[:, 0])
    np.testing.assert_allclose(band.middle, [2.0])


def test_a_point_counts_where_half_of_the_runs_have_data():
    nan = np.nan
    band = band_of(np.array([[1.0, 1.0, 1.0], [3.0, 3.0, nan], [5.0, nan, nan], [7.0, nan, nan]]))
    np.testing.assert_allclose(band.middle, [4.0, 2.0, nan])
    np.testing.assert_allclose(band.high, [7.0, 3.0, nan])


def test_evaluations_of_several_runs_become_the_middle_at_each_env_step():
    first = Curve(np.array([10.0, 20.0]), np.array([1.0, 2.0]))
    second = Curve(np.array([10.0]), np.array([5.0]))
    found = middle_by_step([first, second])
    np.testing.assert_allclose(found.env_steps, [10.0, 20.0])
    np.testing.assert_allclose(found.values, [3.0, 2.0])


def test_curves_hold_what_was_written_and_nothing_that_was_not_measured(tmp_path):
    read = read_curves(make_run(tmp_path, "run", rows=4))
    np.testing.assert_allclose(read.curves["return"].values, [0, 10, 20, 30])
    np.testing.assert_allclose(read.curves["length"].values, [5, 6, 7, 8])
    np.testing.assert_allclose(read.curves["epsilon"].values, [1, 0.75, 0.5, 0.25])
    np.testing.assert_allclose(read.curves["loss"].values, [2, 1, 2 / 3])
    np.testing.assert_allclose(read.curves["mean_q"].env_steps, [200, 300, 400])
    np.testing.assert_allclose(read.evaluations, [[400, 800], [40, 80]])


def test_runs_are_grouped_by_environment_and_preset(tmp_path):
    runs = [
        make_run(tmp_path, "a", seed=0),
        make_run(tmp_path, "b", preset="classic"),
        make_run(tmp_path, "c", seed=1),
    ]
    groups = grouped(runs)
    assert list(groups) == [("CartPole-v1", "default"), ("CartPole-v1", "classic")]
    assert groups["CartPole-v1", "default"] == [runs[0], runs[2]]


def test_two_runs_of_one_seed_count_as_one(tmp_path):
    runs = [
        make_run(tmp_path, "a", seed=0, offset=6.0, rows=11),
        make_run(tmp_path, "b", seed=0),
        make_run(tmp_path, "c", seed=1),
        make_run(tmp_path, "d", seed=1, offset=90.0, rows=4),
    ]
    with pytest.warns(FrankWarning, match="2 runs not drawn: another one has the same settings"):
        axis = draw(runs).axes[0]
    legend = [text.get_text() for text in axis.get_legend().get_texts()]
    assert legend[0] == "default (2 seeds)"
    # The longer run of each seed is drawn, and these two are alike.
    median = lines_of(axis)[0]
    middle = (median.get_xdata() >= 300) & (median.get_xdata() <= 1000)
    expected = median.get_xdata() / 10 - 10
    np.testing.assert_allclose(median.get_ydata()[middle], expected[middle])


PRIORITISED = {"replay_sampling": "prioritised"}


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        # What follows from the budget, or decides nothing, was not chosen.
        (PRIORITISED | {"total_env_steps": 50_000}, PRIORITISED, True),
        ({"learning_rate_end": 1e-5, "total_env_steps": 9_000}, {"learning_rate_end": 1e-5}, True),
        ({"worker_processes": 2}, {"device": "cpu"}, True),
        ({"evaluation_episodes": 3}, {"keep_checkpoints": 1}, True),
        (PRIORITISED | {"priority_beta_env_steps": 7_000}, PRIORITISED, False),
        (PRIORITISED | {"priority_beta": 0.5}, PRIORITISED, False),
        ({"overlap": False}, {}, False),
        ({"epsilon_decay_env_steps": 500}, {"total_env_steps": 500}, False),
    ],
)
def test_seeds_are_grouped_by_what_was_chosen(tmp_path, one, other, alike):
    runs = [
        RunFolder.create(
            tmp_path / f"run{seed}",
            RunDescription(
                "CartPole-v1", "default", seed, Settings().with_changes(**changes).resolved()
            ),
        )
        for seed, changes in enumerate((one, other))
    ]
    assert len(grouped(runs)) == (1 if alike else 2)


@pytest.mark.parametrize("name", ["狐-v1", "🚀"])
def test_letters_that_the_font_lacks_are_no_noise(tmp_path, name):
    # Warnings are errors in tests.
    write_plot([make_run(tmp_path, "run", preset=name)], tmp_path / "plot.png")


def test_one_run_is_drawn_with_its_episodes_their_mean_and_its_evaluations(tmp_path):
    figure = draw([make_run(tmp_path, "run")])
    returns = lines_of(figure.axes[0])
    np.testing.assert_allclose(returns[0].get_ydata(), 10.0 * np.arange(12))
    np.testing.assert_allclose(returns[1].get_ydata()[2:-2], 10.0 * np.arange(2, 10))
    np.testing.assert_allclose(returns[2].get_xydata(), [[400, 40], [800, 80]])
    assert [len(lines_of(axis)) for axis in figure.axes] == [3, 2, 1, 1, 1]
    assert figure.axes[0].get_xlim() == figure.axes[4].get_xlim()


def test_several_runs_are_drawn_as_one_curve_per_preset(tmp_path):
    runs = [
        make_run(tmp_path, f"run{i}", seed=i, offset=offset)
        for i, offset in enumerate((0.0, 6.0, 90.0))
    ]
    runs.append(make_run(tmp_path, "other", preset="classic"))
    axis = draw(runs).axes[0]
    median, evaluations, other = lines_of(axis)[:3]
    middle = (median.get_xdata() >= 300) & (median.get_xdata() <= 1000)
    expected = median.get_xdata() / 10 - 10 + 32
    np.testing.assert_allclose(median.get_ydata()[middle], expected[middle])
    np.testing.assert_allclose(evaluations.get_ydata(), [72, 112])
    legend = [text.get_text() for text in axis.get_legend().get_texts()]
    assert legend == ["default (3 seeds)", "classic (1 seed)", "greedy evaluations"]
    assert median.get_color() != other.get_color()
    assert len(axis.collections) == 1


def test_runs_of_different_environments_are_named_in_the_title(tmp_path):
    runs = [make_run(tmp_path, "a"), make_run(tmp_path, "b", env_id="Acrobot-v1")]
    figure = draw(runs)
    assert "different environments" in figure.get_suptitle()
    legend = figure.axes[0].get_legend().get_texts()
    assert legend[1].get_text() == "Acrobot-v1, default (1 seed)"


def test_the_picture_is_a_png_and_nothing_else_is_left(tmp_path):
    target = tmp_path / "pictures" / "plot.png"
    write_plot([make_run(tmp_path, "a"), make_run(tmp_path, "b", seed=1)], target)
    assert target.read_bytes().startswith(PNG_SIGNATURE)
    assert list(target.parent.iterdir()) == [target]


def test_a_run_of_a_single_row_can_be_plotted(tmp_path):
    write_plot([make_run(tmp_path, "run", rows=1)], tmp_path / "plot.png")


def test_a_run_without_rows_is_refused_by_name(tmp_path):
    run = make_run(tmp_path, "empty", rows=0)
    with pytest.raises(
        RunFolderError, match=r"empty has nothing to plot: .* after 1,000 env steps"
    ):
        write_plot([run], tmp_path / "plot.png")
    assert not (tmp_path / "plot.png").exists()


def test_without_matplotlib_the_error_says_what_to_install(tmp_path, monkeypatch):
    run = make_run(tmp_path, "run")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"frankrl\[plot\]"):
        write_plot([run], tmp_path / "plot.png")


def test_what_cannot_be_written_is_refused(tmp_path):
    run = make_run(tmp_path, "run")
    with pytest.raises(SettingError, match="at least one run"):
        write_plot([], tmp_path / "plot.png")
    with pytest.raises(SettingError, match=r"\.png"):
        write_plot([run], tmp_path / "plot.pdf")
    with pytest.raises(SettingError, match="cannot write"):
        write_plot([run], run.path / "config.toml" / "plot.png")


def test_q_values_have_their_unit(tmp_path):
    plain = make_run(tmp_path, "plain")
    rescaled = make_run(
        tmp_path, "rescaled", seed=1, settings=Settings().with_changes(value_rescaling=True)
    )
    for runs, unit in (
        ([plain], "reward"),
        ([rescaled], "h(reward)"),
        ([plain, rescaled], "reward or h(reward)"),
    ):
        labels = [axis.get_ylabel() for axis in draw(runs).axes]
        assert f"mean Q\n[{unit}]" in labels


def offline_run(folder, rows):
    settings = Settings().with_changes(dataset="data/cart/medium-v0").resolved()
    run = RunFolder.create(folder, RunDescription("CartPole-v1", "default", 0, settings))
    learned = {"env_steps": rows, "updates": rows, "loss": [0.1 * row for row in rows]}
    return write_metrics(run, training=learned)


def test_a_run_that_does_not_act_has_no_empty_panels_and_a_single_row_is_seen(tmp_path):
    # Warnings are errors in tests, Matplotlib's of a legend without entries, too.
    figure = draw([offline_run(tmp_path / "run", [1_000])])
    (axis,) = figure.axes
    (line,) = lines_of(axis)
    assert (axis.get_ylabel(), axis.get_xlabel()) == ("loss", "updates")
    assert line.get_marker() == "o"
    assert [len(draw([offline_run(tmp_path / f"run{i}", [1, 2])] * 2).axes) for i in (1, 2)] == [
        1,
        1,
    ]


def test_evaluations_alone_are_a_panel(tmp_path):
    run = offline_run(tmp_path / "run", [1, 2])
    row = {"env_steps": [2], "purpose": ["progress"], "mean_return": [9.0]}
    write_metrics(run, evaluations=row)
    first, second = draw([run]).axes
    assert (first.get_ylabel(), second.get_ylabel()) == ("return", "loss")
    assert first.get_legend() is not None


def test_a_run_that_ended_before_its_first_row_is_not_told_to_wait(tmp_path):
    run = offline_run(tmp_path / "run", [])
    run.write_report({"env_steps": 200, "stopped": False, "solved": None, "evaluation": None})
    with pytest.raises(RunFolderError, match="ended before the first, which log_every_updates"):
        write_plot([run], tmp_path / "plot.png")
