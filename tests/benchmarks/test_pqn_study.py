"""The study of MinAtar's games by PQN."""

import json

import numpy as np
import pytest

from benchmarks import pqn
from benchmarks.pqn import GAMES, Job, Options, is_finished, main, settings_of, table
from frankrl.runs import RunDescription, RunFolder


def run_of(path, job, **changes):
    """The folder of a run that is finished, with what a run decides for itself."""
    settings = settings_of(5_000).with_changes(source="device", **changes).resolved()
    RunFolder.create(path, RunDescription(job.env_id, "pqn-minatar", job.seed, settings))
    returns = [float(job.seed)] * 100
    report = {"env_steps": 5_120, "updates": 160, "seconds": 9.0}
    (path / "report.json").write_text(json.dumps(report | {"evaluation": {"returns": returns}}))


def test_a_game_has_its_name_in_minatar():
    assert [Job(game, 0).official for game in GAMES] == [
        "MinAtar/Asterix-v1",
        "MinAtar/Breakout-v1",
        "MinAtar/Freeway-v1",
        "MinAtar/Seaquest-v1",
        "MinAtar/SpaceInvaders-v1",
    ]


def test_a_run_is_known_by_its_settings_and_another_one_is_refused(tmp_path):
    job = Job("asterix", 3)
    run_of(tmp_path / "own", job)
    assert is_finished(tmp_path / "own", job, 5_000)
    assert not is_finished(tmp_path / "none", job, 5_000)
    (tmp_path / "own" / "report.json").unlink()
    assert not is_finished(tmp_path / "own", job, 5_000)
    run_of(tmp_path / "other", job, learning_rate=1e-2)
    for path, given in ((tmp_path / "other", job), (tmp_path / "own", Job("freeway", 3))):
        with pytest.raises(SystemExit, match="is another run: remove it"):
            is_finished(path, given, 5_000)


def test_what_is_measured_is_kept_and_not_measured_again(tmp_path, monkeypatch, capsys):
    played = []

    def official(run, job, episodes):
        played.append(job)
        return np.full(episodes, 2.0 * job.seed)

    monkeypatch.setattr(pqn, "official_returns", official)
    runs, results = tmp_path / "runs", tmp_path / "results.jsonl"
    options = Options(("asterix",), (3, 5), 5_000, 7, 1, runs, results)
    for seed in options.seeds:
        run_of(runs / f"asterix-{seed}", Job("asterix", seed))
    for _ in range(2):
        main(options)
    assert played == [Job("asterix", 3), Job("asterix", 5)]
    rows = [json.loads(line) for line in results.read_text("utf-8").splitlines()]
    assert [row["episodes"] for row in rows] == [[100, 7], [100, 7]]
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "| Asterix | 17 | 3.0, 5.0 | **4.0** | 6.0, 10.0 | **8.0** | 9 |"


def test_the_table_has_a_row_for_each_game_that_was_played():
    assert len(table([]).splitlines()) == 2
