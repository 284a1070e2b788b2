"""Environments that people bring from Python: an object, a class, a function; and wrappers."""

import contextlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import own_envs
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import OrderEnforcing, TimeLimit
from long_forms import some_of
from own_envs import SMALL, Doubled, Shifted, Walk, make_walk
from robustness.runs import contents, killed_copy

import frankrl
from frankrl.cli.main import main
from frankrl.core.errors import (
    EnvironmentUnusableError,
    FrankError,
    FrankWarning,
    RunFolderError,
    SettingError,
)
from frankrl.core.named_code import GivenCode
from frankrl.environments import CheckedEnv, describe, make_environment, named_env
from frankrl.runs import RunFolder
from frankrl.video.film import write_film

ALONE = {"num_envs": 1, "evaluation_on": "training"}
gymnasium.register("RegisteredWalk-v0", Walk, max_episode_steps=9)


def ways():
    """Ways to give the same environment: the object, and the settings that go with it."""
    return {
        "a lambda": (lambda: Walk(limit=9), {}),
        "an instance": (Walk(), ALONE),
        "a spec": (EnvSpec("Some-v0", entry_point=Walk, max_episode_steps=6), {}),
        "named wrappers": (Walk, {"wrappers": [Doubled, Shifted]}),
        "wrappers of objects": (Walk, {"wrappers": [lambda env: TimeLimit(env, 5), Shifted]}),
    }


@pytest.mark.parametrize("way", some_of(ways(), ["wrappers of objects"]))
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path, way):
    env, changes = ways()[way]
    frankrl.train(env, out=tmp_path / "whole", **SMALL | changes)
    run = killed_copy(tmp_path / "whole", tmp_path / "killed")
    objects = {name: value for name, value in changes.items() if name == "wrappers"}
    frankrl.resume(run, env=env, **objects)
    assert contents(run) == contents(tmp_path / "whole")
    record = frankrl.explain(run, update=45, env=env, **objects)
    assert np.isfinite(record.losses).all()


def test_an_object_is_trained_in_as_a_registered_environment_is(tmp_path):
    given = [Walk, lambda: Walk(), EnvSpec("Mine-v0", entry_point=Walk, max_episode_steps=9)]
    frankrl.train("RegisteredWalk-v0", out=tmp_path / "registered", **SMALL)
    wanted = contents(tmp_path / "registered")
    for number, env in enumerate(given):
        kwargs = {} if isinstance(env, EnvSpec) else {"max_episode_steps": 9}
        out = tmp_path / str(number)
        frankrl.train(env, out=out, env_kwargs=kwargs, **SMALL)
        found = contents(out)
        assert [name for name in wanted if found[name] != wanted[name]] == []


@pytest.mark.slow
def test_wrappers_act_as_an_environment_that_wraps_itself(tmp_path):
    frankrl.train(Walk, out=tmp_path / "setting", wrappers=[Doubled, Shifted], **SMALL)
    frankrl.train(lambda: Shifted(Doubled(Walk())), out=tmp_path / "itself", **SMALL)
    assert contents(tmp_path / "setting") == contents(tmp_path / "itself")
    words = ["train", "own_envs:Walk", "--wrapper", "own_envs:Doubled", "own_envs:Shifted"]
    words += ["--worker-processes", "1", "--out", str(tmp_path / "line")]
    for name, value in SMALL.items():
        text = "8" if name == "hidden_widths" else str(value)
        words += [f"--{name.replace('_', '-')}", text]
    assert main(words) == 0
    assert contents(tmp_path / "line") == contents(tmp_path / "setting")


def test_a_run_of_an_object_says_what_it_needs_and_is_read_without(tmp_path, capsys):
    run = tmp_path / "run"
    made, wrapper = lambda **kwargs: Walk(**kwargs), lambda env: TimeLimit(env, 5)
    frankrl.train(made, out=run, wrappers=[wrapper], **SMALL)
    agent = frankrl.load(run)
    assert agent.act(np.zeros(2, np.float32)) in (0, 1)
    assert RunFolder.open(run).description.env_id.startswith("object:")
    needs = [
        lambda: frankrl.resume(run),
        lambda: frankrl.resume(run, env=made),
        lambda: frankrl.resume(run, wrappers=[wrapper]),
        lambda: frankrl.resume(run, env=made, allow_code=True),
        lambda: frankrl.evaluate(agent, episodes=1),
        lambda: frankrl.explain(run, update=30),
        agent.make_env,
    ]
    for need in needs:
        with pytest.raises(RunFolderError, match=r"given from Python .* give the same again"):
            need()
    capsys.readouterr()
    path = str(run)
    for words in (
        ["train", "--resume", path],
        ["evaluate", path],
        ["film", path],
        ["explain", path, "--update", "30"],
    ):
        assert main(words) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith("frank: ")
        assert "frankrl.resume(" in line
        assert "env=…, wrappers=…" in line
    with pytest.raises(RunFolderError, match=r"is of 'object:.*', not of 'own_envs:Walk'"):
        frankrl.resume(run, env=Walk, wrappers=[wrapper])
    with pytest.raises(SettingError, match=r"wrappers of .* is object:.*, not none"):
        frankrl.resume(run, env=made, wrappers=[])
    with pytest.raises(SettingError, match="num_envs cannot be given here"):
        frankrl.evaluate(agent, env=made, num_envs=1)
    found = frankrl.evaluate(agent, episodes=2, env=made, wrappers=[wrapper])
    assert max(found.lengths) <= 5
    with contextlib.closing(agent.make_env(env=made, wrappers=[wrapper])) as env:
        assert isinstance(env, TimeLimit)
    evaluated = agent.allowed(made, wrappers=[wrapper])
    write_film(
        evaluated.evaluation_spec, agent.batch_q_values, tmp_path / "f.gif", episodes=1, seed=0
    )


def test_an_instance_is_used_alone_and_stays_open(tmp_path):
    env = Walk()
    env.close = lambda: pytest.fail("it was closed")
    few = {name: value for name, value in SMALL.items() if name != "num_envs"}
    with pytest.warns(FrankWarning, match="this run has num_envs 1 and evaluation_on training"):
        result = frankrl.train(env, out=tmp_path / "run", **few | {"preset": "CartPole-v1"})
    settings = RunFolder.open(result.run).description.settings
    assert (settings.environment.num_envs, settings.evaluation.evaluation_on) == (1, "training")
    assert vars(env).keys() <= {
        "length",
        "limit",
        "render_mode",
        "place",
        "steps",
        "close",
        *("_np_random", "_np_random_seed"),
    }
    with pytest.raises(SettingError, match=r"so num_envs must be 1, got 2: give its class"):
        frankrl.train(env, out=tmp_path / "two", **SMALL)
    with pytest.raises(SettingError, match=r"so evaluation_on must be training"):
        frankrl.train(env, out=tmp_path / "two", **few, num_envs=1, evaluation_on="own")
    assert frankrl.evaluate(frankrl.load(result.run), episodes=2, env=env).returns.shape == (2,)


@pytest.mark.parametrize("truth", [lambda self: False, lambda self: 1 / 0])
def test_an_environment_counts_as_given_whatever_its_truth(tmp_path, truth, monkeypatch):
    monkeypatch.setattr(Walk, "__bool__", truth, raising=False)
    env, few = Walk(), {"total_env_steps": 60}
    frankrl.train(env, out=tmp_path / "run", **SMALL | ALONE | few)
    frankrl.resume(tmp_path / "run", env=env, total_env_steps=80)


def test_an_instance_is_lent_to_one_at_a_time_and_made_with_no_arguments():
    env_id, _ = named_env(Walk(render_mode="rgb_array"))
    with (
        contextlib.closing(make_environment(env_id, {}, "rgb_array")),
        pytest.raises(EnvironmentUnusableError, match="exists already and is in use"),
    ):
        make_environment(env_id, {})
    with pytest.raises(EnvironmentUnusableError, match="exists already: give its class"):
        make_environment(env_id, {"length": 3})
    dark, _ = named_env(Walk())
    with pytest.raises(EnvironmentUnusableError, match="made with render_mode='rgb_array'"):
        make_environment(dark, {}, "rgb_array")
    make_environment(env_id, {}).close()


@pytest.mark.parametrize(
    ("env", "name", "kwargs"),
    [
        ("CartPole-v1", "CartPole-v1", {}),
        (gymnasium.spec("CartPole-v1"), "CartPole-v1", {}),
        (Walk, "own_envs:Walk", {}),
        (make_walk, "own_envs:make_walk", {}),
        (EnvSpec("CartPole-v1", entry_point=Walk), "object:EnvSpec", {}),
    ],
)
def test_what_has_a_name_is_kept_by_it(env, name, kwargs):
    assert named_env(env) == (name, kwargs)
    assert isinstance(named_env(env)[0], GivenCode) == name.startswith("object:")


def test_arguments_of_a_registered_spec_are_arguments_of_the_run(tmp_path):
    spec = EnvSpec(
        "RegisteredWalk-v0",
        entry_point=Walk,
        max_episode_steps=9,
        kwargs={"length": 3},
    )
    assert named_env(spec) == ("RegisteredWalk-v0", {"length": 3})
    result = frankrl.train(spec, out=tmp_path / "run", env_kwargs={"limit": 8}, **SMALL)
    made = RunFolder.open(result.run).description.settings.environment
    assert made.env_kwargs == {"length": 3, "limit": 8}


@pytest.mark.parametrize("env", [Walk, lambda: Walk(), Walk()], ids=["class", "lambda", "instance"])
def test_an_object_gets_what_gymnasium_puts_around_an_environment(env):
    made = make_environment(named_env(env)[0], {})
    assert not isinstance(made, TimeLimit)
    assert isinstance(made, OrderEnforcing)
    with pytest.raises(gymnasium.error.ResetNeeded):
        made.step(0)
    made.close()


def test_what_is_ordered_already_is_not_ordered_twice():
    made = make_environment(named_env(lambda: gymnasium.make("CartPole-v1"))[0], {})
    assert str(made).count("OrderEnforcing") == 1
    assert made.spec.reward_threshold == 475
    made.close()


def test_objects_have_no_worker_processes(tmp_path):
    for env, wrappers in ((lambda: Walk(), []), (Walk, [lambda env: env])):
        with pytest.raises(
            SettingError, match=r"worker_processes \(1\) cannot be had with object:"
        ):
            frankrl.train(env, out=tmp_path / "run", wrappers=wrappers, **SMALL, worker_processes=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("env", "changes", "error", "words"),
    [
        ("own_envs:Wlak", {}, EnvironmentUnusableError, "did you mean 'own_envs:Walk'"),
        ("object:Walk", {}, SettingError, "give the same object again"),
        ("no_such_module:Walk", {}, EnvironmentUnusableError, "no module 'no_such_module'"),
        (Walk, {"env_kwargs": {"size": 1}}, EnvironmentUnusableError, "unexpected keyword"),
        (Walk, {"wrappers": "own_envs:Dubled"}, SettingError, "did you mean 'Doubled'"),
        (Walk, {"wrappers": [own_envs.broken]}, EnvironmentUnusableError, "no such luck"),
        (Walk, {"wrappers": ["builtins:repr"]}, EnvironmentUnusableError, "must take an env"),
        ("CartPole-v1", {"wrappers": [Doubled], "backend": "envpool"}, SettingError, "no wrappers"),
        (Walk, {"evaluation_wrappers": [own_envs.Wider]}, SettingError, "observation_space of"),
        (Walk, {"evaluation_env_kwargs": {"size": 1}}, EnvironmentUnusableError, "unexpected"),
        (
            Walk,
            {"evaluation_on": "training", "num_envs": 1, "evaluation_wrappers": [Doubled]},
            SettingError,
            "evaluation_wrappers .* changes nothing because evaluation_on is training",
        ),
    ],
)
def test_what_cannot_be_made_is_refused_before_anything_is_written(
    tmp_path, env, changes, error, words
):
    with pytest.raises(error, match=words):
        frankrl.train(env, out=tmp_path / "run", **SMALL | changes)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_evaluations_have_arguments_and_wrappers_of_their_own(tmp_path):
    run = tmp_path / "run"
    own = {"evaluation_env_kwargs": {"limit": 3}, "evaluation_wrappers": [Doubled, Doubled]}
    result = frankrl.train(Walk, out=run, wrappers=[Shifted], **SMALL, **own)
    agent = frankrl.load(run)
    again = frankrl.evaluate(agent, episodes=4, seed=1)
    for returns, lengths in (
        (result.evaluation["returns"], result.evaluation["lengths"]),
        (again.returns, again.lengths),
    ):
        assert max(lengths) <= 3
        # Each step costs 0.1, doubled twice; the last one may bring 1.
        for value, length in zip(returns, lengths, strict=True):
            lost = -0.4 * length
            assert value == pytest.approx(lost) or value == pytest.approx(lost + 4.4)
    with contextlib.closing(agent.make_env()) as env:
        assert "Shifted" in str(env)
        assert "Doubled" not in str(env)
    # None of its own: wrappers of the training are left out of the evaluations, arguments stay.
    spec = agent.evaluation_spec
    assert (spec.env_kwargs, spec.wrappers) == ({"limit": 3}, ("own_envs:Doubled",) * 2)
    resumed = frankrl.resume(run, total_env_steps=200, evaluation_env_kwargs=None)
    assert max(resumed.evaluation["lengths"]) <= 20


def test_what_is_evaluated_may_be_set_to_nothing(tmp_path):
    none = {"evaluate_every_env_steps": None, "final_evaluation_episodes": None}
    few = {name: value for name, value in SMALL.items() if name != "evaluation_episodes"}
    result = frankrl.train(Walk, out=tmp_path / "run", **few | none)
    assert result.evaluation is None


SCRIPT = """
import os, signal, sys
import gymnasium, frankrl
from own_envs import Walk

class Mine(Walk):
    pass

def kill(event):
    if type(event).__name__ == "Checkpointed":
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    what, out = sys.argv[1:]
    settings = {settings!r}
    if what == "resume":
        frankrl.resume(out, env=Mine)
    else:
        frankrl.train(Mine, out=out, on_event=kill if what == "kill" else print, **settings)
"""


@pytest.mark.slow
def test_a_class_of_a_script_trains_is_killed_and_goes_on(tmp_path):
    script = tmp_path / "mine.py"
    script.write_text(SCRIPT.replace("{settings!r}", repr(SMALL)))
    path = [str(Path(own_envs.__file__).parent), *sys.path]

    def call(what, out):
        words = [sys.executable, str(script), what, str(tmp_path / out)]
        env = os.environ | {"PYTHONPATH": ":".join(path)}
        return subprocess.run(words, env=env, capture_output=True, text=True, check=False)

    assert call("train", "whole").returncode == 0
    assert call("kill", "cut").returncode == -9
    ended = call("resume", "cut")
    assert ended.returncode == 0, ended.stderr
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    assert RunFolder.open(tmp_path / "cut").description.env_id == "object:Mine"

    # From another script or a notebook the class has a name; it is the same one.
    class Mine(Walk):
        pass

    Mine.__module__, Mine.__qualname__ = "__main__", "Mine"
    frankrl.resume(tmp_path / "cut", env=Mine, total_env_steps=200)


def test_an_agent_of_an_object_forgets_it_in_another_process(tmp_path):
    spec = describe(named_env(lambda: Walk())[0], {})
    copy = pickle.loads(pickle.dumps(spec))  # noqa: S301
    assert not isinstance(copy.env_id, GivenCode)
    with pytest.raises(FrankError, match="give the same object again"):
        CheckedEnv(copy)


@pytest.mark.parametrize("changes", [{}, ALONE])
def test_a_function_that_returns_one_environment_again_and_again_is_refused(tmp_path, changes):
    env = Walk()
    wrapped = Doubled(Walk())
    for made in (lambda: env, lambda: TimeLimit(env, 9), EnvSpec("Same-v0", lambda: wrapped)):
        with pytest.raises(EnvironmentUnusableError, match="same environment twice: give the env"):
            frankrl.train(made, out=tmp_path / "run", **SMALL | changes)
        assert not (tmp_path / "run").exists()


def test_an_environment_that_is_gone_does_not_count_as_returned():
    for _ in range(300):
        make_environment("own_envs:Walk", {}).close()
