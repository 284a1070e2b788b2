"""Exporting runs and agents, as a person does it."""

import dataclasses
import json
import os
import pickle
import re
import subprocess
import sys

import numpy as np
import onnx
import pytest
from exporting.exported_agents import session_of
from memoryless import memoryless
from safetensors import safe_open
from safetensors.numpy import load_file

import frankrl
from frankrl.agent import Agent
from frankrl.cli.main import main
from frankrl.config import Settings
from frankrl.core.errors import FrankError, MissingExtraError, SettingError
from frankrl.environments import spec_from_data
from frankrl.exporting.trained_network import outputs_of
from frankrl.hub import card
from frankrl.learning import network_for
from frankrl.networks import params_from_names
from frankrl.runs import RunFolder, atomic_file

SMALL = {
    "preset": "default",
    "hidden_widths": [8],
    "total_env_steps": 200,
    "learning_starts_env_steps": 100,
    "evaluate_every_env_steps": 50,
    "final_evaluation_episodes": 1,
    "num_envs": 2,
}
OBSERVATIONS = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return frankrl.train(
        "CartPole-v1", out=tmp_path_factory.mktemp("exported") / "my run", seed=3, **SMALL
    ).run


def frank(*words) -> int:
    return main([str(word) for word in words])


@pytest.mark.parametrize("best", [False, True])
def test_both_files_of_a_run_hold_its_agent(run, tmp_path, capsys, best):
    graph, weights = tmp_path / "agent.onnx", tmp_path / "agent.safetensors"
    chosen = ["--best"] if best else []
    assert frank("export", run, "--onnx", graph, "--safetensors", weights, *chosen) == 0
    assert capsys.readouterr().out == f"{graph}\n{weights}\n"
    assert sorted(tmp_path.iterdir()) == [graph, weights]
    agent = frankrl.load(run, best=best)
    q_values, action = session_of(graph.read_bytes()).run(None, {"observation": OBSERVATIONS})
    np.testing.assert_allclose(q_values, agent.q_values(OBSERVATIONS), rtol=1e-5)
    np.testing.assert_array_equal(action, agent.act(OBSERVATIONS))
    facts = {part.key: part.value for part in onnx.load(graph).metadata_props}
    assert facts["env_id"] == "CartPole-v1"
    assert (facts["run"], facts["seed"], facts["gamma"]) == ("my run", "3", "0.99")
    assert facts["outputs"] == "q_values"
    assert 0 < int(facts["env_steps"]) <= 200
    assert json.loads(facts["action_names"]) == list(agent.spec.action_names)


@pytest.mark.parametrize(
    ("changes", "outputs", "kind", "shown"),
    [
        ({}, "q_values", "A DQN agent", "the Q-value of every action"),
        ({"value_rescaling": True}, "h(q_values)", "A DQN agent", "the Q-value of every action"),
        (
            {"algorithm": "bc", "dataset": "some-v0"},
            "logits",
            "A cloned agent (behaviour cloning: its outputs are logits, no Q-values)",
            "the logit of every action",
        ),
    ],
)
def test_what_the_outputs_are_is_said_in_files_and_on_the_card(changes, outputs, kind, shown, run):
    description = RunFolder.open(run).description
    tables = description.settings.with_changes(**changes)
    assert outputs_of(tables) == outputs
    changed = dataclasses.replace(description, settings=tables)
    assert (card._kind(changed), card._shown(changed)) == (kind, shown)


def test_a_file_of_weights_is_enough_to_compute_the_q_values(run, tmp_path):
    (path,) = frankrl.export(run, safetensors=tmp_path / "agent.safetensors")
    with safe_open(path, "numpy") as file:
        facts = file.metadata()
    tables = json.loads(facts["settings"])
    settings = Settings.from_tables(tables)
    env_kwargs = json.loads(facts["env_kwargs"])
    spec = spec_from_data(json.loads(facts["environment"]), facts["env_id"], env_kwargs)
    network = network_for(settings, spec)
    arrays = load_file(path)
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}
    assert set(arrays) == {"hidden.0.weight", "hidden.0.bias", "output.weight", "output.bias"}
    params = params_from_names(network.shapes, arrays)
    np.testing.assert_array_equal(
        network.q_values(params, OBSERVATIONS), frankrl.load(run).q_values(OBSERVATIONS)
    )


def test_an_agent_is_exported_as_its_run_is_byte_by_byte_in_every_process(run, tmp_path):
    names = {"onnx": "onnx", "safetensors": "safetensors"}
    agent = frankrl.load(run)
    of_agent = frankrl.export(agent, **{name: tmp_path / f"a.{name}" for name in names})
    code = (
        "import frankrl, sys; frankrl.export(sys.argv[1], onnx='b.onnx', safetensors=sys.argv[2])"
    )
    command = [sys.executable, "-c", code, str(run), "b.safetensors"]
    subprocess.run(command, cwd=tmp_path, check=True)
    for path in of_agent:
        assert path.read_bytes() == path.with_name(f"b{path.suffix}").read_bytes()


def test_an_agent_is_exported_although_its_run_is_gone(run, tmp_path):
    agent = pickle.loads(pickle.dumps(frankrl.load(run)))  # noqa: S301 - its own bytes
    hidden = run.rename(tmp_path / "elsewhere")
    try:
        (path,) = frankrl.export(agent, onnx=tmp_path / "agent.onnx")
    finally:
        hidden.rename(run)
    q_values, _ = session_of(path.read_bytes()).run(None, {"observation": OBSERVATIONS})
    np.testing.assert_allclose(q_values, agent.q_values(OBSERVATIONS), rtol=1e-5)


MISTAKES = {
    "no file": (
        [],
        r"name a file to write: --onnx agent\.onnx, --safetensors .* --minari lander/medium-v0 w",
    ),
    "another ending": (["--onnx", "agent.bin"], r"ends in \.onnx, got .*: try .*agent\.onnx"),
    "no ending": (["--safetensors", "agent"], r"ends in \.safetensors, .* try agent\.safetensors"),
    "a folder": (["--onnx", "folder.onnx"], r"is a folder: name a file in it, such as .*agent"),
    "no folder": (["--onnx", "missing/agent.onnx"], "lies in no folder: make .*missing first"),
    "an existing file": (["--onnx", "old.onnx"], "exists already: replace it with --overwrite"),
    "the other file exists": (
        ["--safetensors", "new.safetensors", "--onnx", "old.onnx"],
        "old.onnx exists already",
    ),
    "a wrong word": (["--onxx", "a.onnx"], "--onxx.*did you mean --onnx"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_said_in_one_line_and_nothing_is_written(
    run, tmp_path, monkeypatch, capsys, mistake
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "old.onnx").write_text("before")
    words, message = MISTAKES[mistake]
    assert frank("export", run, *words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert re.search(message, printed.err), printed.err
    assert sorted(os.listdir(tmp_path)) == ["folder.onnx", "old.onnx"]
    assert (tmp_path / "old.onnx").read_text() == "before"


def test_a_file_is_replaced_only_if_that_is_asked_for(run, tmp_path):
    path = tmp_path / "agent.onnx"
    path.write_text("before")
    with pytest.raises(SettingError, match="replace it with overwrite=True"):
        frankrl.export(run, onnx=path)
    assert frankrl.export(run, onnx=path, overwrite=True) == [path]
    onnx.checker.check_model(onnx.load(path), full_check=True)


def test_a_run_is_not_overwritten_by_its_own_export(run):
    for file in (*run.glob("checkpoints/*/q_network.safetensors"), *run.glob("best/*/*.safet*")):
        before = file.read_bytes()
        with pytest.raises(SettingError, match="belongs to the run"):
            frankrl.export(run, safetensors=file, overwrite=True)
        assert file.read_bytes() == before
    path = run / "agent.safetensors"
    assert frankrl.export(run, safetensors=path) == [path]
    path.unlink()


def test_a_full_disk_leaves_the_file_that_was_there(run, tmp_path, monkeypatch):
    def full(path, content):
        path.write_bytes(content[:10])
        if content:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic_file, "write_durably", full)
    path = tmp_path / "agent.onnx"
    path.write_text("before")
    with pytest.raises(SettingError, match="No space left on device"):
        frankrl.export(run, onnx=path, overwrite=True)
    assert [(file, file.read_text()) for file in tmp_path.iterdir()] == [(path, "before")]


def test_without_onnx_its_extra_is_named_and_weights_are_written_all_the_same(
    run, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r'pip install "frankrl\[onnx\]"'):
        frankrl.export(run, onnx=tmp_path / "agent.onnx")
    assert frankrl.export(run, safetensors=tmp_path / "agent.safetensors")


def test_what_is_no_agent_of_frank_is_refused(run, tmp_path):
    agent = frankrl.load(run)
    path = tmp_path / "agent.onnx"
    own = Agent(agent.spec, memoryless(lambda *_: np.zeros((1, 2))), epsilon=0.0)
    for given, more, words in (
        (own, {}, "was not trained by Frank: pass one that frankrl.load returns"),
        (agent, {"best": True}, "best, allow_code and objects are for the folder of a run"),
        (tmp_path / "none", {}, "there is no run folder"),
        (7, {}, "the run folder must be a path"),
        (run, {"onnx": 7}, "onnx must be a path"),
        (run, {"overwrite": "yes"}, "overwrite must be True or False"),
    ):
        with pytest.raises(FrankError, match=words):
            frankrl.export(given, **{"onnx": path, **more})
    assert list(tmp_path.iterdir()) == []
