"""Runs with a network, a torso or an optimiser of the user's own: exact, loaded, refused."""

import pickle
import shutil
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from foreign_runs import CANARY, CODE
from long_forms import some_of
from robustness.runs import contents, killed_copy

import frankrl
from frankrl.cli.main import main as frank
from frankrl.core.errors import FrankWarning, RunFolderError, SettingError
from frankrl.dashboard.work.diagnostics import diagnose
from frankrl.runs import RunFolder, list_checkpoints, load_checkpoint
from frankrl.runs.layout import CONFIG
from frankrl.training.preparing import prepare

EXAMPLES = Path(__file__).parents[2] / "examples" / "networks"
NAMES = ("plain_jax", "equinox_network", "flax_network", "own_torso", "written_here")
QUICK = {
    "preset": "default",
    "batch_size": 8,
    "num_envs": 2,
    "learning_starts_env_steps": 60,
    "log_every_env_steps": 100,
    "evaluate_every_env_steps": 250,
    "evaluation_episodes": 1,
    "final_evaluation_episodes": 2,
    "total_env_steps": 400,
    "checkpoint_every_env_steps": 100,
}
CHOICES = {
    "plain": {"network": "plain_jax:make", "optimiser": "optax:lion", "n_step": 3},
    "equinox": {"network": "equinox_network:make", "overlap": False, "double": True},
    "flax": {"network": "flax_network:make", "polyak_window_updates": 50},
    "torso": {
        "torso": "own_torso:make",
        "optimiser": "own_torso:optimiser",
        "hidden_widths": (8,),
        "dueling": True,
        "noisy": True,
    },
}
STATE = np.array([0.1, -0.2, 0.03, 0.4], np.float32)


@pytest.fixture(scope="module", autouse=True)
def examples():
    sys.path.insert(0, str(EXAMPLES))
    yield
    sys.path.remove(str(EXAMPLES))
    for name in NAMES:
        sys.modules.pop(name, None)


def foreign(run, path):
    """The same run with a mark that is not this user's."""
    shutil.copytree(run, path)
    config = (path / CONFIG).read_text()
    mark = RunFolder.open(run).description.mark
    (path / CONFIG).write_text(config.replace(mark, "0" * len(mark)))
    return path


KINDS = ["plain", "torso", "equinox", "flax"]


@pytest.fixture(scope="module", params=some_of(KINDS, ["plain", "torso"]))
def run(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param) / "run"
    frankrl.train("CartPole-v1", out=path, seed=3, **QUICK | CHOICES[request.param])
    return path


@pytest.mark.slow
@pytest.mark.parametrize("run", some_of(KINDS, ["plain"]), indirect=True)
def test_a_killed_run_continues_to_the_same_bits(run, tmp_path):
    killed = killed_copy(run, tmp_path / "killed")
    assert frankrl.resume(killed).not_reproducible == []
    assert contents(killed) == contents(run)


@pytest.mark.slow
@pytest.mark.parametrize("run", some_of(KINDS, ["plain"]), indirect=True)
def test_its_agent_is_loaded_sent_evaluated_and_its_update_is_opened(run, capsys):
    agent = frankrl.load(run)
    q_values = agent.q_values(STATE)
    assert q_values.shape == (2,)
    copy = pickle.loads(pickle.dumps(agent))  # noqa: S301
    np.testing.assert_array_equal(copy.q_values(STATE), q_values)
    assert len(frankrl.evaluate(agent, episodes=2).returns) == 2
    record = frankrl.explain(run, update=150)
    own = record.batch.observation
    assert own.shape == (8, 4)
    assert sum(norm**2 for name, norm in record.gradient_norms.items() if name != "all") == (
        pytest.approx(record.gradient_norms["all"] ** 2)
    )
    assert frank(["explain", str(run), "--update", "150"]) == 0
    printed = capsys.readouterr().out
    optimiser = RunFolder.open(run).description.settings.learning.optimiser
    assert ("Adam, learning rate" if optimiser == "adam" else f"your optimiser {optimiser}") in (
        printed
    )


def test_its_diagnostics_leave_out_what_is_not_known(run):
    found = diagnose(RunFolder.open(run))
    own = RunFolder.open(run).description.settings.network.network is not None
    assert len(found["widths"]) == (0 if own else 1)
    assert found["transitions"] > 0


def test_its_code_is_among_the_versions_of_the_run_and_of_its_checkpoints(run):
    description = RunFolder.open(run).description
    for names in description.settings.code_names().values():
        for name in names:
            assert f"code of {name.partition(':')[0]}" in description.versions
    newest = list_checkpoints(run / "checkpoints")[-1]
    assert load_checkpoint(newest, {}).info["versions"] == description.versions


SOURCE = """
import jax, jax.numpy as jnp
from types import SimpleNamespace

def make(spec):
    def init(key, spec):
        return {"weight": jax.random.normal(key, (4, 2))}
    def apply(params, observation):
        return observation @ params["weight"]
    return SimpleNamespace(init=init, apply=apply)
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A run whose network lies in a module that changes; and the folder of the module."""
    folder = tmp_path_factory.mktemp("written")
    (folder / "written_here.py").write_text(SOURCE)
    sys.path.insert(0, str(folder))
    path = folder / "run"
    frankrl.train("CartPole-v1", out=path, **QUICK, network="written_here:make")
    yield path
    sys.path.remove(str(folder))


@pytest.mark.slow
def test_a_changed_module_makes_the_run_inexact_by_name(written, tmp_path):
    killed = killed_copy(written, tmp_path / "killed")
    module = written.parent / "written_here.py"
    module.write_text(SOURCE + "# changed\n")
    try:
        with pytest.warns(FrankWarning, match=r"because code of written_here was '.*' and is '"):
            result = frankrl.resume(killed)
    finally:
        module.write_text(SOURCE)
    assert "code of written_here" in result.not_reproducible[0]["reason"]


@pytest.mark.filterwarnings("always:.*because you allow the run's code")
def test_the_network_of_somebody_elses_run_is_imported_only_if_it_is_named(
    written, tmp_path, monkeypatch, capsys
):
    run = foreign(written, tmp_path / "foreign")
    canary = tmp_path / CANARY
    monkeypatch.setenv(f"FRANK_{CANARY.upper()}", str(canary))
    (written.parent / "written_here.py").write_text(CODE + SOURCE)
    monkeypatch.delitem(sys.modules, "written_here")
    try:
        for attempt in (
            lambda: frankrl.load(run),
            lambda: frankrl.explain(run, update=150),
            lambda: frankrl.resume(run, total_env_steps=500),
            lambda: diagnose(RunFolder.open(run)),
        ):
            with pytest.raises(RunFolderError, match=r"names 'written_here:make'.*nothing of that"):
                attempt()
        exported = tmp_path / "weights.safetensors"
        export = ["export", str(run), "--safetensors", str(exported)]
        tuned = ["train", "CartPole-v1", "--init-from", str(run), "--out", str(tmp_path / "tuned")]
        tuned += ["--total-env-steps", "120", "--final-evaluation-episodes", "none"]
        for command in (["evaluate"], ["film"], ["explain", "--update", "150"]):
            assert frank([command[0], str(run), *command[1:]]) == 2
        for command in (export, [*tuned, "--network", "plain_jax:make"]):
            assert frank(command) == 2
            assert "if you trust it, give --allow-code" in capsys.readouterr().err
        assert not canary.exists()
        with pytest.raises(
            SettingError, match=r"network of .* is written_here:make, not other:mak"
        ):
            frankrl.load(run, network="other:make")
        assert not canary.exists()
        expected = frankrl.load(run, network="written_here:make").q_values(STATE)
        assert canary.exists()
        with pytest.warns(FrankWarning, match="because you allow the run's code"):
            again = frankrl.load(run, allow_code=True)
        np.testing.assert_array_equal(again.q_values(STATE), expected)
        assert frank([*tuned, "--network", "written_here:make"]) == 0
        for command, status, told in (
            ([*export, "--allow-code"], 0, ""),
            ([*tuned, "--allow-code", "--overwrite"], 2, "do not fit this run"),
        ):
            assert frank(command) == status
            printed = capsys.readouterr().err
            assert "because you allow the run's code" in printed
            assert told in printed
        assert frank(["train", "CartPole-v1", "--allow-code"]) == 2
        assert "--allow-code is for the run of somebody else" in capsys.readouterr().err
    finally:
        (written.parent / "written_here.py").write_text(SOURCE)


class Scaled:
    """A network of the user's own that has no name to import it by."""

    def __init__(self, scale):
        self.scale = scale

    def init(self, key, spec):
        return {"weight": self.scale * jax.random.normal(key, (4, spec.num_actions))}

    def apply(self, params, observation):
        return observation @ params["weight"]


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    path = tmp_path_factory.mktemp("given") / "run"
    chosen = {"network": Scaled(0.5), "optimiser": optax.sgd(1e-3, momentum=0.9)}
    frankrl.train("CartPole-v1", out=path, **QUICK, **chosen)
    return path


@pytest.mark.slow
def test_a_run_of_objects_needs_them_again(given, tmp_path):
    killed = killed_copy(given, tmp_path / "killed")
    for attempt in (frankrl.resume, frankrl.load, lambda run: frankrl.explain(run, update=150)):
        with pytest.raises(
            RunFolderError, match=r"'?object:Scaled.* give the same again .*network=…"
        ):
            attempt(killed)
    again = {"network": Scaled(0.5), "optimiser": optax.sgd(1e-3, momentum=0.9)}
    assert frankrl.resume(killed, **again).not_reproducible == []
    assert contents(killed) == contents(given)
    agent = frankrl.load(killed, network=Scaled(0.5))
    assert agent.q_values(STATE).shape == (2,)
    assert frankrl.explain(killed, update=150, **again).update == 150
    with pytest.raises(SettingError, match=r"network of .* is object:Scaled, not object:Other"):
        frankrl.load(killed, network=type("Other", (Scaled,), {})(0.5))


def test_its_weights_go_elsewhere_with_the_object_alone(given, tmp_path):
    short = QUICK | {"total_env_steps": 70, "final_evaluation_episodes": None}
    out = tmp_path / "tuned"
    frankrl.train("CartPole-v1", out=out, init_from=given, network=Scaled(0.5), **short)
    exported = tmp_path / "agent.safetensors"
    assert frankrl.export(given, safetensors=exported, network=Scaled(0.5)) == [exported]
    agent = frankrl.load(given, network=Scaled(0.5))
    with pytest.raises(SettingError, match="are for the folder of a run"):
        frankrl.export(agent, safetensors=exported, network=Scaled(0.5))


def test_it_is_said_that_objects_are_needed_again(tmp_path):
    from frankrl.config import Settings

    settings = Settings().with_changes(network=Scaled(0.5), total_env_steps=2_000)
    training = prepare("CartPole-v1", "default", settings, 0, tmp_path / "run")
    training.close()
    (note,) = [line for line in training.notes if "given as objects" in line]
    assert "frankrl.resume(run, network=…)" in note


def test_two_objects_of_one_name_are_never_confused(tmp_path):
    """In one process, so that a compiled program of the first would be found."""
    scales = {}
    for scale in (0.5, 2.0):
        out = tmp_path / str(scale)
        chosen = QUICK | {"total_env_steps": 100, "final_evaluation_episodes": None}
        frankrl.train("CartPole-v1", out=out, network=Scaled(scale), **chosen)
        network = type(
            "Scaled", (Scaled,), {"apply": lambda self, p, x: self.scale * (x @ p["weight"])}
        )
        scales[scale] = frankrl.load(out, network=network(scale)).q_values(STATE)
        plain = frankrl.load(out, network=Scaled(scale)).q_values(STATE)
        np.testing.assert_allclose(scales[scale], scale * plain, rtol=1e-5)


def test_pictures_and_numbers_come_as_they_are(tmp_path):
    seen = {}

    class Both:
        def init(self, key, spec):
            return {"weight": jax.random.normal(key, (2, spec.num_actions))}

        def apply(self, params, observation):
            seen.update(jax.tree.map(lambda leaf: leaf.dtype.name, observation))
            return observation["inner"]["speed"] @ params["weight"]

    chosen = QUICK | {"env_kwargs": {"observation": "nested", "max_episode_steps": 7}}
    out = tmp_path / "run"
    frankrl.train("probe_envs:FrankSpace-v0", out=out, network=Both(), **chosen)
    assert seen == {
        "picture": "uint8",
        "inner": {"speed": "float32", "bits": "uint8"},
        "cards": ("int32", "int32"),
    }
    assert frankrl.load(out, network=Both()).spec.num_actions


def test_numbers_that_are_not_finite_end_the_run_by_name(tmp_path):
    class Bad(Scaled):
        def apply(self, params, observation):
            return jnp.log(-1 - jnp.abs(observation @ params["weight"]))

    with pytest.raises(frankrl.FrankError, match=r"not finite|nan"):
        frankrl.train("CartPole-v1", out=tmp_path / "run", network=Bad(1.0), **QUICK)


@pytest.mark.slow
def test_the_command_line_names_it_and_says_what_is_wrong(tmp_path, capsys):
    small = ["--total-env-steps", "200", "--learning-starts-env-steps", "100"]
    small += ["--final-evaluation-episodes", "none", "--out", str(tmp_path / "run")]
    words = ["train", "CartPole-v1", *small]
    assert frank([*words, "--network", "no_such_net:make"]) == 2
    assert "there is no module 'no_such_net'" in capsys.readouterr().err
    assert frank([*words, "--network", "plain_jax:mkae"]) == 2
    assert "did you mean 'make'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert frank([*words, "--network", "plain_jax:make", "--optimiser", "optax:adamw"]) == 0
    settings = RunFolder.open(tmp_path / "run").description.settings
    assert settings.network.network == "plain_jax:make"
    assert settings.learning.optimiser == "optax:adamw"
