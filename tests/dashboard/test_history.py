import numpy as np
import pytest
from dashboard_runs import make_run, write_metrics

from frankrl.core.errors import RunFolderError
from frankrl.dashboard.history import History
from frankrl.runs import MetricsWriter


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run")


def tables(steps, seconds):
    return {
        "training": {"env_steps": steps, "updates": steps, "loss": [0.5] * len(steps)},
        "timing": {
            "env_steps": steps,
            "seconds": seconds,
            "env_steps_per_second": [100.0] * len(steps),
        },
    }


def test_rows_that_come_later_are_added_to_those_that_are_known(run):
    write_metrics(run, **tables([100, 200], [1.0, 2.0]))
    history = History(run.metrics)
    history.refresh()
    first = history.training
    assert first["env_steps"].tolist() == [100, 200]
    write_metrics(run, **tables([300], [3.5]))
    history.refresh()
    assert history.training["env_steps"].tolist() == [100, 200, 300]
    assert history.timing["seconds"].tolist() == [1.0, 2.0, 3.5]
    assert np.isnan(history.training["mean_q"]).all()


def test_nothing_is_read_where_nothing_has_changed(run):
    write_metrics(run, **tables([100], [1.0]))
    history = History(run.metrics)
    history.refresh()
    rows = history.training
    history.refresh()
    assert history.training is rows


def test_a_run_that_has_gone_back_is_read_anew(run):
    write_metrics(run, **tables([100, 200, 300], [1.0, 2.0, 3.0]))
    history = History(run.metrics)
    history.refresh()
    writer = MetricsWriter(run.metrics)
    writer.go_back(100)
    writer.close()
    write_metrics(run, **tables([250, 350], [7.0, 8.0]))
    history.refresh()
    assert history.training["env_steps"].tolist() == [100, 250, 350]
    assert history.timing["seconds"].tolist() == [1.0, 7.0, 8.0]


def test_a_run_without_metrics_says_so(run):
    with pytest.raises(RunFolderError, match="no metrics yet"):
        History(run.metrics).refresh()


def test_reading_leaves_the_folder_as_it_was(run):
    write_metrics(run, **tables([100, 200], [1.0, 2.0]))

    def content():
        return {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()}

    before = content()
    History(run.metrics).refresh()
    assert content() == before
