"""A whole run: its folder, its end, its interruption and its continuation."""

import json
import shutil

import numpy as np
import pytest
from robustness.runs import contents

import frankrl
from frankrl.cli.main import main
from frankrl.config.presets import load_preset
from frankrl.core.errors import DivergedError, EnvironmentFailedError, RunFolderError, SettingError
from frankrl.runs import MetricsReader, RunFolder, list_checkpoints
from frankrl.runs.lock import RunLock
from frankrl.training import Checkpointed, Evaluated, Finished, Progress, Solved, Trainer
from frankrl.training.preparing import prepare, prepare_resume
from frankrl.training.session import run_to_end

QUICK = {
    "preset": "default",
    "hidden_widths": (16,),
    "learning_starts_env_steps": 100,
    "log_every_env_steps": 150,
    "evaluate_every_env_steps": 400,
    "evaluation_episodes": 2,
    "final_evaluation_episodes": 3,
    "num_envs": 4,
    "total_env_steps": 1_000,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "whole"
    events = []
    result = frankrl.train("CartPole-v1", out=path, seed=4, on_event=events.append, **QUICK)
    return path, result, events


def test_a_run_folder_holds_settings_metrics_checkpoint_and_report(run):
    path, result, _ = run
    assert {"config.toml", "metrics.sqlite", "checkpoints", "report.json"} <= {
        entry.name for entry in path.iterdir()
    }
    report = json.loads((path / "report.json").read_text())
    assert report["env_steps"] == 1_000
    assert report["updates"] == result.updates == 1_000 - 96
    assert report["evaluation"]["returns"] == result.evaluation["returns"]
    description = RunFolder.open(path).description
    assert (description.env_id, description.seed) == ("CartPole-v1", 4)
    assert description.settings.network.hidden_widths == (16,)
    assert description.versions["frankrl"]


def test_events_come_at_their_intervals_and_end_with_the_evaluation(run):
    _, result, events = run
    assert [e.env_steps for e in events if isinstance(e, Progress)] == [
        152,
        300,
        452,
        600,
        752,
        900,
    ]
    assert [e.env_steps for e in events if isinstance(e, Evaluated)] == [400, 800]
    assert [e.env_steps for e in events if isinstance(e, Checkpointed)] == [1_000]
    assert isinstance(events[-1], Finished)
    assert len(events[-1].evaluation.returns) == 3
    assert result.solved is None


def test_metrics_agree_with_the_events(run):
    path, _, events = run
    reader = MetricsReader(RunFolder.open(path).metrics)
    training, episodes = reader.columns("training"), reader.columns("episodes")
    reader.close()
    progress = [e for e in events if isinstance(e, Progress)]
    np.testing.assert_array_equal(training["env_steps"], [e.env_steps for e in progress])
    np.testing.assert_array_equal(training["loss"], [e.loss for e in progress])
    np.testing.assert_array_equal(episodes["episode_return"], episodes["length"])
    ended_by_900 = episodes["env_steps"] <= 900
    assert progress[-1].episodes == ended_by_900.sum()
    assert progress[-1].mean_return == pytest.approx(
        episodes["episode_return"][ended_by_900][-100:].mean()
    )


def test_the_same_command_gives_the_same_bits(run, tmp_path):
    path, _, _ = run
    frankrl.train("CartPole-v1", out=tmp_path / "again", seed=4, **QUICK)
    assert contents(tmp_path / "again") == contents(path)


@pytest.mark.parametrize(
    ("env_id", "n_step", "backend", "overlap"),
    [
        ("CartPole-v1", 1, "gymnasium", False),
        ("LunarLander-v3", 3, "gymnasium", True),
        pytest.param("LunarLander-v3", 2, "envpool", True, marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_run_continues_to_the_same_bits(tmp_path, env_id, n_step, backend, overlap):
    if backend == "envpool":
        pytest.importorskip("envpool", reason="needs: pip install '.[envpool]'")
    changes = QUICK | {"overlap": overlap, "n_step": n_step, "learning_rate_end": 1e-4}
    changes |= {"backend": backend, "polyak_window_updates": 50 if n_step == 3 else "none"}
    frankrl.train(env_id, out=tmp_path / "whole", **changes)
    rounds_left = iter(range(130))
    stopped = run_to_end(
        prepare(
            env_id,
            "default",
            load_preset("default").with_changes(
                **{k: v for k, v in changes.items() if k != "preset"}
            ),
            0,
            tmp_path / "halves",
        ),
        lambda event: None,
        lambda: next(rounds_left, None) is None,
    )
    assert stopped.stopped
    assert stopped.evaluation is None
    result = frankrl.resume(tmp_path / "halves")
    assert not result.stopped
    assert contents(tmp_path / "halves") == contents(tmp_path / "whole")


def test_the_saved_agent_is_the_one_with_averaged_weights(tmp_path):
    changes = QUICK | {"polyak_window_updates": 300, "total_env_steps": 800}
    result = frankrl.train("CartPole-v1", out=tmp_path / "run", **changes)
    agent = frankrl.load(tmp_path / "run")
    again = frankrl.evaluate(agent, episodes=3, seed=0)
    assert again.returns.tolist() == result.evaluation["returns"]
    newest = list_checkpoints(RunFolder.open(tmp_path / "run").checkpoints)[-1]
    assert (newest / "average_network.safetensors").is_file()
    average, q_network = (
        (newest / f"{name}.safetensors").read_bytes() for name in ("average_network", "q_network")
    )
    assert average != q_network


def test_the_agent_of_the_best_look_is_kept(run, tmp_path):
    path, result, events = run
    looks = {e.env_steps: e.evaluation for e in events if isinstance(e, Evaluated)}
    steps = max(looks, key=lambda step: looks[step].mean_return)
    mean_return = looks[steps].mean_return
    assert result.best == {"env_steps": steps, "mean_return": mean_return, "episodes": 2}
    shorter = QUICK | {"total_env_steps": steps, "final_evaluation_episodes": 7}
    frankrl.train("CartPole-v1", out=tmp_path / "shorter", seed=4, **shorter)
    best, last = frankrl.load(path, best=True), frankrl.load(tmp_path / "shorter")
    found, expected = (frankrl.evaluate(agent, episodes=7, seed=1) for agent in (best, last))
    np.testing.assert_array_equal(found.returns, expected.returns)


def test_a_run_without_a_look_has_no_best_agent(tmp_path):
    changes = QUICK | {"evaluate_every_env_steps": 5_000, "total_env_steps": 120}
    result = frankrl.train("CartPole-v1", out=tmp_path / "run", **changes)
    assert result.best is None
    with pytest.raises(RunFolderError, match="no best agent"):
        frankrl.load(tmp_path / "run", best=True)


def test_a_larger_budget_continues_as_if_it_had_been_given_at_once(run, tmp_path):
    path, _, _ = run
    shutil.copytree(path, tmp_path / "more")
    frankrl.resume(tmp_path / "more", total_env_steps=1_300)
    frankrl.train(
        "CartPole-v1", out=tmp_path / "once", seed=4, **(QUICK | {"total_env_steps": 1_300})
    )
    assert contents(tmp_path / "more") == contents(tmp_path / "once")
    assert RunFolder.open(tmp_path / "more").description.settings.training.total_env_steps == 1_300


def test_other_settings_cannot_change_within_a_run(run):
    with pytest.raises(SettingError, match="keeps its settings"):
        frankrl.resume(run[0], gamma=0.5)


def test_until_solved_stops_at_the_first_policy_that_is(tmp_path):
    events = []
    result = frankrl.train(
        "frank_easy:Easy-v0",
        out=tmp_path / "easy",
        on_event=events.append,
        **(QUICK | {"until_solved": True, "total_env_steps": 10_000}),
    )
    (solved,) = (e for e in events if isinstance(e, Solved))
    assert result.solved["env_steps"] == solved.env_steps == result.env_steps == 400
    assert result.evaluation["mean_return"] == 1.0
    assert result.evaluation["episodes"] == 3


def test_a_solved_run_that_is_resumed_repeats_its_evaluation(tmp_path):
    settings = QUICK | {"until_solved": True, "total_env_steps": 10_000}
    first = frankrl.train("frank_easy:Chance-v0", out=tmp_path / "run", **settings)
    again = frankrl.resume(tmp_path / "run")
    assert len(set(first.evaluation["returns"])) > 1
    assert again.evaluation["returns"] == first.evaluation["returns"]
    assert again.env_steps == first.env_steps


def test_a_larger_budget_of_a_solved_run_has_to_say_that_it_trains_on(tmp_path):
    settings = QUICK | {"until_solved": True, "total_env_steps": 900}
    frankrl.train("frank_easy:Easy-v0", out=tmp_path / "run", **settings)
    with pytest.raises(SettingError, match=r"solved at 400 env steps.*--no-until-solved"):
        frankrl.resume(tmp_path / "run", total_env_steps=1_200)
    more = frankrl.resume(tmp_path / "run", total_env_steps=1_200, until_solved=False)
    assert more.env_steps == 1_200


@pytest.mark.slow
@pytest.mark.parametrize("total_env_steps", [1_000, 400])
def test_a_run_interrupted_while_it_is_evaluated_repeats_that_evaluation(tmp_path, total_env_steps):
    quick = QUICK | {"total_env_steps": total_env_steps}
    settings = {k: v for k, v in quick.items() if k != "preset"}
    chosen = load_preset("default").with_changes(**settings)
    frankrl.train("CartPole-v1", out=tmp_path / "whole", **quick)
    training = prepare("CartPole-v1", "default", chosen, 0, tmp_path / "halves")
    asked_in_evaluation = []

    def stop_requested() -> bool:
        if training.ticks == 400:
            asked_in_evaluation.append(True)
        return len(asked_in_evaluation) > 5

    stopped = run_to_end(training, lambda event: None, stop_requested)
    assert stopped.stopped
    assert stopped.env_steps == 400
    frankrl.resume(tmp_path / "halves")
    assert contents(tmp_path / "halves") == contents(tmp_path / "whole")


def test_a_weight_that_is_not_finite_reaches_no_checkpoint(tmp_path):
    with pytest.raises(DivergedError, match=r"not finite|diverged"):
        frankrl.train(
            "CartPole-v1",
            out=tmp_path / "run",
            **(QUICK | {"learning_rate": 1e38, "learning_starts_env_steps": 996}),
        )
    assert not list_checkpoints(tmp_path / "run" / "checkpoints")


def test_two_trainings_cannot_write_one_run(run, tmp_path):
    shutil.copytree(run[0], tmp_path / "run")
    folder = RunFolder.open(tmp_path / "run")
    settings = folder.description.settings.with_changes(total_env_steps=1_300)
    first = prepare_resume(folder, settings)
    with pytest.raises(RunFolderError, match="being written by process"):
        frankrl.resume(tmp_path / "run", total_env_steps=1_400)
    first.close()


def test_a_budget_below_what_is_done_is_refused(run):
    with pytest.raises(SettingError, match="already done 1,000 env steps"):
        frankrl.resume(run[0], total_env_steps=500)


def test_a_run_that_diverges_names_the_update_and_keeps_its_last_checkpoint(tmp_path):
    with pytest.raises(DivergedError, match=r"diverged at update [\d,]+ .*learning_rate"):
        frankrl.train(
            "CartPole-v1",
            out=tmp_path / "run",
            **(
                QUICK
                | {
                    "learning_rate": 1e30,
                    "max_gradient_norm": None,
                    "checkpoint_every_env_steps": 60,
                    "evaluate_every_env_steps": 10_000,
                }
            ),
        )
    checkpoints = list_checkpoints(tmp_path / "run" / "checkpoints")
    assert checkpoints[-1].name <= f"{100:012d}"
    assert np.isfinite(frankrl.load(tmp_path / "run").q_values(np.zeros(4, np.float32))).all()


@pytest.mark.parametrize("fault", ["raise", "nan_reward", "nan_observation"])
def test_an_environment_that_fails_is_named_and_the_last_checkpoint_stays(tmp_path, fault):
    with pytest.raises(EnvironmentFailedError, match=r"environment \d .*episode 0, step 30"):
        frankrl.train(
            "frank_easy:Faulty-v0",
            env_kwargs={"fault": fault},
            out=tmp_path / "run",
            **(QUICK | {"checkpoint_every_env_steps": 60}),
        )
    assert list_checkpoints(tmp_path / "run" / "checkpoints")


def test_an_environment_that_cannot_begin_leaves_no_folder(tmp_path):
    with pytest.raises(EnvironmentFailedError, match="episode 0, step 0"):
        frankrl.train(
            "frank_easy:Faulty-v0", env_kwargs={"fault": "raise", "at": 0}, out=tmp_path / "run"
        )
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_another_environment_is_refused(run, tmp_path):
    shutil.copytree(run[0], tmp_path / "mixed")
    config = tmp_path / "mixed" / "config.toml"
    config.write_text(config.read_text().replace("CartPole-v1", "Acrobot-v1"))
    with pytest.raises(RunFolderError, match="made for 'CartPole-v1'"):
        frankrl.load(tmp_path / "mixed")


@pytest.mark.parametrize(
    "what",
    [
        "frankrl.api.running.display_in_python",
        "frankrl.display.training.make_display",
        "frankrl.training.session.Trackers",
    ],
)
def test_a_run_that_cannot_be_shown_is_closed(tmp_path, monkeypatch, what):
    """Its lock shows it: the same process could not write the run again."""

    def fails(*arguments, **kwargs):
        raise RuntimeError("there is no screen")

    run, closed, real = tmp_path / "run", [], Trainer.close
    monkeypatch.setattr(Trainer, "close", lambda self: (closed.append(self), real(self)))
    with monkeypatch.context() as patched:
        patched.setattr(what, fails)
        words = ["train", "CartPole-v1", "--total-env-steps", "100", "--out", str(run)]
        with pytest.raises(RuntimeError, match="there is no screen"):
            frankrl.train("CartPole-v1", out=run) if "api" in what else main(words)
    assert closed
    RunLock(run, run).release()
