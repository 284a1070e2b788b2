"""A Hub on loopback, and one small run that is pushed to it."""

import pytest
from hub_stub import TOKEN, serving

import frankrl

SMALL = {"total_env_steps": 300, "learning_starts_env_steps": 100, "hidden_widths": [8]}
SMALL |= {"checkpoint_every_env_steps": 200, "evaluate_every_env_steps": 100}
SMALL |= {"final_evaluation_episodes": 3}


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A finished run with a best agent, whose preset is a file in somebody's folder."""
    folder = tmp_path_factory.mktemp("local")
    preset = folder / "mine.toml"
    preset.write_text("[network]\nhidden_widths = [8]\n")
    path = folder / "run"
    frankrl.train("CartPole-v1", preset=str(preset), out=path, **SMALL)
    return path


@pytest.fixture(scope="session")
def files(run, tmp_path_factory):
    """The files of the run's repository, by name; without a film, which takes longest."""
    folder = tmp_path_factory.mktemp("look") / "repository"
    frankrl.hub.push(run, "jane/cart", film=False, out=folder)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """The stub; the client in this process asks it, with a token that it knows."""
    from huggingface_hub import constants

    with serving() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf-cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.chdir(tmp_path)
        yield hub
