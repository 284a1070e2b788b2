"""An agent with a memory leaves its run: as files, on the Hub, as weights of another run."""

import numpy as np
import onnx
import pytest
from hub_stub import Repository
from safetensors.numpy import load_file
from torch_archives import q_network, sb3_zip

import frankrl
from frankrl.cli.main import main
from frankrl.core.errors import SettingError
from frankrl.dashboard.work.diagnostics import diagnose
from frankrl.runs import RunFolder
from frankrl.training.initial import initial_params
from frankrl.training.opened import open_network

UNITS = 6
SMALL = {
    "memory": "gru",
    "memory_units": UNITS,
    "hidden_widths": (8,),
    "sequence_steps": 8,
    "burn_in_steps": 2,
    "batch_size": 8,
    "learning_starts_env_steps": 60,
    "total_env_steps": 90,
    "evaluate_every_env_steps": None,
    "final_evaluation_episodes": 2,
}
OBSERVATIONS = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)


def train(path, **changes):
    frankrl.train("CartPole-v1", preset="default", out=path, **{**SMALL, **changes})
    return path


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory):
    return train(tmp_path_factory.mktemp("recurrent") / "run")


def answers(agent):
    """Its Q-values all through an episode."""
    state, found = None, []
    for observation in OBSERVATIONS:
        found.append(agent.q_values(observation, state=state))
        _, state = agent.predict(observation, state)
    return np.array(found)


def test_the_exported_weights_are_enough_to_act_as_the_agent(recurrent, tmp_path):
    graph, file = tmp_path / "agent.onnx", tmp_path / "agent.safetensors"
    words = ["export", str(recurrent), "--onnx", str(graph), "--safetensors", str(file)]
    assert main(words) == 0
    metadata = {entry.key: entry.value for entry in onnx.load(graph).metadata_props}
    assert metadata["memory_units"] == str(UNITS)

    weights = load_file(file)
    of_memory = {name for name in weights if name.startswith("memory.")}
    assert of_memory == {
        f"memory.{name}" for name in ("input_weight", "recurrent_weight", "bias", "recurrent_bias")
    }

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    memory, found = np.zeros(UNITS), []
    for x in OBSERVATIONS:
        of_x = np.split(x @ weights["memory.input_weight"] + weights["memory.bias"], 3)
        of_memory = np.split(memory @ weights["memory.recurrent_weight"], 3)
        reset, update = (sigmoid(of_x[gate] + of_memory[gate]) for gate in (0, 1))
        new = np.tanh(of_x[2] + reset * (of_memory[2] + weights["memory.recurrent_bias"]))
        memory = (1 - update) * new + update * memory
        hidden = np.maximum(memory @ weights["hidden.0.weight"] + weights["hidden.0.bias"], 0)
        found.append(hidden @ weights["output.weight"] + weights["output.bias"])
    np.testing.assert_allclose(answers(frankrl.load(recurrent)), found, rtol=1e-5, atol=1e-6)


def test_a_pulled_run_remembers_as_the_one_that_was_pushed(recurrent, hub, tmp_path):
    folder = tmp_path / "repository"
    frankrl.hub.push(recurrent, "jane/memory", film=False, out=folder)
    card = (folder / "README.md").read_text("utf-8")
    assert f"The agent has a memory of {UNITS} numbers" in card
    assert "agent.predict(observation, state, episode_start)" in card
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    repository = hub.repositories["jane/memory"] = Repository()
    repository.commit("main", files, "pushed")
    pulled, original = frankrl.load(frankrl.hub.pull("jane/memory")), frankrl.load(recurrent)
    np.testing.assert_array_equal(answers(pulled), answers(original))
    assert list(frankrl.evaluate(pulled, episodes=3).returns) == list(
        frankrl.evaluate(original, episodes=3).returns
    )


@pytest.mark.parametrize("kind", ["run", "safetensors"])
def test_another_run_begins_with_its_weights(recurrent, kind, tmp_path):
    source = recurrent
    if kind == "safetensors":
        source = tmp_path / "agent.safetensors"
        frankrl.export(recurrent, safetensors=source)
    path = train(tmp_path / "next", init_from=source, total_env_steps=60)
    folder = RunFolder.open(path)
    began = initial_params(folder, open_network(folder).experiment)
    ended = open_network(RunFolder.open(recurrent)).params
    for one, other in zip(began.memory, ended.memory, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"memory": "none", "memory_units": 128},
            r"memory\.input_weight .* is unknown to this network.*it has memory gru \(here none\)",
        ),
        (
            {"memory_units": 5},
            r"memory\.input_weight should be float32\[4, 15\] and is float32\[4, 18\].*"
            r"it has memory_units 6 \(here 5\): give the same here",
        ),
    ],
)
def test_weights_for_another_memory_are_refused(recurrent, changes, words, tmp_path):
    given = {**SMALL, **changes}
    if changes.get("memory") == "none":
        given = {name: given[name] for name in ("hidden_widths", "total_env_steps")}
    with pytest.raises(SettingError, match=words):
        frankrl.train(
            "CartPole-v1", preset="default", init_from=recurrent, out=tmp_path / "next", **given
        )
    assert not (tmp_path / "next").exists()


def test_an_agent_of_another_library_has_no_memory_to_begin_with(tmp_path):
    file = tmp_path / "agent.zip"
    file.write_bytes(sb3_zip(q_network(4, 8, 2)))
    words = "its network has no memory, and that of this run has one .*: set memory to none"
    with pytest.raises(SettingError, match=words):
        train(tmp_path / "next", init_from=file)


def test_dead_units_are_not_counted_in_a_network_that_remembers(recurrent):
    diagnostics = diagnose(RunFolder.open(recurrent))
    assert diagnostics["remembers"]
    assert diagnostics["widths"] == ()
    assert diagnostics["transitions"] > 0
