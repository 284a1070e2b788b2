"""Names of games that do not exist, and the games that they are answered with."""

import gymnasium
import pytest

from frankrl.cli.main import main
from frankrl.config import Settings
from frankrl.config.presets import load_preset
from frankrl.core.errors import EnvironmentUnusableError, SettingError
from frankrl.environments import describe, describe_for, similar_games

MEANT = {
    "PongNoFrameskip-v4": "ALE/Pong-v5",
    "ale/pong-v5": "ALE/Pong-v5",
    "Pong-v5": "ALE/Pong-v5",
    "Breakout-ramDeterministic-v4": "ALE/Breakout-v5",
    "space_invaders": "ALE/SpaceInvaders-v5",
    "minatar/Breakout-v1": "MinAtar/Breakout-v1",
    "minatar/breakot-v0": "MinAtar/Breakout-v0",
    "minatar:breakout-v1": "MinAtar/Breakout-v1",
}


@pytest.mark.parametrize("given", MEANT)
def test_the_name_of_a_game_in_another_spelling_is_answered_by_one_that_can_be_made(given):
    # Asked twice: the first time imports the game's package, which registers old names, too.
    for _ in range(2):
        with pytest.raises(EnvironmentUnusableError, match=f"did you mean '{MEANT[given]}'") as e:
            describe(given, {})
        assert str(e.value).count("ou mean") == 1
    assert describe(MEANT[given], {}).env_id == MEANT[given]


def test_an_environment_of_ones_own_that_is_made_by_ale_is_played():
    import ale_py  # noqa: F401 - registers its games

    maker = gymnasium.registry["ALE/Pong-v5"]
    gymnasium.register("MyOwn-v0", maker.entry_point, kwargs=maker.kwargs)
    assert describe("MyOwn-v0", {}).leaves[0].shape == (210, 160, 3)


def test_a_setting_of_atari_games_is_refused_in_words_that_fit_a_preset():
    nature = load_preset("nature")
    with pytest.raises(SettingError) as caught:
        describe_for("CartPole-v1", nature)
    assert str(caught.value) == (
        "sticky_actions (0.0) belongs to Atari games, ALE/…, and CartPole-v1 is none: leave it "
        "out, or choose a preset that is not made for Atari games"
    )
    assert describe_for("CartPole-v1", Settings()).num_actions == 2


def test_one_that_is_named_is_refused_although_it_is_the_usual_one(tmp_path, capsys):
    words = "full_action_set (True) belongs to Atari games, ALE/…, and CartPole-v1 is none"
    out = ["--out", str(tmp_path / "r")]
    for command in (["train"], ["train", "--seeds", "2"], ["sweep", "--space", "space.toml"]):
        given = [command[0], "CartPole-v1", *command[1:], "--full-action-set", *out]
        assert main(given) == 2
        assert words in capsys.readouterr().err
    assert main(["train", "PongNoFrameskip-v4", "--frame-skip", "4"]) == 2
    assert "did you mean 'ALE/Pong-v5'?" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("name", ["PooongNoFrameskip-v4", "Breakoout-ramDeterministic-v4"])
def test_without_the_games_an_old_name_is_answered_by_how_to_get_them(name, monkeypatch):
    monkeypatch.setattr(similar_games.importlib.util, "find_spec", lambda module: None)
    with pytest.raises(EnvironmentUnusableError, match=r'named ALE/…, .*"frankrl\[atari\]"'):
        describe(name, {})
    with pytest.raises(EnvironmentUnusableError) as caught:
        describe("Nothing-v4", {})
    assert "ALE/" not in str(caught.value)
