"""Numbers of the user's own, and how often an environment says that it was solved."""

import sqlite3

import numpy as np
import pytest

import frankrl
from frankrl.cli.main import main as frank
from frankrl.config import Clock
from frankrl.core.errors import FrankWarning
from frankrl.display.training import event_line
from frankrl.runs import MetricsReader, RunFolder
from frankrl.training import Evaluated, Progress
from frankrl.training.evaluation import Evaluation
from frankrl.training.in_words import evaluation_lines

SETTINGS = {
    "preset": "default",
    "worker_processes": 0,
    "hidden_widths": (8,),
    "num_envs": 2,
    "learning_starts_env_steps": 60,
    "log_every_env_steps": 60,
    "evaluate_every_env_steps": 120,
    "evaluation_episodes": 3,
    "final_evaluation_episodes": 4,
    "total_env_steps": 240,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path, seen = tmp_path_factory.mktemp("own") / "run", []
    with pytest.warns(FrankWarning) as warned:
        result = frankrl.train(
            "failing_envs:Failing-v0",
            out=path,
            on_event=seen.append,
            env_kwargs={"share": 0.0},
            info_metrics=["reward", "nothing"],
            metrics=lambda event: {"half": event.env_steps / 2},
            **SETTINGS,
        )
    return path, result, seen, [str(warning.message) for warning in warned]


def test_the_numbers_of_every_episode_are_in_a_table_of_their_own(run):
    path, _, seen, _ = run
    reader = MetricsReader(RunFolder.open(path).metrics)
    episodes, own = reader.columns("episodes"), reader.columns("own_metrics")
    reader.close()
    by_name = {
        name: own["env_steps"][own["name"] == name].tolist() for name in set(own["name"].tolist())
    }
    asked = {e.env_steps for e in seen if isinstance(e, Progress | Evaluated)}
    ended = episodes["env_steps"].tolist()
    assert by_name == {"reward": ended, "is_success": ended, "half": sorted(asked)}


def test_success_is_shown_with_the_progress_and_with_evaluations(run):
    path, result, seen, _ = run
    connection = sqlite3.connect(path / "metrics.sqlite")
    query = "SELECT avg(value) FROM own_metrics WHERE name = 'is_success' AND env_steps <= ?"
    for event in seen:
        if isinstance(event, Progress):
            ((mean,),) = connection.execute(query, (event.env_steps,)).fetchall()
            assert event.success_rate == pytest.approx(mean)
            assert f"success {100 * mean:.0f} %" in event_line(event, Clock.ENV_STEPS)
        if isinstance(event, Evaluated):
            assert f"success {100 * event.evaluation.success_rate:.0f} %" in event_line(
                event, Clock.ENV_STEPS
            )
    rates = connection.execute("SELECT success_rate FROM evaluations").fetchall()
    connection.close()
    played = [e.evaluation.success_rate for e in seen if isinstance(e, Evaluated)]
    played.append(result.evaluation["success_rate"])
    assert sorted(rate for (rate,) in rates) == sorted(played)
    evaluation = frankrl.evaluate(frankrl.load(path), episodes=5)
    assert evaluation.summary()["success_rate"] == evaluation.successes.mean()


def test_an_entry_that_is_missing_is_told_once(run):
    assert [text for text in run[-1] if "info_metrics" in text] == [
        "info_metrics: there is no nothing at the end of an episode: the last step's info has only "
        "is_success, reward, words"
    ]


def test_an_evaluation_without_success_has_no_rate_and_a_missing_one_is_none():
    returns, lengths = np.zeros(2), np.ones(2, np.int64)
    assert "success_rate" not in Evaluation(returns, lengths).summary()
    summary = Evaluation(returns, lengths, np.array([1.0, 0.0])).summary()
    assert summary["success_rate"] == 0.5
    assert evaluation_lines(summary, None)[-1] == "  success rate 50 %"


def test_episodes_that_are_cut_off_tell_no_success(run):
    agent = frankrl.load(run[0])
    whole = frankrl.evaluate(agent, episodes=6)
    assert 0 < whole.success_rate < 1
    cut = frankrl.evaluate(agent, episodes=6, evaluation_max_episode_steps=8)
    assert cut.successes is None


def test_the_command_line_takes_several_names(tmp_path):
    words = ["failing_envs:Failing-v0", "--preset", "default", "--env-kwargs", '{"share": 0.3}']
    words += ["--info-metrics", "reward", "is_success", "--restart-failed-envs", "99"]
    words += ["--total-env-steps", "60", "--evaluate-every-env-steps", "none"]
    words += ["--final-evaluation-episodes", "none", "--out", str(tmp_path / "run")]
    assert frank(["train", *words]) == 0
    settings = RunFolder.open(tmp_path / "run").description.settings.environment
    assert settings.info_metrics == ("reward", "is_success")
    assert settings.restart_failed_envs == 99
