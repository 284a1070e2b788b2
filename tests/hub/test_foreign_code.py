"""A run from the Hub is somebody else's: nothing that it names is imported."""

import sys

import pytest
from foreign_runs import CANARY, CODE, foreign_copy

import frankrl
from frankrl.cli.main import main
from frankrl.core.errors import FrankWarning, RunFolderError
from frankrl.runs import RunFolder

pytestmark = pytest.mark.slow

OUTSIDER = "outsider"


@pytest.fixture
def pulled(hub, run, tmp_path, monkeypatch):
    """A run from the Hub that names a module which Python finds, and which leaves a file behind."""
    foreign = foreign_copy(run, tmp_path / "foreign", f"{OUTSIDER}:CartPole-v1")
    (tmp_path / f"{OUTSIDER}.py").write_text(CODE)
    monkeypatch.setenv(f"FRANK_{CANARY.upper()}", str(tmp_path / CANARY))
    monkeypatch.syspath_prepend(tmp_path)
    frankrl.hub.push(foreign, "jane/cart", film=False)
    yield frankrl.hub.pull("jane/cart")
    sys.modules.pop(OUTSIDER, None)


def test_pulling_loading_and_acting_import_nothing(pulled, tmp_path):
    agent = frankrl.load(pulled)
    assert agent.act([0, 0, 0, 0]) in (0, 1)
    assert not (tmp_path / CANARY).exists()


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "RUN", "--episodes", "1"],
        ["film", "RUN"],
        ["train", "--resume", "RUN"],
        ["explain", "RUN", "--update", "150"],
        ["hub", "push", "RUN", "jane/again", "--episodes", "1"],
    ],
)
def test_what_needs_the_environment_is_refused(pulled, tmp_path, words, capsys):
    assert main([word.replace("RUN", str(pulled)) for word in words]) == 2
    assert "was not written by your own Frank" in capsys.readouterr().err
    assert not (tmp_path / CANARY).exists()


def test_pushing_it_on_imports_nothing_either(pulled, tmp_path):
    with pytest.warns(FrankWarning, match="holds no film: .* was not written by your own Frank"):
        frankrl.hub.push(pulled, "jane/again")
    assert not (tmp_path / CANARY).exists()


def test_the_card_says_which_module_the_environment_needs(pulled):
    text = (pulled / "hub" / "README.md").read_text()
    assert f"The run needs `{OUTSIDER}`, which you must have; to import it runs its code." in text
    assert f"frank evaluate runs/pulled --env {OUTSIDER}:CartPole-v1" in text
    assert "\n- CartPole-v1\n" in text


NETWORK = """
import gymnasium
import numpy as np


class Same(gymnasium.Wrapper):
    pass


class Network:
    def init(self, key, spec):
        return {"weight": np.zeros((4, spec.num_actions), np.float32)}

    def apply(self, params, observation):
        return observation @ params["weight"]


network = Network()
"""


def test_the_card_of_a_run_whose_settings_name_code_says_so(hub, tmp_path, monkeypatch):
    (tmp_path / "mine_nets.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(tmp_path)
    import mine_nets

    small = {"preset": "default", "total_env_steps": 200, "learning_starts_env_steps": 100}
    small |= {"evaluate_every_env_steps": None, "final_evaluation_episodes": 3}
    named = {"network": "mine_nets:network", "wrappers": ["mine_nets:Same"]}
    frankrl.train("CartPole-v1", out=tmp_path / "named", **named, **small)
    frankrl.hub.push(tmp_path / "named", "jane/cart", film=False)
    text = hub.repositories["jane/cart"].files()["README.md"].decode()
    assert "The run needs `mine_nets`, which you must have" in text
    assert "frank evaluate runs/pulled --allow-code\n" in text
    assert 'pull("jane/cart"), allow_code=True)' in text
    assert "episodes=10, allow_code=True)" in text
    given = {"network": "mine_nets:network", "wrappers": [lambda env: mine_nets.Same(env)]}
    frankrl.train("CartPole-v1", out=tmp_path / "given", **given, **small)
    frankrl.hub.push(tmp_path / "given", "jane/cart", film=False)
    text = hub.repositories["jane/cart"].files()["README.md"].decode()
    assert "The run was made from `object:test_the_card" in text
    assert "Python objects of its author's own." in text
    sys.modules.pop("mine_nets")


def test_a_user_who_names_the_environment_gets_it(pulled, tmp_path):
    env_id = f"{OUTSIDER}:CartPole-v1"
    evaluation = frankrl.evaluate(frankrl.load(pulled), episodes=1, env=env_id)
    assert len(evaluation.returns) == 1
    assert (tmp_path / CANARY).exists()


def test_ones_own_run_is_foreign_when_it_comes_back(hub, run, tmp_path, monkeypatch):
    (tmp_path / f"{OUTSIDER}.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    own = RunFolder.open(foreign_copy(run, tmp_path / "own", f"{OUTSIDER}:CartPole-v1"))
    own = own.with_description(own.description)
    assert len(frankrl.evaluate(frankrl.load(own.path), episodes=1).returns) == 1
    frankrl.hub.push(own.path, "jane/own")
    sys.modules.pop(OUTSIDER)
    with pytest.raises(RunFolderError, match="was not written by your own Frank"):
        frankrl.evaluate(frankrl.load(frankrl.hub.pull("jane/own")), episodes=1)
