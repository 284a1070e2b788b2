"""Films of agents that see pictures: what the network sees stands beside the real screen."""

import contextlib

import jax
import numpy as np
import pytest
from gymnasium import spaces
from memoryless import memoryless
from probe_envs import OBSERVATION_SPACES

from frankrl.cli.main import main as frank
from frankrl.config import Settings
from frankrl.core.random import Use, reset_seed
from frankrl.environments import CheckedEnv, describe_for, make_environment
from frankrl.explaining.pictures import overlaid
from frankrl.training.evaluator import Evaluator
from frankrl.video import film as film_module
from frankrl.video.film import write_film
from frankrl.video.frame_layout import FrameLayout
from frankrl.video.lettering import Lettering
from frankrl.video.load_pygame import load_pygame
from frankrl.video.network_view import NetworkView, SeenPicture
from frankrl.video.panel import PanelContent

CONTENT = PanelContent(1, 1, 3, np.array([1.0, 2.0]), 1, 0.0, 0.0, ended=False)


def spec_of(env_id, **changes):
    return describe_for(env_id, Settings().with_changes(**changes))


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def always(action, num_actions):
    """A policy that takes one action in every state."""

    @memoryless
    def q_values(observation, mask):
        rows = len(jax.tree.leaves(observation)[0])
        return np.eye(num_actions, dtype=np.float32)[np.full(rows, action)]

    return q_values


@pytest.fixture
def drawn(monkeypatch):
    """The arguments with which frames are drawn; no film is written."""
    given = []

    def frame(layout, *scene):
        given.append(scene)
        return np.zeros((2, 2, 3), np.uint8)

    monkeypatch.setattr(FrameLayout, "frame", frame)
    monkeypatch.setattr("frankrl.video.film.VideoWriter.add", lambda writer, frame: None)
    return given


def is_shown(frame, picture, factor):
    """Whether a picture stands somewhere in a frame, enlarged by a whole factor."""
    large = picture.repeat(factor, axis=0).repeat(factor, axis=1)
    height, width = large.shape[:2]
    first = (frame == large[0, 0]).all(axis=2)
    rooms = np.argwhere(first[: len(frame) - height + 1, : frame.shape[1] - width + 1])
    return any((frame[y : y + height, x : x + width] == large).all() for y, x in rooms)


@pytest.mark.parametrize(
    ("screen", "count", "side", "factor"),
    [((210, 160), 4, 84, 2), ((160, 160), 1, 10, 40), ((400, 600), 4, 96, 2), ((64, 64), 9, 40, 3)],
)
def test_the_screen_and_all_pictures_are_enlarged_by_whole_factors(screen, count, side, factor):
    pictures = [
        SeenPicture(f"picture {place}", one)
        for place, one in enumerate(noise(count, side, side, 3))
    ]
    layout = FrameLayout(screen, pictures, ("left", "right"), "", small=False)
    shown = noise(*screen, 3)
    frame = layout.frame(shown, pictures, CONTENT)
    screen_factor = -(-400 // screen[0]) if screen[0] < 300 else 1
    assert is_shown(frame, shown, screen_factor)
    for _, picture in pictures:
        assert is_shown(frame, picture, factor)
    assert frame.shape[0] % 2 == frame.shape[1] % 2 == 0
    assert frame.shape[0] <= 480


def test_large_pictures_shrink_alike_in_height_and_width():
    pictures = [SeenPicture("", noise(600, 800, 3))]
    view = NetworkView(pictures, "", 400, 1.0)
    assert view.width <= 16 + 400
    assert view.least_height == 34 + (view.width - 16) * 600 // 800


def test_frames_without_pictures_have_no_room_for_them():
    layout = FrameLayout((400, 600), [], ("left", "right"), "", small=False)
    assert layout.frame(noise(400, 600, 3), [], CONTENT).shape == (400, 1000, 3)


def test_a_films_pictures_are_the_stack_of_each_step(drawn, tmp_path, monkeypatch):
    """A game's own time limit is the film's, too, though it is the larger one here."""
    monkeypatch.setattr(film_module, "MAX_STEPS", 6)
    spec = spec_of("ALE/Breakout-v5", frame_stack=3, fire_reset=True, game_time_limit=12)
    (episode,) = write_film(
        spec, always(3, spec.num_actions), tmp_path / "f.mp4", episodes=1, seed=4
    )
    assert episode.length == 12
    with contextlib.closing(CheckedEnv(spec, render_mode="rgb_array")) as env:
        rows, screens = [env.reset(episode.seed, 0)], [env.picture()]
        for _ in range(12):
            rows.append(env.step(3).row)
            screens.append(env.picture())
    rows = [np.zeros_like(rows[0])] * 2 + rows
    assert screens[0].shape == (210, 160, 3)
    for step in range(13):
        screen, seen, content = drawn[step]
        assert content.ended == (step == 12)
        np.testing.assert_array_equal(screen, screens[step])
        assert [one.name for one in seen] == ["2 steps earlier", "1 step earlier", "newest"]
        for one, row in zip(seen, rows[step : step + 3], strict=True):
            np.testing.assert_array_equal(one.picture, row[:, :, np.newaxis].repeat(3, axis=2))


def test_a_picture_among_other_parts_is_named_and_saliency_lies_over_its_newest(
    drawn, tmp_path, monkeypatch
):
    parts = {"eye": spaces.Box(0, 255, (8, 9), np.uint8), "speed": spaces.Box(-1, 1, (2,))}
    monkeypatch.setitem(OBSERVATION_SPACES, "eye", spaces.Dict(parts))
    monkeypatch.setattr(film_module, "MAX_STEPS", 2)
    monkeypatch.setattr(CheckedEnv, "picture", lambda env: np.zeros((20, 20, 3), np.uint8))
    monkeypatch.setattr(
        "frankrl.environments.checked_env.make_environment",
        lambda env_id, kwargs, render_mode, preprocessing, wrappers: make_environment(
            env_id, kwargs, None, preprocessing
        ),
    )
    spec = spec_of("FrankSpace-v0", env_kwargs={"observation": "eye"}, frame_stack=2)
    given, remembered, map_ = [], [], np.linspace(0, 1, 72).reshape(8, 9)

    def saliency(observation, mask, memory):
        given.append(jax.tree.map(np.copy, observation))
        remembered.append(memory)
        return [map_]

    def counting(observation, mask=None, *, memory=None):
        """Remembers how many observations it has seen."""
        return np.eye(1, spec.num_actions), (0 if memory is None else memory) + 1

    write_film(spec, counting, tmp_path / "f.mp4", episodes=1, seed=0, saliency=saliency)
    for (_, seen, _), observation in zip(drawn, given, strict=True):
        assert [one.name for one in seen] == ["eye 1 step earlier", "eye newest"]
        older, newest = observation["eye"][0][..., np.newaxis].repeat(3, axis=3)
        np.testing.assert_array_equal(seen[0].picture, older)
        np.testing.assert_array_equal(seen[1].picture, overlaid(newest, map_))
    # Of each state what was remembered before it.
    assert remembered == [None, 1, 2]


def test_a_game_whose_only_picture_has_no_name_is_filmed_frame_by_frame(tmp_path):
    """Nothing stands in for the drawing here: pygame once crashed where a text was empty."""
    spec = spec_of("MinAtar/Breakout-v1")
    (filmed,) = write_film(
        spec, always(0, spec.num_actions), tmp_path / "film.gif", episodes=1, seed=0
    )
    assert filmed.length > 0
    assert (tmp_path / "film.gif").stat().st_size > 1_000


def test_a_text_without_letters_draws_nothing():
    surface = load_pygame().Surface((20, 10))
    for side in ("left", "centre", "right"):
        Lettering(1.0).write(surface, "", 16, (255, 255, 255), 5, 5, side)
    assert not load_pygame().surfarray.array3d(surface).any()


def test_an_atari_film_has_fifteen_frames_a_second():
    with contextlib.closing(CheckedEnv(spec_of("ALE/Pong-v5"), render_mode="rgb_array")) as env:
        assert env.frames_per_second == 15


def test_films_and_evaluations_play_whole_games_for_their_real_score(drawn, tmp_path):
    """Though the learner's rewards are clipped, and a lost life is the end for it."""
    spec = spec_of("ALE/SpaceInvaders-v5", clip_rewards="on", life_loss_terminates=True)
    policy = always(1, spec.num_actions)
    (filmed,) = write_film(spec, policy, tmp_path / "f.mp4", episodes=1, seed=1)
    evaluator = Evaluator(spec)
    evaluation = evaluator.evaluate(policy, 1, Use.EVALUATION_RESET, 1)
    evaluator.close()
    evaluated = (float(evaluation.returns[0]), int(evaluation.lengths[0]))
    for seed, found in (
        (filmed.seed, (filmed.episode_return, filmed.length)),
        (reset_seed(1, Use.EVALUATION_RESET, 0, 0), evaluated),
    ):
        env = make_environment(spec.env_id, {}, None, spec.preprocessing)
        env.reset(seed=seed)
        score, clipped, length, lives_lost, over = 0.0, 0.0, 0, 0, False
        while not over:
            _, reward, over, _, info = env.step(1)
            score, clipped = score + float(reward), clipped + min(float(reward), 1)
            length += 1
            lives_lost += info["life_lost"]
        env.close()
        assert found == (score, length)
        assert lives_lost == 3
        assert score > clipped > 0


def test_saliency_is_refused_where_the_network_sees_no_picture(tmp_path, capsys):
    run = tmp_path / "run"
    words = ["--total-env-steps=60", "--learning-starts-env-steps=10", "--hidden-widths", "4"]
    words += ["--preset=default", "--final-evaluation-episodes=none", f"--out={run}"]
    assert frank(["train", "CartPole-v1", *words]) == 0
    capsys.readouterr()
    assert frank(["film", str(run), "--saliency"]) == 2
    printed = capsys.readouterr().err
    assert "the observations of CartPole-v1 hold no picture: leave it out" in printed
    assert not (run / "videos").exists()
    page = ["--html", str(tmp_path / "page.html")]
    assert frank(["explain", str(run), "--update", "2", "--saliency", *page]) == 2
    assert "the observations of CartPole-v1 hold no picture" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()
