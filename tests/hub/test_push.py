"""What `frank hub push` puts on the Hub, and what it leaves at home."""

import contextlib
import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys

import imageio_ffmpeg
import pytest
import yaml
from hub_stub import Repository

import frankrl
from frankrl.cli.main import main
from frankrl.core.errors import FrankWarning, HubError, RunFolderError, SettingError
from frankrl.core.local_paths import without_paths
from frankrl.core.processes import searching
from frankrl.display import progress_bar
from frankrl.hub.layout import write_manifest
from frankrl.hub.privacy import public_metadata
from frankrl.runs import RunFolder, list_checkpoints


def pushed(hub, name="jane/cart", branch="main"):
    return hub.repositories[name].files(branch)


def metadata_of(card):
    return yaml.safe_load(card.decode().split("---\n")[1])


def test_a_push_is_one_commit_with_the_run_its_card_its_results_and_a_film(hub, run):
    told = frankrl.hub.push(run, "jane/cart")
    assert told.place == f"{hub.url}/jane/cart"
    repository = hub.repositories["jane/cart"]
    assert repository.branches["main"] == told.commit
    assert repository.messages[1:] == ["300 env steps, mean return " + mean_reward(run)]
    assert set(repository.files()) == {
        ".gitattributes",
        "README.md",
        "results.json",
        "config.json",
        "replay.mp4",
        "manifest.json",
        "config.toml",
        "metrics.sqlite",
        "report.json",
        *(
            f"checkpoints/000000000300/{name}"
            for name in (
                "best_network.safetensors",
                "collection.safetensors",
                "optimiser.safetensors",
                "q_network.safetensors",
                "target_network.safetensors",
                "state.json",
                "manifest.json",
            )
        ),
        *(
            f"best/{best_of(run)}/{name}"
            for name in ("q_network.safetensors", "state.json", "manifest.json")
        ),
    }
    # Large files went by the protocol for them, and the weights are the run's own.
    name = "checkpoints/000000000300/q_network.safetensors"
    assert repository.files()[name] == (run / name).read_bytes()
    assert repository.files()["metrics.sqlite"] in hub.stored.values()


def best_of(run):
    (best,) = list_checkpoints(run / "best")
    return best.name


def mean_reward(run):
    evaluation = json.loads((run / "report.json").read_text())["evaluation"]
    return f"{evaluation['mean_return']:.2f} +/- {evaluation['std_return']:.2f}"


def test_the_card_has_the_metadata_that_leaderboards_read(files, run):
    # The form of the cards of Stable-Baselines3 and CleanRL on the Hub.
    assert metadata_of(files["README.md"]) == {
        "library_name": "frankrl",
        "tags": [
            "CartPole-v1",
            "deep-reinforcement-learning",
            "reinforcement-learning",
            "dqn",
            "frankrl",
        ],
        "model-index": [
            {
                "name": "DQN",
                "results": [
                    {
                        "task": {
                            "type": "reinforcement-learning",
                            "name": "reinforcement-learning",
                        },
                        "dataset": {"name": "CartPole-v1", "type": "CartPole-v1"},
                        "metrics": [
                            {
                                "type": "mean_reward",
                                "value": mean_reward(run),
                                "name": "mean_reward",
                                "verified": False,
                            }
                        ],
                    }
                ],
            }
        ],
    }


def test_the_hubs_own_reader_finds_the_result_in_the_card(files, run):
    from huggingface_hub import ModelCard

    (result,) = ModelCard(files["README.md"].decode()).data.eval_results
    assert (result.metric_type, result.metric_value) == ("mean_reward", mean_reward(run))
    assert (result.task_type, result.dataset_type) == ("reinforcement-learning", "CartPole-v1")


def test_the_card_says_how_to_use_the_agent_its_settings_and_whether_its_bits_are_exact(files):
    text = files["README.md"].decode()
    assert "frank hub pull jane/cart --out runs/pulled\nfrank evaluate runs/pulled\n" in text
    assert 'agent = frankrl.load(frankrl.hub.pull("jane/cart"))' in text
    assert "## Settings\n\n```toml\n[data]\n" in text
    assert "hidden_widths = [8]" in text
    assert "gives the same bits on a machine of this kind" in text
    assert "replay.mp4" not in text
    assert "mark" not in text


def test_the_result_is_the_runs_final_evaluation_in_the_names_of_stable_baselines3(files, run):
    results = json.loads(files["results.json"])
    evaluation = json.loads((run / "report.json").read_text())["evaluation"]
    assert results["mean_reward"] == evaluation["mean_return"]
    assert results["std_reward"] == evaluation["std_return"]
    assert (results["n_eval_episodes"], results["is_deterministic"]) == (3, True)
    assert results["evaluation_played"] == "at the end of the training"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", results["eval_datetime"])
    assert results["training"]["updates"] == 201
    assert {"python", "jax", "frankrl"} <= results["versions"].keys()


def test_other_episodes_are_those_of_frankrl_evaluate(hub, run):
    frankrl.hub.push(run, "jane/cart", episodes=5, film=False)
    expected = frankrl.evaluate(frankrl.load(run), episodes=5)
    results = json.loads(pushed(hub)["results.json"])
    assert results["evaluation"]["returns"] == list(expected.returns)
    assert results["evaluation_seed"] == 0
    assert results["evaluation_played"] == "for the Hub"


def test_the_best_agent_is_evaluated_on_request_and_the_card_says_so(hub, run):
    told = frankrl.hub.push(run, "jane/cart", best=True, episodes=2, film=False)
    expected = frankrl.evaluate(frankrl.load(run, best=True), episodes=2)
    assert told.evaluation["returns"] == list(expected.returns)
    text = pushed(hub)["README.md"].decode()
    assert "--best" in text
    assert "best=True" in text
    assert f"| agent | best, after {int(best_of(run)):,} env steps |" in text


def test_work_that_somebody_waits_for_has_one_bar(hub, run, tmp_path, monkeypatch):
    open_bars, bars = [], []

    @contextlib.contextmanager
    def drawn(doing, unit):
        assert open_bars == []
        open_bars.append(doing)
        yield lambda done, of: bars.append(doing)
        open_bars.clear()

    monkeypatch.setattr(progress_bar, "can_redraw", lambda file: True)
    monkeypatch.setattr(progress_bar, "_on_terminal", drawn)
    words = [str(run), "jane/cart", "--episodes", "2", "--no-film"]
    assert main(["hub", "push", *words]) == 0
    assert set(bars) == {"evaluating"}
    assert main(["hub", "pull", "jane/cart"]) == 0
    assert set(bars) == {"evaluating", "pulling"}
    bars.clear()
    frankrl.hub.push(run, "jane/cart", episodes=2, film=False, progress=False)
    frankrl.hub.pull("jane/cart", out=tmp_path / "again", progress=False)
    assert bars == []


def test_the_settings_are_in_config_json(files, run):
    config = json.loads(files["config.json"])
    assert (config["env_id"], config["seed"], config["preset"]) == ("CartPole-v1", 0, "mine")
    settings = RunFolder.open(run).description.settings
    assert frankrl.Settings.from_tables(config["settings"]) == settings


def test_the_film_is_h264_that_browsers_play(hub, run, tmp_path):
    told = frankrl.hub.push(run, "jane/cart")
    assert told.filmed
    path = tmp_path / "replay.mp4"
    path.write_bytes(pushed(hub)["replay.mp4"])
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path)]
    words = subprocess.run(command, capture_output=True, text=True).stderr
    assert re.search(r"Video: h264 .*yuv420p", words)


def test_an_environment_that_cannot_be_filmed_is_pushed_without_a_film(hub, run, monkeypatch):
    from frankrl.hub import repository

    def refuses(*args, **kwargs):
        raise SettingError("there is no picture")

    monkeypatch.setattr(repository, "write_film", refuses)
    with pytest.warns(FrankWarning, match="^the repository holds no film: there is no picture$"):
        told = frankrl.hub.push(run, "jane/cart")
    assert not told.filmed
    assert "replay.mp4" not in pushed(hub)


def test_nothing_of_the_machine_or_its_user_is_pushed(hub, run):
    home, mark = os.path.expanduser("~"), RunFolder.open(run).description.mark
    secrets = [mark, str(run), str(run.parent), f"{home}/", socket.gethostname()]
    assert mark
    assert str(run) in (run / "report.json").read_text()
    assert str(run.parent) in (run / "config.toml").read_text()
    frankrl.hub.push(run, "jane/cart", with_replay=True)
    for name, content in pushed(hub).items():
        # A short name of a machine would be found in weights by chance.
        for secret in (secret for secret in secrets if len(secret) > 4):
            assert secret.encode() not in content, (name, secret)
    config = pushed(hub)["config.toml"].decode()
    assert 'preset = "mine"' in config
    assert 'mark = ""' in config
    assert json.loads(pushed(hub)["report.json"])["run"] == "jane/cart"


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("--xla_dump_to=/home/jane/dump --x=1", "--xla_dump_to=…/dump --x=1"),
        ("'/home/jane/runs/a b' is damaged", "'…/a b' is damaged"),
        ("the file ~/runs/x.py, and ~jane/y", "the file …/x.py, and …/y"),
        ("https://example.org/a/b and 3/4 and left/right", None),
        ("ALE/Pong-v5", None),
        ("…/dump", None),
        (r"'C:\Users\Jane\maps' is damaged", "'…/maps' is damaged"),
        (r"in d:/data/maps, \\server\share\maps and ~\maps", "in …/maps, …/maps and …/maps"),
        (r"{'C:\\Users\\Jane\\maps': 1}", "{'…/maps': 1}"),
        (r"a\b, \d+ and x:y", None),
    ],
)
def test_of_an_absolute_path_only_the_last_part_is_public(text, public):
    assert without_paths(text) == (text if public is None else public)


def test_the_home_folder_is_not_named_even_with_a_space_in_it(monkeypatch):
    monkeypatch.setenv("HOME", "/home/jane doe")
    assert without_paths("saved in /home/jane doe/runs/x") == "saved in …/x"


def test_the_home_folder_of_windows_is_not_named_either(monkeypatch):
    monkeypatch.setenv("USERPROFILE", r"C:\Users\Jane Doe")
    for text in (r"saved in C:\Users\Jane Doe\runs\x", r"saved in C:\\Users\\Jane Doe\\runs\\x"):
        assert without_paths(text) == "saved in …/x"


def test_what_a_checkpoint_says_of_the_machine_is_made_public_without_paths():
    info = {
        "env_id": "my/env:A-v0",
        "environment": {"names": ["/left", "/right"]},
        "machine": {"xla_flags": "--a=/home/jane/b", "visible_cpus": 2},
        "not_reproducible": [{"env_steps": 3, "reason": "/tmp/x/y was lost"}],
    }
    assert public_metadata(info) == info | {
        "machine": {"xla_flags": "--a=…/b", "visible_cpus": 2},
        "not_reproducible": [{"env_steps": 3, "reason": "…/y was lost"}],
    }


def test_reasons_in_the_metrics_are_made_public_likewise(hub, run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    with sqlite3.connect(copy / "metrics.sqlite") as metrics:
        metrics.execute("INSERT INTO not_reproducible VALUES (7, 'of /home/jane/secret')")
    metrics.close()
    frankrl.hub.push(copy, "jane/cart", film=False)
    content = pushed(hub)["metrics.sqlite"]
    assert b"/home/jane" not in content
    assert "of …/secret".encode() in content


def test_settings_that_name_a_local_path_are_pushed_only_on_request(hub, run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    config = (copy / "config.toml").read_text()
    text = json.dumps(json.dumps({"map": "/home/jane/maps/one.txt"}))
    (copy / "config.toml").write_text(config.replace('env_kwargs = "{}"', f"env_kwargs = {text}"))
    with pytest.raises(SettingError, match=r"env_kwargs names the local path '/home/jane/maps/on"):
        frankrl.hub.push(copy, "jane/cart", film=False)
    assert not hub.repositories
    frankrl.hub.push(copy, "jane/cart", film=False, with_paths=True)
    assert b"/home/jane/maps" in pushed(hub)["config.toml"]


def test_a_second_push_replaces_the_first_and_leaves_other_files(hub, run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    frankrl.hub.push(copy, "jane/cart")
    repository = hub.repositories["jane/cart"]
    repository.commit("main", {**repository.files(), "NOTES.md": b"mine"}, "a note")
    frankrl.resume(copy, total_env_steps=400)
    frankrl.hub.push(copy, "jane/cart", film=False)
    files = repository.files()
    assert {name.split("/")[1] for name in files if name.startswith("checkpoints/")} == {
        "000000000400"
    }
    assert files["NOTES.md"] == b"mine"
    assert "replay.mp4" not in files


def test_a_private_repository_is_private(hub, run):
    frankrl.hub.push(run, "jane/cart", film=False, private=True)
    assert hub.repositories["jane/cart"].private


def test_what_is_meant_to_be_private_is_not_pushed_to_a_public_repository(hub, run):
    hub.repositories["jane/cart"] = Repository()
    with pytest.raises(HubError, match="exists and is public, so nothing was pushed"):
        frankrl.hub.push(run, "jane/cart", film=False, private=True)
    assert set(pushed(hub)) == {".gitattributes"}


def test_a_branch_and_a_message_can_be_chosen(hub, run):
    frankrl.hub.push(run, "jane/cart", film=False, revision="tries", message="the first try")
    assert set(pushed(hub)) == {".gitattributes"}
    assert "config.toml" in pushed(hub, branch="tries")
    assert hub.repositories["jane/cart"].messages[-1] == "the first try"


def test_a_repository_can_be_looked_at_before_it_is_pushed(hub, run, tmp_path):
    told = frankrl.hub.push(run, "jane/cart", film=False, out=tmp_path / "look")
    assert (told.place, told.commit) == (str(tmp_path / "look"), None)
    assert hub.requests == []
    here = {
        str(path.relative_to(tmp_path / "look")): path.read_bytes()
        for path in (tmp_path / "look").rglob("*")
        if path.is_file()
    }
    frankrl.hub.push(run, "jane/cart", film=False)
    there = pushed(hub)
    del there[".gitattributes"]
    assert here == there
    # It is a run of its own, too.
    assert frankrl.load(tmp_path / "look").act([0, 0, 0, 0]) in (0, 1)
    with pytest.raises(SettingError, match="exists already: choose another out"):
        frankrl.hub.push(run, "jane/cart", film=False, out=tmp_path / "look")


def test_a_damaged_newest_checkpoint_is_not_pushed(hub, run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    weights = copy / "checkpoints" / "000000000300" / "optimiser.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.warns(FrankWarning, match="the checkpoint before it is pushed"):
        frankrl.hub.push(copy, "jane/cart", film=False, episodes=1)
    assert {name.split("/")[1] for name in pushed(hub) if name.startswith("checkpoints/")} == {
        "000000000200"
    }


def test_a_run_without_what_is_wanted_is_refused_before_anything_is_made(hub, run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    shutil.rmtree(copy / "best")
    with pytest.raises(RunFolderError, match="holds no best agent"):
        frankrl.hub.push(copy, "jane/cart", best=True)
    shutil.rmtree(copy / "checkpoints")
    with pytest.raises(RunFolderError, match="holds no checkpoint"):
        frankrl.hub.push(copy, "jane/cart", out=tmp_path / "look")
    assert not hub.repositories
    assert os.listdir(tmp_path) == ["copy"]


def test_a_push_leaves_the_run_as_it_was(hub, run):
    def state():
        files = (path for path in run.rglob("*") if path.is_file())
        return {path: path.read_bytes() for path in files}

    before = state()
    frankrl.hub.push(run, "jane/cart")
    assert state() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"repository": "cart"}, "'cart' names no repository: give USER/NAME"),
        ({"repository": "jane/a/b"}, "names no repository"),
        ({"repository": "jane/../cart"}, "names no repository"),
        ({"repository": "jane/-cart"}, "names no repository"),
        ({"repository": 7}, "repository must be the name of a repository"),
        ({"episodes": 0}, "episodes must be a whole number from 1"),
        ({"episodes": True}, "episodes must be a whole number from 1"),
        ({"private": "yes"}, "private must be True or False"),
        ({"revision": 7}, "revision must be text, or None"),
    ],
)
def test_arguments_of_a_push_are_checked(hub, run, arguments, words):
    with pytest.raises(SettingError, match=words):
        frankrl.hub.push(run, **{"repository": "jane/cart", **arguments})
    assert hub.requests == []


def test_a_manifest_names_every_file_with_its_size_and_sha256(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "a").write_bytes(b"abc")
    (tmp_path / "b").write_bytes(b"")
    assert write_manifest(tmp_path) == 3
    assert json.loads((tmp_path / "manifest.json").read_text()) == {
        "files": {
            "b": {
                "bytes": 0,
                "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            },
            "checkpoints/a": {
                "bytes": 3,
                "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            },
        }
    }


def test_a_foreign_report_with_a_number_that_is_none_is_refused_in_one_sentence(hub, run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    (copy / "report.json").write_text('{"env_steps": 300, "evaluation": null, "seconds": 1e999}')
    with pytest.raises(RunFolderError, match=r"report\.json of the run is damaged"):
        frankrl.hub.push(copy, "jane/cart", film=False)
    assert not hub.repositories


def test_neither_the_client_nor_jax_is_imported_before_they_are_needed():
    code = "import sys, frankrl; print(dir(frankrl.hub)); print(*sorted(sys.modules))"
    command = [sys.executable, "-c", code]
    names, modules = subprocess.run(
        command, env=searching(sys.path), capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert names == "['Pushed', 'pull', 'push']"
    assert not {"huggingface_hub", "jax", "numpy"} & set(modules.split())
