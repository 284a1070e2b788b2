"""The names that people know from other libraries, and what is answered to them."""

import ast
import inspect
import re
import shlex
from pathlib import Path

import pytest
from long_forms import some_of

import frankrl
from frankrl.cli.main import main
from frankrl.cli.parsing import named_settings, parse
from frankrl.cli.train_options import TrainOptions
from frankrl.config import Settings, setting_names
from frankrl.config.known_names import BY_NAME, KNOWN_NAMES
from frankrl.config.presets import load_preset
from frankrl.core.errors import FrankError

SB3_PAGE = (Path(__file__).parents[2] / "docs" / "sb3.md").read_text("utf-8")


def answer(**settings):
    with pytest.raises(FrankError) as refused:
        frankrl.train("CartPole-v1", **settings)
    return str(refused.value)


def advised(base=None, **settings):
    """The settings that the answer advises, read as Python."""
    with pytest.raises(FrankError) as refused:
        (base or Settings()).with_changes(**settings)
    call = ast.parse(f"f({str(refused.value).rpartition(': give ')[2]})", mode="eval").body
    return {word.arg: ast.literal_eval(word.value) for word in call.keywords}


def test_a_known_name_is_answered_on_the_command_line_with_exit_status_2(
    capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "CartPole-v1", "--lr", "3e-4"]) == 2
    assert capsys.readouterr().err == (
        "frank: --lr is Frank's --learning-rate: give --learning-rate 3e-4\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_known_name_is_answered_in_python_and_in_a_file(tmp_path):
    expected = "buffer_size is Frank's replay_capacity: give replay_capacity=50000"
    assert answer(buffer_size=50_000) == expected
    file = tmp_path / "own.toml"
    file.write_text("[replay]\nbuffer_size = 50_000\n")
    with pytest.raises(FrankError, match=re.escape(expected)):
        load_preset(str(file))


def test_a_run_that_continues_answers_likewise(tmp_path, capsys):
    run = tmp_path / "run"
    budget = {"total_env_steps": 8, "learning_starts_env_steps": 8}
    quiet = {"evaluate_every_env_steps": None, "final_evaluation_episodes": None}
    frankrl.train("CartPole-v1", preset="default", out=run, **budget, **quiet)
    assert main(["train", "--resume", str(run), "--total-timesteps", "16"]) == 2
    assert "give --total-env-steps 16" in capsys.readouterr().err
    with pytest.raises(FrankError, match="give total_env_steps=16"):
        frankrl.resume(run, total_timesteps=16)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--buffer_size=1e5"], {"replay_capacity": 100_000}),
        (["--net-arch", "32", "16", "--tau=0.5"], {"hidden_widths": (32, 16)}),
        (["--policy-kwargs", "dict(net_arch=[8, 4])"], {"hidden_widths": (8, 4)}),
        (["--tensorboard-log", "./tb", "--n-envs", "2"], {"log": ("tensorboard",), "num_envs": 2}),
        (["--track", "--normalize", "true"], {"log": ("wandb",), "normalize_rewards": True}),
        (["--is-double", "--lr", "1"], {"double": True, "learning_rate": 1.0}),
        (["--timesteps", "500", "--exploration-fraction", "0.5"], {"epsilon_decay_env_steps": 250}),
        (["--total-env-steps=90", "--exploration-fraction=.5"], {"epsilon_decay_env_steps": 45}),
    ],
)
def test_what_the_answer_says_can_be_typed(words, expected, capsys):
    assert main(["train", "CartPole-v1", *words]) == 2
    typed = shlex.split(capsys.readouterr().err.rpartition(": give ")[2])
    options = parse(TrainOptions, typed, "train", "")
    values = options.values_of(named_settings(typed))
    for name, value in expected.items():
        assert values[name] == value


def test_what_is_missing_for_a_conversion_is_what_the_preset_has():
    half = Settings().with_changes(replay_ratio=0.5, total_env_steps=7_000)
    both = {"target_network_frequency": 1_000, "exploration_fraction": 0.1}
    wanted = {"target_period_updates": 500, "epsilon_decay_env_steps": 700}
    assert advised(half, **both) == wanted
    given = advised(half, replay_ratio=0.25, total_timesteps=50, **both)
    assert given == {
        "target_period_updates": 250,
        "epsilon_decay_env_steps": 5,
        "total_env_steps": 50,
    }
    assert "replay_ratio is 0.5" in answer(preset="CartPole-v1", target_network_frequency=10)


def test_dopamine_names_give_the_preset_that_repeats_dopamine():
    names = {
        "update_horizon": 1,
        "min_replay_history": 20_000,
        "update_period": 4,
        "target_update_period": 8_000,
        "epsilon_train": 0.01,
        "epsilon_decay_period": 250_000,
        "num_iterations": 200,
    }
    preset = load_preset("dopamine-dqn").values()
    for name, value in advised(**names).items():
        assert preset[name] == value, name


def test_cleanrl_counts_the_target_in_env_steps_and_has_one_update_each_ten():
    assert advised(train_frequency=10, target_network_frequency=500, start_e=1, end_e=0.05) == {
        "replay_ratio": 0.1,
        "target_period_updates": 50,
        "epsilon_start": 1,
        "epsilon_end": 0.05,
    }


def test_policy_kwargs_are_taken_apart():
    torch_like = type("ELU", (), {})
    kwargs = {"net_arch": [256, 128], "activation_fn": torch_like, "normalize_images": False}
    assert advised(policy_kwargs=kwargs) == {"hidden_widths": (256, 128), "activation": "elu"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"tensorboard_log": "./tb"}, {"log": ("tensorboard",)}),
        ({"tensorboard_log": None}, {"log": ()}),
        ({"track": True}, {"log": ("wandb",)}),
        ({"normalize": True}, {"normalize_observations": True, "normalize_rewards": True}),
        ({"normalize": False}, {"normalize_observations": False, "normalize_rewards": False}),
        (
            {"normalize": "{'norm_obs': True, 'norm_reward': False}"},
            {"normalize_observations": True},
        ),
        ({"normalize": "dict(norm_obs=False)"}, {"normalize_rewards": True}),
        (
            {"norm_obs": True, "clip_obs": 5.0},
            {"normalize_observations": True, "normalize_observations_clip": 5.0},
        ),
    ],
)
def test_trackers_and_normalisation_are_converted(given, expected):
    assert advised(**given) == expected


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("features_extractor_class", "torso"),
        ("optimizer_class", "optimiser"),
        ("wrapper_class", "wrappers"),
    ],
)
def test_a_class_of_another_library_is_answered_by_the_setting_that_takes_its_place(name, setting):
    said = answer(**{name: object})
    assert said.startswith(f"{name} is Frank's {setting} (")
    assert "give " not in said.rpartition(")")[2]


@pytest.mark.parametrize("value", [(1, "episode"), "often", None, 0, float("nan")])
def test_a_value_that_cannot_be_converted_is_still_answered(value):
    assert re.match(
        r"train_freq is Frank's replay_ratio \(.*has no equal there", answer(train_freq=value)
    )


@pytest.mark.parametrize("known", KNOWN_NAMES, ids=lambda known: known.name)
def test_the_table_holds_what_is_not_frank_s_and_leads_to_what_is(known):
    own = {*setting_names(), *inspect.signature(frankrl.train).parameters, *vars(TrainOptions)}
    assert known.name not in own - {"env", "env_id", "verbose"}
    assert set(known.settings) <= set(setting_names())
    assert known.settings or known.how
    assert BY_NAME[known.name] is known


def test_the_command_line_s_own_words_are_not_touched(tmp_path, capsys):
    assert main(["train", "CartPole-v1", "--gama", "0.9", "--lr", "1"]) == 2
    assert "did you mean --gamma" in capsys.readouterr().err
    assert main(["train", "--lr", "1", "--help"]) == 0
    assert main(["train", "CartPole-v1", "--verbose", "--gama", "0.9"]) == 2
    assert "did you mean --gamma" in capsys.readouterr().err


# --- Stable-Baselines3 itself ---

SB3_CASES = [
    {"n_envs": 1, "train_freq": 4, "gradient_steps": 1, "target_update_interval": 100},
    {"n_envs": 4, "train_freq": 1, "gradient_steps": 2, "target_update_interval": 50},
    {"n_envs": 3, "train_freq": 2, "gradient_steps": -1, "target_update_interval": 30},
    {"n_envs": 4, "train_freq": 3, "gradient_steps": 6, "target_update_interval": 2},
]
SB3_STARTS, SB3_STEPS = 60, 660


def sb3():
    return pytest.importorskip(
        "stable_baselines3",
        reason="Stable-Baselines3 is not installed: pip install -e '.[test-sb3]'",
    )


@pytest.mark.filterwarnings("ignore:The number of environments used is greater")
@pytest.mark.parametrize("case", some_of(SB3_CASES, [SB3_CASES[2]]))
def test_sb3_s_gradient_steps_and_target_copies_are_as_many_after_the_conversion(case, monkeypatch):
    library = sb3()
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.dqn import dqn as module

    copies = []
    others = {name: value for name, value in case.items() if name != "n_envs"}
    model = library.DQN(
        "MlpPolicy",
        make_vec_env("CartPole-v1", n_envs=case["n_envs"], seed=0),
        learning_starts=SB3_STARTS,
        batch_size=2,
        policy_kwargs={"net_arch": [2]},
        device="cpu",
        **others,
    )

    def polyak_update(online, target, tau):
        # A copy of what was copied before changes nothing.
        if tuple(target) and model._n_updates > (copies or [0])[-1]:
            copies.append(model._n_updates)

    monkeypatch.setattr(module, "polyak_update", polyak_update)
    model.learn(SB3_STEPS)

    ours = advised(**case)
    settings = load_preset("default").with_changes(
        **ours, learning_starts_env_steps=SB3_STARTS, total_env_steps=SB3_STEPS, replay_capacity=900
    )
    steps = model.num_timesteps
    per_rollout = case["train_freq"] * case["n_envs"] * ours["replay_ratio"]
    # SB3 begins after `learning_starts` and learns once more after the last rollout.
    assert abs(settings.updates_due(steps) - model._n_updates) <= 2 * per_rollout + 1
    expected = model._n_updates / ours["target_period_updates"]
    assert abs(expected - len(copies)) <= 1


@pytest.mark.parametrize("fraction", [0.1, 0.5])
def test_sb3_s_epsilon_is_frank_s_after_the_conversion(fraction):
    sb3()
    from stable_baselines3.common.utils import LinearSchedule

    from frankrl.experience import linear_epsilon

    names = {
        "exploration_fraction": fraction,
        "exploration_initial_eps": 0.9,
        "exploration_final_eps": 0.1,
        "total_timesteps": 1_000,
    }
    settings = Settings().with_changes(**advised(**names))
    schedule = LinearSchedule(0.9, 0.1, fraction)
    for step in (0, 1, 50, 100, 333, 500, 501, 999):
        theirs = schedule(1 - step / 1_000)
        assert float(linear_epsilon(settings.exploration, step)) == pytest.approx(theirs, abs=1e-6)


def literals(call):
    """The keyword arguments of a call that are literals."""
    values = {}
    for word in call.keywords:
        try:
            values[word.arg] = ast.literal_eval(word.value)
        except ValueError:
            continue
    return values


def arguments_on_the_page(function):
    """The keyword arguments of the longest call of a function in the page's scripts."""
    trees = map(ast.parse, re.findall(r"```python\n(.*?)```", SB3_PAGE, re.S))
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return max(
        (literals(call) for call in calls if ast.unparse(call.func).endswith(function)), key=len
    )


def test_the_two_scripts_on_the_page_say_the_same_settings():
    theirs = arguments_on_the_page("DQN") | arguments_on_the_page("learn")
    foreign = {name: value for name, value in theirs.items() if name in BY_NAME}
    assert len(foreign) >= 8
    ours = arguments_on_the_page("train")
    shared = {name: theirs[name] for name in setting_names() if name in theirs}
    for name, value in (shared | advised(**foreign)).items():
        assert ours[name] == value, name
    load_preset(ours["preset"]).with_changes(
        **{name: value for name, value in ours.items() if name in setting_names()}
    )
