"""Runs with `symmetry`: refused where it does not hold, resumed exactly, explained, exported."""

import gymnasium
import numpy as np
import pytest
from robustness.runs import contents, killed_copy
from safetensors.numpy import load_file

import frankrl
from frankrl.cli.main import main as frank
from frankrl.cli.parsing import named_settings, parse
from frankrl.cli.setting_flags import SettingFlags
from frankrl.config import NetworkSettings, Settings
from frankrl.dashboard.work.diagnostics import diagnose
from frankrl.runs import RunFolder

pytestmark = pytest.mark.slow

QUICK = {
    "preset": "default",
    "hidden_widths": (8,),
    "batch_size": 8,
    "num_envs": 2,
    "learning_starts_env_steps": 60,
    "total_env_steps": 240,
    "checkpoint_every_env_steps": 100,
    "symmetry": True,
}
AUTO = NetworkSettings(symmetry="auto")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "grid"
    frankrl.train("frankrl/NineSquares-v0", seed=3, out=path, **QUICK)
    return path


def test_an_agent_gives_mirrored_squares_mirrored_q_values(run):
    agent = frankrl.load(run)
    mirrored = np.array([0, 3, 6, 1, 4, 7, 2, 5, 8])
    q_values = np.array([agent.q_values(square) for square in range(9)])
    np.testing.assert_allclose(q_values[mirrored][:, ::-1], q_values, rtol=1e-6, atol=1e-6)
    # The middle is on the axis.
    np.testing.assert_allclose(q_values[4], q_values[4][::-1], rtol=1e-6)


def test_a_killed_run_continues_to_the_same_bits(run, tmp_path):
    killed = killed_copy(run, tmp_path / "killed")
    assert frankrl.resume(killed).not_reproducible == []
    assert contents(killed) == contents(run)


def test_explain_says_that_values_are_means_over_images(run, capsys):
    assert frank(["explain", str(run), "--update", "20"]) == 0
    printed = capsys.readouterr().out
    wanted = "each value is the mean over s and its mirror image (rows and columns), actions"
    assert wanted in printed


def test_its_diagnostics_and_its_weights_are_those_of_the_network_within(run, tmp_path):
    assert len(diagnose(RunFolder.open(run))["widths"]) == 1
    frankrl.export(run, safetensors=tmp_path / "w.safetensors")
    names = set(load_file(tmp_path / "w.safetensors"))
    assert names == {"hidden.0.weight", "hidden.0.bias", "output.weight", "output.bias"}


@pytest.mark.parametrize(
    ("env_id", "changes", "what"),
    [
        ("MountainCar-v0", {}, "MountainCar-v0 declares no symmetry that holds"),
        (
            "LunarLander-v3",
            {"env_kwargs": {"enable_wind": True}},
            "LunarLander-v3 declares no symmetry that holds with its arguments",
        ),
        ("frankrl/NineSquares-v0", {"q_function": "table"}, "because q_function is table"),
        ("CartPole-v1", {"normalize_observations": True}, "is no mirror image of itself"),
    ],
)
def test_a_run_without_a_symmetry_that_holds_is_refused(env_id, changes, what, tmp_path):
    wanted = {**QUICK, **changes}
    if "q_function" in changes:
        del wanted["hidden_widths"]
    with pytest.raises(frankrl.FrankError, match=what):
        frankrl.train(env_id, out=tmp_path / "run", **wanted)
    assert not (tmp_path / "run").exists()


SHORT = {"total_env_steps": 64, "evaluate_every_env_steps": None, "final_evaluation_episodes": None}


def trained(env_id, out, **changes):
    frankrl.train(env_id, seed=1, out=out, progress=False, **SHORT | {"symmetry": "auto"} | changes)
    return RunFolder.open(out).description.settings.network.symmetry


@pytest.mark.parametrize("env_id", ["LunarLander-v3", "CartPole-v1", "Acrobot-v1"])
def test_auto_is_on_where_the_environment_s_symmetry_holds(env_id, tmp_path):
    assert trained(env_id, tmp_path / "run") is True


@pytest.mark.parametrize(
    ("env_id", "changes", "why"),
    [
        pytest.param(
            "LunarLander-v3",
            {"env_kwargs": {"enable_wind": True}},
            "declares no symmetry that",
            marks=pytest.mark.slow,
        ),
        (
            "CartPole-v1",
            {"wrappers": ["test_symmetric_runs:Shifted"]},
            "CartPole-v1 does not keep its symmetry 'left and right': ",
        ),
        pytest.param(
            "CartPole-v1",
            {"normalize_observations": True},
            "is no mirror image of itself",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_auto_is_off_with_a_note_where_no_symmetry_holds(env_id, changes, why, tmp_path):
    with pytest.warns(UserWarning, match=f"symmetry auto is off: .*{why}") as noted:
        assert trained(env_id, tmp_path / "run", **changes) is False
    assert len([one for one in noted if "symmetry auto" in str(one.message)]) == 1
    # What was decided is stored: the run goes on as it began, and nothing is checked again.
    frankrl.resume(tmp_path / "run", total_env_steps=128, progress=False)


def test_auto_says_nothing_of_an_environment_without_symmetries(tmp_path):
    assert trained("MountainCar-v0", tmp_path / "run", preset="CartPole-v1") is False


def test_auto_of_a_preset_is_dropped_with_a_table(tmp_path):
    preset = tmp_path / "mine.toml"
    preset.write_text('base = "CartPole-v1"\n[network]\nsymmetry = "auto"\n')
    how = SHORT | {"q_function": "table", "learning_starts_env_steps": 24}
    frankrl.train(
        "frankrl/NineSquares-v0", preset=str(preset), out=tmp_path / "run", progress=False, **how
    )
    assert RunFolder.open(tmp_path / "run").description.settings.network.symmetry is False


class Shifted(gymnasium.ObservationWrapper):
    """What it shows is no mirror image any more."""

    def observation(self, observation):
        return observation + np.float32(0.1)


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["--symmetry"], True),
        (["--no-symmetry"], False),
        (["--symmetry", "auto"], "auto"),
        (["--symmetry=auto"], "auto"),
        (["--symmetry", "true"], True),
        (["--symmetry=false"], False),
        (["--symmetry", "--dueling"], True),
        ([], "auto"),
    ],
)
def test_the_command_line_takes_it_as_a_switch_or_with_a_word(words, value):
    options = parse(SettingFlags, words, "train", "", SettingFlags(network=AUTO))
    assert options.network.symmetry == value
    assert named_settings(words) == (["symmetry"] if words else []) + ["dueling"] * (
        "--dueling" in words
    )


@pytest.mark.parametrize("value", ["on", 1, None, "Auto"])
def test_another_word_is_refused(value):
    with pytest.raises(frankrl.FrankError, match="symmetry must be one of auto, true, false, got"):
        Settings().with_changes(symmetry=value)
