"""A disk that fails, and checkpoints that do not fit."""

import os
import shutil
import sqlite3

import numpy as np
import pytest
from robustness.runs import contents, killed_copy

import frankrl
from frankrl.core.errors import DamagedError, FrankWarning, RunFolderError, SettingError
from frankrl.environments import gymnasium_vector
from frankrl.opening import open_agent
from frankrl.replay import ReplayBuffer, make
from frankrl.runs import (
    MetricsReader,
    MetricsWriter,
    RunFolder,
    list_checkpoints,
    load_checkpoint,
    machine,
)
from frankrl.runs.checkpoint import save_checkpoint
from frankrl.training import Checkpointed, SavingFailed, checkpoint_writer, surroundings
from frankrl.training.preparing import prepare_resume
from frankrl.training.session import run_to_end

init = ReplayBuffer.init
QUICK = {
    "preset": "default",
    "hidden_widths": (8,),
    "learning_starts_env_steps": 60,
    "log_every_env_steps": 100,
    "evaluate_every_env_steps": 250,
    "evaluation_episodes": 1,
    "final_evaluation_episodes": 2,
    "num_envs": 2,
    "total_env_steps": 500,
    "checkpoint_every_env_steps": 100,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "whole"
    frankrl.train("CartPole-v1", out=path, **QUICK)
    return path


@pytest.fixture
def half(whole, tmp_path):
    return killed_copy(whole, tmp_path / "half")


def not_reproducible(path):
    reader = MetricsReader(RunFolder.open(path).metrics)
    found = reader.columns("not_reproducible")
    reader.close()
    return list(zip(found["env_steps"].tolist(), found["reason"].tolist(), strict=True))


def failing_at(attempts, real, error):
    """The function, but for those of its calls that raise."""
    calls = iter(range(10**6))

    def called(*args, **kwargs):
        if next(calls) in attempts:
            raise error
        return real(*args, **kwargs)

    return called


def test_a_damaged_checkpoint_costs_nothing_but_the_way_back_to_the_one_before(whole, half):
    third, fourth = list_checkpoints(half / "checkpoints")[-2:]
    (fourth / "replay.safetensors").write_bytes(b"")
    with pytest.warns(FrankWarning, match=r"0400/replay\.safetensors is damaged.*set aside"):
        result = frankrl.resume(half)
    assert third.name == "000000000300"
    assert result.not_reproducible == []
    assert contents(half) == contents(whole)


def test_an_agent_comes_from_the_newest_checkpoint_that_is_intact(half):
    newest = list_checkpoints(half / "checkpoints")[-1]
    (newest / "q_network.safetensors").unlink()
    with pytest.warns(FrankWarning, match=r"0400 is damaged.*differ in q_network\.safetensors"):
        agent, info = open_agent(RunFolder.open(half))
    assert info["env_steps"] == 300
    assert agent.q_values(np.zeros(4, np.float32)).shape == (2,)


def test_a_run_without_an_intact_checkpoint_is_refused_and_left_as_it_is(half):
    for checkpoint in list_checkpoints(half / "checkpoints"):
        (checkpoint / "collection.safetensors").write_bytes(b"x")
    before = {p: p.read_bytes() for p in half.rglob("*.*") if p.is_file() and p.name != ".lock"}
    with pytest.raises(DamagedError, match=r"collection\.safetensors is damaged.*nor is any"):
        frankrl.resume(half)
    after = {p: p.read_bytes() for p in half.rglob("*.*") if p.is_file() and p.name != ".lock"}
    assert after == before


def test_other_versions_are_warned_of_by_name_and_the_run_is_marked(half, monkeypatch):
    monkeypatch.setattr(
        surroundings, "all_versions", lambda _: machine.versions() | {"jax": "0.0.1"}
    )
    with pytest.warns(FrankWarning, match=r"from env step 400, because jax was .* is '0\.0\.1'"):
        result = frankrl.resume(half)
    ((env_steps, reason),) = not_reproducible(half)
    assert env_steps == 400
    assert reason.startswith("jax was")
    assert result.not_reproducible == [{"env_steps": env_steps, "reason": reason}]
    monkeypatch.undo()
    with pytest.warns(FrankWarning, match=r"jax was '0\.0\.1' and is"):
        again = frankrl.resume(half, total_env_steps=600)
    assert [mark["env_steps"] for mark in again.not_reproducible] == [400, 500]


def test_an_environment_that_does_not_replay_ends_its_episode_and_marks_the_run(half, monkeypatch):
    real = gymnasium_vector.GymnasiumVector.restore

    def altered(self, logs):
        logs[1].actions[-1] ^= 1
        return real(self, logs)

    monkeypatch.setattr(gymnasium_vector.GymnasiumVector, "restore", altered)
    with pytest.warns(FrankWarning, match="because environment 1 did not replay to the same bits"):
        result = frankrl.resume(half)
    assert [mark["env_steps"] for mark in result.not_reproducible] == [400]
    assert not_reproducible(half)[0][1] == "environment 1 did not replay to the same bits"


def test_a_checkpoint_that_cannot_be_written_is_told_and_training_goes_on(
    whole, tmp_path, monkeypatch
):
    error = OSError(28, "No space left on device")
    monkeypatch.setattr(
        checkpoint_writer,
        "save_checkpoint",
        failing_at({1, 2}, checkpoint_writer.save_checkpoint, error),
    )
    events = []
    frankrl.train("CartPole-v1", out=tmp_path / "run", on_event=events.append, **QUICK)
    failed = [event for event in events if isinstance(event, SavingFailed)]
    assert [(event.env_steps, event.what) for event in failed] == [
        (200, "checkpoint"),
        (300, "checkpoint"),
    ]
    assert "No space left" in failed[0].reason
    assert failed[1].newest.name == "000000000100"
    assert [e.env_steps for e in events if isinstance(e, Checkpointed)] == [100, 400, 500]
    assert contents(tmp_path / "run") == contents(whole)


def test_metrics_that_cannot_be_written_for_a_while_are_written_later(whole, tmp_path, monkeypatch):
    error = sqlite3.OperationalError("database or disk is full")
    monkeypatch.setattr(MetricsWriter, "write", failing_at({1, 2, 3}, MetricsWriter.write, error))
    events = []
    frankrl.train("CartPole-v1", out=tmp_path / "run", on_event=events.append, **QUICK)
    told = [event.what for event in events if isinstance(event, SavingFailed)]
    assert told == ["checkpoint", "metrics", "checkpoint"]
    assert contents(tmp_path / "run") == contents(whole)


def test_an_end_that_cannot_be_saved_is_an_error_that_names_the_last_good_checkpoint(
    whole, tmp_path, monkeypatch
):
    error = OSError(5, "Input/output error")
    monkeypatch.setattr(
        checkpoint_writer,
        "save_checkpoint",
        failing_at(range(2, 99), checkpoint_writer.save_checkpoint, error),
    )
    with pytest.raises(RunFolderError, match=r"not all of it could.*Input/output.*000000000200"):
        frankrl.train("CartPole-v1", out=tmp_path / "run", **QUICK)
    monkeypatch.undo()
    frankrl.resume(tmp_path / "run")
    assert contents(tmp_path / "run") == contents(whole)


def test_a_disk_without_room_for_the_checkpoints_is_refused_before_anything_is_made(
    tmp_path, monkeypatch
):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10_000))
    with pytest.raises(SettingError, match=r"9\.77 KiB are free in .*4 more checkpoints with 500"):
        frankrl.train("CartPole-v1", out=tmp_path / "run", **QUICK)
    assert list(tmp_path.iterdir()) == []


def altered_info(half, **changes):
    """Change what the newest checkpoint says, with a manifest that agrees."""
    newest = list_checkpoints(half / "checkpoints")[-1]
    names = {file.stem: 10**7 for file in newest.glob("*.safetensors")}
    loaded = load_checkpoint(newest, names)
    info = {**loaded.info, **changes}
    info.pop("format")
    save_checkpoint(newest.parent, int(newest.name), loaded.tensors, info)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"env_steps": "many"}, "has the env_steps"),
        ({"env_steps": 399}, "does not fit the run's settings"),
        ({"env_steps": 10**30}, "which is not from 0 to"),
        ({"env_steps": -2}, "which is not from 0 to"),
        ({"env_steps": True}, "has the env_steps"),
        ({"updates": 3}, "does not fit the run's settings"),
        ({"seconds": "long"}, "no number"),
        ({"solved": 5}, "has the solved"),
        ({"best": {"env_steps": 1}}, "mean_return"),
        ({"not_reproducible": [3]}, "has the not_reproducible"),
        ({"versions": None}, "has the versions"),
        ({"replay_start": {"env_steps": 0}}, "has the updates"),
        ({"replay_start": {"env_steps": 300, "updates": 300}}, "does not fit the run's settings"),
        ({"replay_start": {"env_steps": 500, "updates": 0}}, "does not fit the run's settings"),
        ({"holds_replay": False}, "contradicts itself about its replay buffer"),
        ({"env_id": "Acrobot-v1"}, "was made for 'Acrobot-v1'"),
    ],
)
def test_a_checkpoint_that_says_impossible_things_is_refused(half, changes, words):
    altered_info(half, **changes)
    with pytest.raises(RunFolderError, match=words):
        frankrl.resume(half)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (".steps.action", 2, "holds an action that does not exist"),
        (".steps.reward", float("nan"), "holds a reward that is not finite"),
        (".num_steps", 398, "counts 398 env steps .* been given 400"),
    ],
)
def test_where_a_buffer_is_one_that_no_run_writes_the_checkpoint_before_is_used(
    whole, half, name, value, words
):
    newest = list_checkpoints(half / "checkpoints")[-1]
    loaded = load_checkpoint(newest, {file.stem: 10**7 for file in newest.glob("*.safetensors")})
    arrays = {file: dict(part) for file, part in loaded.tensors.items()}
    arrays["replay"][name] = np.full_like(arrays["replay"][name], value)
    info = {key: told for key, told in loaded.info.items() if key != "format"}
    save_checkpoint(newest.parent, int(newest.name), arrays, info)
    with pytest.warns(FrankWarning, match=f"0400 is damaged: its buffer {words}.*set aside"):
        frankrl.resume(half)
    assert contents(half) == contents(whole)


def test_a_checkpoint_that_cannot_be_read_just_now_is_not_taken_for_damaged(half, monkeypatch):
    newest = list_checkpoints(half / "checkpoints")[-1]
    real = os.open

    def failing(path, *args, **kwargs):
        if str(path).startswith(str(newest / "replay")):
            raise OSError(5, "Input/output error")
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", failing)
    with pytest.raises(RunFolderError, match=r"replay\.safetensors cannot be read: Input/output"):
        frankrl.resume(half)
    monkeypatch.undo()
    assert list_checkpoints(half / "checkpoints")[-1] == newest
    assert frankrl.resume(half).not_reproducible == []


def test_metrics_that_lost_their_rows_mark_the_run(half):
    for file in half.glob("metrics.sqlite*"):
        file.unlink()
    with pytest.warns(FrankWarning, match=r"because the metrics lack the rows of \d+ episodes"):
        result = frankrl.resume(half)
    assert "metrics lack" in result.not_reproducible[0]["reason"]
    assert "metrics lack" in not_reproducible(half)[0][1]


def test_a_best_agent_from_beyond_the_checkpoint_stays_until_the_run_has_come_there(whole, half):
    shutil.rmtree(half / "best")
    shutil.copytree(whole / "best", half / "best")
    (best,) = list_checkpoints(half / "best")
    beyond = best.rename(best.with_name("000000000500"))
    settings = RunFolder.open(half).description.settings
    rounds = iter(range(10))
    training = prepare_resume(RunFolder.open(half), settings)
    stopped = run_to_end(training, lambda event: None, lambda: next(rounds, None) is None)
    assert stopped.stopped
    assert beyond.is_dir()
    frankrl.resume(half)
    assert contents(half) == contents(whole)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hidden_widths": (1_000_000, 1_000_000)}, "hidden_widths"),
        ({"replay_capacity": 2**30 - 1, "total_env_steps": 2**30}, "replay_capacity can be"),
        ({"replay_capacity": 10**12}, "replay_capacity must be at most 1073741823"),
        ({"distribution": "qr", "num_quantiles": 10**6}, "or num_quantiles"),
        ({"distribution": "c51", "num_atoms": 10**6}, "or num_atoms"),
        ({"distribution": "iqn", "iqn_samples": 10**6}, "iqn_samples or"),
        ({"distribution": "iqn", "iqn_cosines": 10**10}, "and its head has about"),
        ({"replay_ratio": 9e6}, "one round"),
        ({"final_evaluation_episodes": 10**9}, "at most 1000000"),
    ],
)
def test_what_cannot_fit_into_memory_is_refused_before_anything_is_made(tmp_path, changes, words):
    with pytest.raises(SettingError, match=words):
        frankrl.train("CartPole-v1", out=tmp_path / "run", **(QUICK | changes))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_buffer_has_rows_for_its_budget_and_their_number_changes_no_bit(tmp_path, monkeypatch):
    chosen = QUICK | {
        "replay_sampling": "prioritised",
        "priority_beta_env_steps": 500,
        "checkpoint_every_env_steps": 1_000,
    }
    monkeypatch.setattr(make, "_LEAST_ENV_STEPS", 64)
    rows = []
    monkeypatch.setattr(
        ReplayBuffer, "init", lambda self, *rest: rows.append(self.num_rows) or init(self, *rest)
    )
    frankrl.train("CartPole-v1", out=tmp_path / "a", **(chosen | {"total_env_steps": 200}))
    frankrl.resume(tmp_path / "a", total_env_steps=500)
    monkeypatch.setattr(make, "_LEAST_ENV_STEPS", 4_096)
    frankrl.train("CartPole-v1", out=tmp_path / "b", **chosen)
    assert {256 + 2, 512 + 2, 4_096 + 2} <= set(rows)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
