"""Runs that begin with weights from elsewhere: they take exactly these, say so, and stay exact."""

import hashlib
import os
import shutil
import sys

import jax
import numpy as np
import pytest
from foreign_runs import CANARY, CODE, foreign_copy
from robustness.runs import killed_copy
from safetensors.numpy import load_file, save_file
from torch_archives import q_network, sb3_zip

import frankrl
from frankrl.config.presets import load_preset
from frankrl.core.errors import DamagedError, FrankWarning, RunFolderError, SettingError
from frankrl.hub.privacy import public_description
from frankrl.opening import open_network
from frankrl.runs import INITIAL, RunDescription, RunFolder, list_checkpoints
from frankrl.training.initial import initial_source
from frankrl.training.preparing import prepare

pytestmark = pytest.mark.slow

SMALL = {"hidden_widths": [6], "num_envs": 2, "learning_starts_env_steps": 20, "batch_size": 4}
SMALL |= {"total_env_steps": 120, "checkpoint_every_env_steps": 60, "target_period_updates": 7}
SMALL |= {"final_evaluation_episodes": None, "log_every_env_steps": 30}
SOURCE = SMALL | {"evaluate_every_env_steps": 40, "evaluation_episodes": 1}
SMALL |= {"evaluate_every_env_steps": None}
CHANGED = {"gamma": 0.9, "epsilon_start": 0.2, "learning_rate": 3e-3, "polyak_window_updates": 9}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A run whose newest and best agents have other weights."""
    run = tmp_path_factory.mktemp("source") / "run"
    frankrl.train("CartPole-v1", preset="default", seed=3, out=run, **SOURCE)
    return run


@pytest.fixture(scope="module")
def tuned(source, tmp_path_factory):
    """A run that began with the newest agent's weights; the run that it took them from is gone."""
    folder = tmp_path_factory.mktemp("tuned")
    shutil.copytree(source, folder / "source")
    frankrl.train(
        "CartPole-v1",
        preset="default",
        out=folder / "tuned",
        init_from=folder / "source",
        **SMALL | CHANGED,
    )
    shutil.rmtree(folder / "source")
    return folder / "tuned"


def begun(path, out, *, best=False, overwrite=False, env_id="CartPole-v1", **changes):
    """The state in which a run begins, and its folder; it is not trained."""
    settings = load_preset("default").with_changes(**SMALL | changes)
    initial = initial_source(path, best=best)
    if initial is not None:
        settings = initial.completed(settings, SMALL | changes)
    training = prepare(env_id, "default", settings, 0, out, initial=initial, overwrite=overwrite)
    training.close()
    return training.state(), training.folder, training


def weights_of(run, *, best=False):
    opened = open_network(RunFolder.open(run), best=best)
    return opened.experiment.network.layout.flatten(opened.params)


@pytest.mark.parametrize("best", [False, True])
def test_both_networks_and_their_average_begin_with_the_weights_of_a_run(source, best, tmp_path):
    state, folder, training = begun(source, tmp_path / "new", best=best, polyak_window_updates=9)
    fresh, *_ = begun(None, tmp_path / "fresh", polyak_window_updates=9)
    expected = weights_of(source, best=best)
    assert not np.array_equal(weights_of(source, best=not best), expected)
    learner = state.learner
    vectors = (learner.params, learner.target_params, learner.average_params)
    for vector in (*vectors, state.behaviour_params, state.params, state.eval_params):
        np.testing.assert_array_equal(vector, expected)
    assert int(learner.num_updates) == state.ticks == 0
    for ours, theirs in zip(
        jax.tree.leaves(learner.opt_state), jax.tree.leaves(fresh.learner.opt_state), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    origin = RunFolder.open(folder.path).description.origin
    best_at = open_network(RunFolder.open(source), best=True).info["env_steps"]
    assert (origin.kind, origin.path, origin.agent, origin.env_steps) == (
        *("run", str(source)),
        *(("best", best_at) if best else ("newest", 120)),
    )
    assert origin.sha256 == hashlib.sha256((folder.path / INITIAL).read_bytes()).hexdigest()
    assert training.notes[-1].startswith(f"initial weights: the {origin.agent} agent of {source}")


def test_the_same_weights_from_a_file_give_the_same_run(source, tmp_path):
    (file,) = frankrl.export(source, safetensors=tmp_path / "agent.safetensors")
    state, folder, _ = begun(file, tmp_path / "new")
    _, other, _ = begun(source, tmp_path / "other")
    np.testing.assert_array_equal(state.params, weights_of(source))
    ours, theirs = folder.description.origin, other.description.origin
    assert (ours.kind, ours.agent, ours.env_steps) == ("safetensors", None, 120)
    assert ours.sha256 == theirs.sha256
    with pytest.raises(SettingError, match=r"it has hidden_widths \[6\] \(here \[7\]\): give"):
        begun(file, tmp_path / "wide", hidden_widths=[7])


@pytest.mark.parametrize("symmetry", [False, True])
def test_an_agent_of_stable_baselines3_brings_its_network(symmetry, tmp_path):
    arrays = q_network(4, 9, 2)
    (tmp_path / "agent.zip").write_bytes(sb3_zip(arrays))
    settings = {name: value for name, value in SMALL.items() if name != "hidden_widths"}
    result = frankrl.train(
        "CartPole-v1",
        preset="CartPole-v1",
        out=tmp_path / "run",
        init_from=str(tmp_path / "agent.zip"),
        symmetry=symmetry,
        **settings,
    )
    description = RunFolder.open(result.run).description
    network = description.settings.network
    assert (network.hidden_widths, network.layer_norm) == ((9,), False)
    assert (description.origin.kind, description.origin.env_steps) == ("sb3", 1_234)
    stored = load_file(result.run / INITIAL)
    np.testing.assert_array_equal(stored["output.weight"], arrays["q_net.q_net.2.weight"].T)


def test_update_1_is_explained_exactly(tuned):
    record, named = frankrl.explain(tuned, update=1), load_file(tuned / INITIAL)
    for states, q_values in (
        (record.batch.observation, record.q_values),
        (record.batch.next_observation, record.target_q_values),
    ):
        units = np.maximum(states @ named["hidden.0.weight"] + named["hidden.0.bias"], 0)
        expected = units @ named["output.weight"] + named["output.bias"]
        np.testing.assert_allclose(q_values, expected, rtol=1e-5)


def test_a_run_continues_to_the_same_bits_without_what_it_began_with(tuned, tmp_path):
    cut = killed_copy(tuned, tmp_path / "cut")
    (cut / INITIAL).unlink()
    frankrl.resume(cut)
    whole, again = (
        list_checkpoints(run / "checkpoints")[-1].glob("*.safetensors") for run in (tuned, cut)
    )
    ours = {file.name: file.read_bytes() for file in again}
    assert ours == {file.name: file.read_bytes() for file in whole}
    assert RunFolder.open(cut).description.origin == RunFolder.open(tuned).description.origin
    with pytest.raises(DamagedError, match=f"{INITIAL} cannot be read"):
        frankrl.explain(cut, update=1)


def test_changed_initial_weights_are_noticed(tuned, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(tuned, changed)
    file = changed / INITIAL
    save_file({name: array + 1 for name, array in load_file(file).items()}, file)
    with pytest.raises(DamagedError, match=r"has the SHA-256 .*, config\.toml says"):
        frankrl.explain(changed, update=1)


def test_a_run_killed_before_its_first_checkpoint_begins_again_with_the_same_weights(
    source, tmp_path
):
    gone, run = tmp_path / "gone", tmp_path / "run"
    shutil.copytree(source, gone)
    state, folder, _ = begun(gone, run)
    shutil.rmtree(gone)
    with pytest.raises(RunFolderError, match="stopped before the first one; it holds the weights"):
        frankrl.resume(run)
    # By it, this very process still writes the run.
    (run / ".lock").unlink()
    with pytest.raises(RunFolderError, match=rf"init_from='{run / INITIAL}' and overwrite=True"):
        frankrl.load(run)
    again, other, _ = begun(run / INITIAL, run, overwrite=True)
    assert other.description.origin.sha256 == folder.description.origin.sha256
    for ours, theirs in zip(jax.tree.leaves(again), jax.tree.leaves(state), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_run_can_be_replaced_by_one_that_begins_with_its_weights(source, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(source, run)
    expected = weights_of(run)
    state, _, _ = begun(run, run, overwrite=True)
    np.testing.assert_array_equal(state.params, expected)


def test_another_shape_is_refused_by_its_layer_and_nothing_is_written(source, tmp_path):
    with pytest.raises(SettingError) as error:
        begun(source, tmp_path / "new", hidden_widths=[7], layer_norm=True)
    message = str(error.value)
    assert "hidden.0.layer.weight should be float32[4, 7] and is missing" in message
    assert "it has hidden_widths [6] (here [7]), layer_norm false (here true)" in message
    assert f"or preset='{source}/config.toml' for all of them" in message
    with pytest.raises(SettingError) as error:
        begun(source, tmp_path / "new", env_id="Acrobot-v1")
    assert "hidden.0.weight should be float32[6, 6] and is float32[4, 6]" in str(error.value)
    assert "its observations, its actions or its network are others" in str(error.value)
    assert not (tmp_path / "new").exists()


def test_weights_that_fit_and_mean_something_else_are_warned_of(source, tmp_path):
    with pytest.warns(FrankWarning, match=r"trained with activation relu \(here tanh\)"):
        begun(source, tmp_path / "new", activation="tanh")


def test_a_q_table_begins_with_another_ones_values(tmp_path):
    settings = {"total_env_steps": 40, "final_evaluation_episodes": None, "q_function": "table"}
    settings |= {"evaluate_every_env_steps": None}
    run = frankrl.train("FrozenLake-v1", out=tmp_path / "a", **settings).run
    frankrl.train("FrozenLake-v1", out=tmp_path / "b", init_from=run, gamma=0.5, **settings)
    assert list(load_file(tmp_path / "b" / INITIAL)) == ["output"]


WRONG = {
    "nothing there": ("nothing", "does not exist"),
    "another kind of file": ("notes.txt", "is neither"),
    "no run": ("empty", "is not a run"),
    "no safetensors": ("broken.safetensors", "it is no safetensors file"),
    "a folder of that name": ("folder.zip", "is not a run"),
    "no archive": ("broken.zip", "no readable zip file"),
    "a pipe": ("pipe.zip", "no ordinary file"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_source_of_weights_is_refused(kind, tmp_path):
    name, message = WRONG[kind]
    for file in ("notes.txt", "broken.safetensors", "broken.zip"):
        (tmp_path / file).write_bytes(b"\xff" * 20)
    for folder in ("empty", "folder.zip"):
        (tmp_path / folder).mkdir()
    os.mkfifo(tmp_path / "pipe.zip")
    with pytest.raises(frankrl.FrankError, match=message):
        frankrl.train("CartPole-v1", init_from=tmp_path / name, out=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_link_to_a_file_is_followed(tmp_path):
    (tmp_path / "blob").write_bytes(sb3_zip(q_network(4, 6, 2)))
    (tmp_path / "agent.zip").symlink_to(tmp_path / "blob")
    begun(tmp_path / "agent.zip", tmp_path / "new")


def test_the_best_agent_is_one_of_a_run(source, tmp_path):
    with pytest.raises(SettingError, match="init_best=True chooses an agent of the run"):
        frankrl.train("CartPole-v1", init_best=True)
    (tmp_path / "agent.zip").write_bytes(sb3_zip(q_network(4, 6, 2)))
    with pytest.raises(SettingError, match="is a file: leave it out"):
        frankrl.train("CartPole-v1", init_from=tmp_path / "agent.zip", init_best=True)


def test_nothing_that_a_source_names_is_run(source, tmp_path, monkeypatch):
    (tmp_path / "evil_module.py").write_text(CODE)
    canary = tmp_path / CANARY
    monkeypatch.setenv(f"FRANK_{CANARY.upper()}", str(canary))
    monkeypatch.syspath_prepend(tmp_path)
    path = foreign_copy(source, tmp_path / "foreign", "evil_module:Evil-v0", a="evil_module:x")
    state, _, _ = begun(path, tmp_path / "new")
    np.testing.assert_array_equal(state.params, weights_of(source))
    assert "evil_module" not in sys.modules
    assert not canary.exists()


TABLE = """
[initial_weights]
kind = "sb3"
path = "/agents/a.zip"
agent = "none"
env_steps = "none"
sha256 = "{}"
""".format("0f" * 32)


def description_with(table):
    text = RunDescription("CartPole-v1", "default", 0, load_preset("default").resolved()).to_toml()
    return RunDescription.from_toml(text + table)


def test_an_origin_survives_the_description_of_a_run():
    found = description_with(TABLE)
    assert (found.origin.kind, found.origin.agent, found.origin.env_steps) == ("sb3", None, None)
    assert RunDescription.from_toml(found.to_toml()) == found


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('kind = "sb3"', 'kind = "code"'),
        ('kind = "sb3"', 'kind = ["sb3"]'),
        ('kind = "sb3"', ""),
        ('"/agents/a.zip"', "3"),
        ('agent = "none"', 'agent = "worst"'),
        ('env_steps = "none"', "env_steps = -1"),
        ('env_steps = "none"', "env_steps = true"),
        ("0f0f", "0F0F"),
        ('kind = "sb3"', 'kind = "sb3"\nmore = 1'),
    ],
)
def test_an_origin_that_no_run_writes_is_refused(before, after):
    with pytest.raises(SettingError, match=r"\[initial_weights\]"):
        description_with(TABLE.replace(before, after))


def test_others_see_no_folder_of_the_origin():
    described = description_with(TABLE.replace("/agents/a.zip", "/home/me/my agents/a b.zip"))
    assert public_description(described).origin.path == "…/a b.zip"


def test_the_settings_of_such_a_run_are_a_preset(tuned):
    assert load_preset(str(tuned / "config.toml")).learning.gamma == 0.9


@pytest.mark.parametrize(
    ("of_the_run", "here", "words"),
    [
        ({"value_rescaling": True}, {}, r"value_rescaling true \(here false\)"),
        ({}, {"value_rescaling": True}, r"value_rescaling false \(here true\)"),
    ],
)
def test_weights_whose_values_are_on_another_scale_are_warned_of(tmp_path, of_the_run, here, words):
    run = tmp_path / "run"
    frankrl.train(
        "CartPole-v1", preset="default", out=run, **SOURCE | {"total_env_steps": 60} | of_the_run
    )
    with pytest.warns(FrankWarning, match=words):
        begun(run, tmp_path / "new", **here)


def test_logits_that_become_q_values_are_warned_of(source, tmp_path):
    weights = tmp_path / "clone.safetensors"
    frankrl.export(source, safetensors=weights)
    clone = initial_source(weights, best=False)
    clone._settings = {**clone.settings, "algorithm": "bc"}
    settings = load_preset("default").with_changes(**SMALL)
    with pytest.warns(FrankWarning, match="their outputs are logits"):
        prepare("CartPole-v1", "default", settings, 0, tmp_path / "new", initial=clone).close()
