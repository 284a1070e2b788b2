import pytest

from frankrl.config import Settings
from frankrl.config.presets import default_preset, load_preset, preset_names
from frankrl.core.errors import SettingError


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads_without_a_warning(name):
    assert load_preset(name).warnings() == []


def test_the_presets_that_everything_relies_on_are_there():
    assert {"classic", "default"} <= set(preset_names())
    assert list(preset_names()) == sorted(preset_names())


def test_classic_is_the_notes_algorithm_to_the_letter():
    classic = load_preset("classic")
    learning, training, replay = classic.learning, classic.training, classic.replay
    assert learning.target_period_updates == 10_000
    assert learning.gamma == 0.99
    assert learning.loss == "mse"
    assert learning.double is False
    assert learning.max_gradient_norm is None
    assert learning.learning_rate_end is None
    assert replay.n_step == 1
    assert classic.network.layer_norm is False
    assert classic.exploration.epsilon_start == 1.0
    assert classic.exploration.epsilon_end < 0.2
    assert classic.exploration.epsilon_decay_env_steps > training.learning_starts_env_steps
    assert classic.environment.num_envs == 1
    assert training.vector_steps_per_round == 1
    assert training.replay_ratio == 1.0
    assert training.overlap is False
    assert training.learning_starts_env_steps >= replay.batch_size


def test_an_environment_has_its_own_preset_or_the_default_one():
    assert default_preset("LunarLander-v3") == "LunarLander-v3"
    assert default_preset("LunarLander") == "LunarLander-v3"
    assert default_preset("NoSuchWorld-v0") == "default"
    assert default_preset("Lunar") == "default"


@pytest.mark.parametrize(
    ("env_id", "preset"),
    [
        ("ALE/Pong-v5", "atari"),
        ("ale_py:ALE/Pong-v5", "atari"),
        ("MinAtar/Breakout-v1", "minatar"),
        ("minatar:MinAtar/Breakout-v1", "minatar"),
        ("shimmy:ALE/Pong-v5", "default"),
        ("mymod:MinAtar/Mine-v0", "default"),
        ("functional:pgx/minatar-breakout", "minatar"),
        ("frankrl/CartPole-functional-v0", "CartPole-functional-v0"),
        ("frankrl/CartPole-functional", "CartPole-functional-v0"),
    ],
)
def test_a_family_of_games_has_a_preset_and_a_name_of_another_module_is_none_of_it(env_id, preset):
    assert default_preset(env_id) == preset


def test_an_unknown_preset_names_the_nearest_and_all():
    with pytest.raises(SettingError, match=r"'clasic'; did you mean 'classic'.*default"):
        load_preset("clasic")


def test_a_preset_changes_only_what_it_names():
    assert load_preset("classic").saving.keep_checkpoints == Settings().saving.keep_checkpoints


def test_a_file_of_ones_own_is_a_preset(tmp_path):
    (tmp_path / "mine.toml").write_text("[learning]\ngamma = 0.9\n")
    assert load_preset(str(tmp_path / "mine.toml")) == Settings().with_changes(gamma=0.9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "mine.toml cannot be read: No such file"),
        ("gamma = ", "mine.toml is not valid TOML"),
        ("[learning]\ngama = 1", "mine.toml: unknown setting 'gama'; did you mean 'gamma'"),
    ],
)
def test_a_file_that_is_no_preset_is_refused_by_name(tmp_path, text, expected):
    path = tmp_path / "mine.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingError, match=expected):
        load_preset(str(path))


def test_a_file_with_a_base_says_only_what_differs(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('base = "LunarLander-v3"\n[learning]\ngamma = 0.9\n')
    assert load_preset(str(file)) == load_preset("LunarLander-v3").with_changes(gamma=0.9)
    assert load_preset("double") == load_preset("classic").with_changes(double=True)


@pytest.mark.parametrize("base", ['"LunarLander"', "3", '"other.toml"'])
def test_a_base_that_there_is_not_is_refused(base, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(f"base = {base}\n")
    with pytest.raises(SettingError, match="base must name a preset that ships with Frank"):
        load_preset(str(file))
