"""Data sets of runs, as a person makes them, beside what their environments gave."""

import contextlib
import json
import os
import re
import signal
import sqlite3

import logging_env
import minari
import numpy as np
import pytest
from data_sets import assert_same_episode

import frankrl
from frankrl.cli.main import main
from frankrl.core.errors import SettingError
from frankrl.datasets import open_dataset, writing
from frankrl.datasets.checks import checked
from frankrl.exporting.replay_episodes import whole_episodes
from frankrl.runs import RunFolder, load_checkpoint
from frankrl.training.checkpoint_metadata import replay_start_in
from frankrl.training.opened import open_network
from frankrl.training.replay_codec import REPLAY, most_replay_bytes, replay_from

SMALL = {
    "preset": "default",
    "hidden_widths": [8],
    "total_env_steps": 300,
    "learning_starts_env_steps": 100,
    "evaluate_every_env_steps": None,
    "final_evaluation_episodes": None,
}
NAME = "walk/small-v0"


@pytest.fixture(autouse=True)
def minaris_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return tmp_path / "minari"


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A run, and the episodes that its environments have ended, among others."""
    logging_env.ENDED.clear()
    out = tmp_path_factory.mktemp("logged")
    run = frankrl.train(
        "FrankLogging-v0", out=out / "my run", seed=3, num_envs=3,
        env_kwargs={"folder": str(out)}, **SMALL,
    ).run  # fmt: skip
    return run, list(logging_env.ENDED)


def frank(*words) -> int:
    return main([str(word) for word in words])


def test_the_replay_buffers_episodes_are_what_the_environments_gave(logged, capsys, minaris_folder):
    run, ended = logged
    assert frank("export", run, "--minari", NAME) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{minaris_folder / NAME}\n"
    found = open_dataset(NAME)
    with contextlib.closing(sqlite3.connect(run / "metrics.sqlite")) as metrics:
        (lengths,) = zip(*metrics.execute("SELECT length FROM episodes"), strict=True)
    assert re.fullmatch(
        rf"frank: {len(lengths)} episodes of \d+ env steps, mean return -?[\d.]+\n", printed.err
    )
    assert found.num_episodes == len(lengths) > 20
    assert sorted(episode.num_steps for episode in found.episodes()) == sorted(lengths)
    # The buffer holds neither seeds nor, of an episode that also terminated, the truncation.
    expected = {episode.rewards.tobytes(): episode for episode in ended}
    for one in found.episodes():
        other = expected.pop(one.rewards.tobytes())
        truncated = other.truncated and not other.terminated
        assert_same_episode(one, other._replace(truncated=truncated, seed=None))
    theirs = minari.load_dataset(NAME)
    assert (theirs.total_episodes, theirs.total_steps) == (len(lengths), found.num_steps)


@pytest.mark.parametrize("epsilon", [0, 0.5, 1])
def test_fresh_episodes_are_what_the_environment_gave_however_many_there_are(
    logged, tmp_path, epsilon, monkeypatch
):
    run, _ = logged
    monkeypatch.setattr(logging_env, "ENDED", [])
    how = {"evaluation_episodes": 30, "epsilon": epsilon, "seed": 5, "progress": False}
    found = frankrl.export_dataset(run, NAME, out=tmp_path / "a", **how)
    expected = {episode.seed: episode for episode in logging_env.ENDED}
    agent = frankrl.load(run)
    greedy, taken = [], []
    for one in found.episodes():
        assert_same_episode(one, expected.pop(one.seed))
        seen = {name: part[:-1] for name, part in one.observations.items()}
        greedy += agent.act(seen, one.masks[:-1]).tolist()
        taken += one.actions.tolist()
    assert not expected
    share = np.mean(np.array(greedy) == taken)
    assert share == 1 if epsilon == 0 else 0.3 < share < 1
    one_env = frankrl.load(run)
    settings = one_env.run.description.settings.with_changes(evaluation_envs=1)
    object.__setattr__(one_env.run.description, "settings", settings)
    again = frankrl.export_dataset(run, NAME, out=tmp_path / "b", **how)
    assert again.digest == found.digest
    other = frankrl.export_dataset(run, NAME, out=tmp_path / "c", **how | {"seed": 6})
    assert other.digest != found.digest


def test_fresh_episodes_end_once_they_have_enough_env_steps(logged, tmp_path):
    run, _ = logged
    found = frankrl.export_dataset(run, NAME, out=tmp_path, evaluation_env_steps=100)
    lengths = [episode.num_steps for episode in found.episodes()]
    assert sum(lengths[:-1]) < 100 <= sum(lengths) == found.num_steps


def test_metadata_say_where_the_data_come_from_and_name_no_local_folder(logged, tmp_path):
    run, _ = logged
    how = {"evaluation_episodes": 2, "epsilon": 0.25, "seed": 5, "author": "A. Person"}
    found = frankrl.export_dataset(run, NAME, out=tmp_path, **how)
    text = (found.files / "metadata.json").read_text()
    assert str(run.parent) not in text
    assert str(run.parent).replace("/", "\\/") not in text
    data = json.loads(text)
    assert data["algorithm_name"].endswith(
        "ε-greedy with ε = 0.25 after training for 300 env steps"
    )
    assert data["author"] == ["A. Person"]
    facts = data["frankrl"]
    assert (facts["run"], facts["seed"], facts["env_steps"]) == ("my run", 3, 300)
    assert (facts["epsilon"], facts["episodes_seed"]) == (0.25, 5)
    assert facts["env_kwargs"] == {"folder": f"…/{run.parent.name}"}
    assert found.env_id == "FrankLogging-v0"


def test_minari_makes_the_environment_of_a_data_set_again(tmp_path, minaris_folder):
    run = frankrl.train("CartPole-v1", out=tmp_path / "run", **SMALL | {"num_envs": 1})
    frankrl.export_dataset(run, "cart/small-v0", evaluation_episodes=2)
    theirs = minari.load_dataset("cart/small-v0")
    env = theirs.recover_environment()
    assert env.spec.id == "CartPole-v1"
    for episode, noted in zip(theirs, theirs.storage.get_episode_metadata(range(2)), strict=True):
        observation, _ = env.reset(seed=noted["seed"])
        np.testing.assert_array_equal(observation, episode.observations[0])
        for step, action in enumerate(episode.actions):
            observation, reward, *ends, _ = env.step(action)
            np.testing.assert_array_equal(observation, episode.observations[step + 1])
            assert reward == episode.rewards[step]
            assert ends == [episode.terminations[step], episode.truncations[step]]
    env.close()


MISTAKES = {
    "a name without a version": (["--minari", "medium"], "needs a name such as lander/medium-v0"),
    "too many": (
        ["--minari", "a-v0", "--evaluation-episodes", "5", "--evaluation-env-steps", "5"],
        "give --evaluation-episodes or --evaluation-env-steps, not both",
    ),
    "none": (["--minari", "a-v0", "--evaluation-episodes", "0"], "must be a whole number from 1"),
    "ε of the buffer": (
        ["--minari", "a-v0", "--epsilon", "0.5"],
        "--epsilon is for fresh episodes",
    ),
    "best of the buffer": (["--minari", "a-v0", "--best"], "--best is for fresh episodes"),
    "a large ε": (
        ["--minari", "a-v0", "--evaluation-episodes", "5", "--epsilon", "1.5"],
        "epsilon must be a number from 0 to 1, got 1.5",
    ),
    "no data set": (["--epsilon", "0.5"], "--epsilon is for a data set: name it with --minari"),
    "an existing one": (["--minari", "there/is-v0"], "exists already: choose another name"),
    "no name": (["--minari", "", "--out", "there"], "needs a name such as lander/medium-v0"),
    "in the run": (["--minari", "a-v0", "--out", "RUN"], "is a run, or a group of runs, and holds"),
    "below the run": (["--minari", "a-v0", "--out", "RUN/videos"], "is a run, or a group of"),
    "no run": (["--minari", "a-v0"], "is not a run"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_said_in_one_line_and_nothing_is_written(
    logged, tmp_path, capsys, minaris_folder, mistake
):
    words, message = MISTAKES[mistake]
    (minaris_folder / "there" / "is-v0").mkdir(parents=True)
    run = tmp_path if mistake == "no run" else logged[0]
    assert frank("export", run, *(word.replace("RUN", str(run)) for word in words)) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert re.search(message, printed.err), printed.err
    assert [path.name for path in minaris_folder.rglob("*")] == ["there", "is-v0"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_nothing_of_a_data_set(
    number, status, logged, tmp_path, capsys, monkeypatch
):
    def killed(episode, *its_spaces):
        os.kill(os.getpid(), number)
        return checked(episode, *its_spaces)

    monkeypatch.setattr(writing, "checked", killed)
    before = signal.getsignal(number)
    assert frank("export", logged[0], "--minari", NAME, "--out", tmp_path / "sets") == status
    assert "frank: stopped; nothing of the data set is left" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "sets").rglob("*")] == ["walk"]
    assert signal.getsignal(number) == before


BUFFERS = {
    "clipped": ({"clip_rewards": "on"}, "holds clipped rewards"),
    "not saved": ({"checkpoint_replay": "none"}, "does not hold the replay buffer"),
    "always": ({"bootstrap_on": "always"}, "with bootstrap_on always the replay buffer does not"),
}


@pytest.mark.parametrize("kind", BUFFERS)
def test_a_buffer_that_does_not_hold_what_the_environment_gave_is_refused(kind, tmp_path):
    changes, message = BUFFERS[kind]
    how = SMALL | {"total_env_steps": 30, "num_envs": 1} | changes
    run = frankrl.train("CartPole-v1", out=tmp_path / "run", **how).run
    with pytest.raises(SettingError, match=message) as caught:
        frankrl.export_dataset(run, NAME)
    assert "write fresh episodes with evaluation_episodes=100" in str(caught.value)
    assert frankrl.export_dataset(run, NAME, evaluation_episodes=1).num_episodes == 1


@pytest.mark.slow
def test_a_data_set_is_learned_from_and_what_is_learned_plays_another(logged, tmp_path):
    """Out, in, and out again; the buffer of the second run holds the first one's episodes."""
    first = frankrl.export_dataset(logged[0], NAME, out=tmp_path)
    result = frankrl.train(
        "FrankLogging-v0", preset="default", out=tmp_path / "run", dataset=str(first.folder),
        hidden_widths=[8], total_updates=50, evaluate_every_updates=None,
        final_evaluation_episodes=None,
    )  # fmt: skip
    with pytest.raises(SettingError, match="the run has not acted, and its replay buffer holds"):
        frankrl.export_dataset(result, "walk/other-v0")
    found = frankrl.export_dataset(result, "walk/other-v0", evaluation_episodes=2)
    metadata = json.loads((found.files / "metadata.json").read_text())
    assert metadata["algorithm_name"].endswith("greedy after training for 50 updates")
    folder = RunFolder.open(result.run)
    opened = open_network(folder)
    experiment = opened.experiment.with_replay_start(replay_start_in(opened.info))
    loaded = load_checkpoint(
        folder.checkpoints / "000000000050", {REPLAY: most_replay_bytes(experiment)}
    )
    replay = replay_from(loaded, experiment, 50)
    learned = list(whole_episodes(opened.experiment.spec, experiment.replay, replay))
    for one, other in zip(learned, first.episodes(), strict=True):
        assert_same_episode(one, other)
