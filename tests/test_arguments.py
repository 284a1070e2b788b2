"""Arguments from Python: every type is checked before anything is used."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv

import frankrl
from frankrl.core.errors import EnvironmentUnusableError, SettingError


class Own(gymnasium.Env):
    pass


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"env": 3}, "env must be the name .*, an EnvSpec, a class, a function .* got 3"),
        ({"env": None}, "env must be the name .* got None"),
        ({"env": b"CartPole-v1"}, "env must be the name"),
        ({"env": SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")])}, "the vector .* num_envs"),
        ({"preset": {}}, "preset must be the name of a preset or of a TOML file, or None, got {}"),
        ({"preset": 0}, "preset must be"),
        ({"out": 3}, "out must be a path, as text or a pathlib.Path, got 3"),
        ({"out": ["run"]}, "out must be a path"),
        ({"out": "~nosuchuser/x"}, "out .* leads nowhere: ~nosuchuser is no user"),
        ({"out": "x" * 300}, "out .* leads nowhere: file name too long"),
        ({"overwrite": "yes"}, "overwrite must be True or False, got 'yes'"),
        ({"overwrite": 1}, "overwrite must be True or False, got 1"),
        ({"on_event": None}, "on_event must be a function .* got None; leave it out"),
        ({"on_event": "print"}, "on_event must be a function"),
        ({"seed": "1"}, "seed must be a whole number"),
        ({"gamma": "high"}, "gamma must be a number, got 'high'"),
        ({"gamma": np.ones(2)}, "gamma must be a number"),
        ({"hidden_widths": np.ones((2, 2))}, "hidden_widths must be a list of whole numbers"),
        ({"hidden_widths": 32}, "hidden_widths must be a list of whole numbers"),
        ({"env_kwargs": [1]}, "env_kwargs must be a table"),
        ({"q_function": {}}, "q_function must be one of"),
        ({"num_envs": np.array([2])}, "num_envs must be a whole number"),
    ],
    ids=lambda case: next(iter(case)) if isinstance(case, dict) else "",
)
def test_an_argument_of_train_of_a_wrong_type_is_refused_in_one_sentence(
    wrong, words, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingError, match=words):
        frankrl.train(**({"env": "CartPole-v1"} | wrong))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "made", [Own, Own(), lambda: Own(), lambda: 3], ids=["class", "instance", "factory", "number"]
)
def test_what_makes_no_environment_is_refused_in_one_sentence(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"num_envs": 1, "evaluation_on": "training"}
    with pytest.raises(
        EnvironmentUnusableError, match=r"no gymnasium\.Env|has no observation_space"
    ):
        frankrl.train(made, **settings)
    assert list(tmp_path.iterdir()) == []


def test_numbers_of_numpy_are_numbers(tmp_path):
    result = frankrl.train(
        "CartPole-v1",
        preset="default",
        out=tmp_path / "run",
        seed=np.int64(3),
        hidden_widths=np.array([8, 8]),
        total_env_steps=np.int32(100),
        gamma=np.float32(0.5),
        final_evaluation_episodes=1,
    )
    assert result.env_steps >= 100


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: frankrl.resume(3), "the run folder must be a path"),
        (lambda: frankrl.resume("runs", on_event=1), "on_event must be a function"),
        (lambda: frankrl.resume("runs", allow_code="yes"), "allow_code must be True or False"),
        (lambda: frankrl.resume("runs", env=3), "env must be the name"),
        (lambda: frankrl.load(None), "the run folder must be a path"),
        (lambda: frankrl.load("runs", best="yes"), "best must be True or False"),
        (lambda: frankrl.evaluate(3), "the run folder must be a path"),
        (lambda: frankrl.evaluate("runs/none", best=1), "best must be True or False"),
        (lambda: frankrl.explain({}, update=1), "the run folder must be a path"),
        (lambda: frankrl.explain("runs", update=1, env=1), "env must be the name"),
    ],
)
def test_the_other_functions_check_their_arguments_likewise(call, words):
    with pytest.raises(SettingError, match=words):
        call()
