"""Films: the decoded frames show the episodes."""

import os
import subprocess
import sys

import gymnasium
import imageio_ffmpeg
import numpy as np
import pytest
from gymnasium import spaces
from memoryless import memoryless
from toy_text import TAXI

from frankrl.core.errors import EnvironmentFailedError, EnvironmentUnusableError, SettingError
from frankrl.environments import describe
from frankrl.video import encoder
from frankrl.video import film as film_module
from frankrl.video.film import write_film
from frankrl.video.frame_layout import picture_size
from frankrl.video.lettering import Lettering

CARTPOLE_HEIGHT, CARTPOLE_WIDTH, CARTPOLE_FPS = 400, 600, 50
ORANGE = np.array([230, 159, 0])


class ScriptedEnv(gymnasium.Env):
    """Ends after `length` steps and renders a chequerboard of the given kind."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(self, render_mode=None, num_actions=18, length=3, picture="good"):
        self.render_mode = render_mode
        self.action_space = spaces.Discrete(num_actions, start=5)
        self.observation_space = spaces.Box(-np.inf, np.inf, (1,))
        self.length, self.picture, self.time = length, picture, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        if self.picture == "breaks in step":
            raise RuntimeError("the motor\nis on fire")
        self.time += 1
        reward = float(action - self.action_space.start)
        return np.full(1, self.time, np.float32), reward, False, self.time >= self.length, {}

    def render(self):
        if self.picture == "none":
            return None
        if self.picture == "raises":
            raise RuntimeError("no display")
        board = np.indices((64, 64)).sum(axis=0) % 2
        if self.picture == "flat":
            return board.astype(np.uint8)
        return np.repeat(board[:, :, None] * 255, 3, axis=2).astype(np.uint8)


class BlindEnv(gymnasium.Env):
    """An environment without render modes."""

    def __init__(self):
        self.action_space = spaces.Discrete(2)
        self.observation_space = spaces.Box(-1, 1, (1,))


@pytest.fixture(scope="module")
def cartpole():
    return describe("CartPole-v1", {})


@pytest.fixture
def scripted():
    gymnasium.register("Scripted-v0", ScriptedEnv)
    gymnasium.register("Blind-v0", BlindEnv)
    yield lambda **kwargs: describe("Scripted-v0", kwargs)
    del gymnasium.registry["Scripted-v0"], gymnasium.registry["Blind-v0"]


def always(action, num_actions=2):
    """A policy whose Q-value is 10 for one action and 4 for the others."""
    values = np.full((1, num_actions), 4.0, np.float32)
    values[0, action] = 10.0
    return memoryless(lambda observations, masks: values)


def decoded(path):
    """All frames of a video file: frame × height × width × 3."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path)]
    command += ["-fps_mode", "passthrough", "-f", "image2pipe", "-c:v", "ppm", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    width, height = map(int, raw[:32].split(b"\n")[1].split())
    header = len(f"P6\n{width} {height}\n255\n")
    frames = np.frombuffer(raw, np.uint8).reshape(-1, header + height * width * 3)
    return frames[:, header:].reshape(-1, height, width, 3)


def played(seed, action):
    """Return and length of an episode of one action, and its first picture."""
    env = gymnasium.make("CartPole-v1", render_mode="rgb_array")
    env.reset(seed=seed)
    picture, total, length, ended = env.render(), 0.0, 0, False
    while not ended:
        _, reward, terminated, truncated, _ = env.step(action)
        total, length, ended = total + float(reward), length + 1, terminated or truncated
    env.close()
    return total, length, picture


def orange_rows(frame):
    """Heights at which the panel of a CartPole film shows the colour of the chosen action."""
    panel = frame[:, CARTPOLE_WIDTH:].astype(int)
    return np.flatnonzero((np.abs(panel - ORANGE).max(axis=2) < 40).sum(axis=1) > 5)


def test_a_film_has_a_frame_for_each_step_and_a_second_of_each_last_state(tmp_path, cartpole):
    path = tmp_path / "films" / "cartpole.mp4"
    filmed = write_film(cartpole, always(1), path, episodes=2, seed=3, caption="CartPole-v1")
    frames = decoded(path)
    assert len(frames) == sum(episode.length for episode in filmed) + 2 * CARTPOLE_FPS
    assert frames.shape[1] == CARTPOLE_HEIGHT
    assert frames.shape[2] > CARTPOLE_WIDTH
    assert frames.shape[2] % 2 == 0
    assert list(path.parent.iterdir()) == [path]
    for episode in filmed:
        assert (episode.episode_return, episode.length) == played(episode.seed, 1)[:2]
    assert filmed[0].seed != filmed[1].seed


def test_the_left_side_is_the_environments_own_picture(tmp_path, cartpole):
    path = tmp_path / "cartpole.mp4"
    (episode,) = write_film(cartpole, always(0), path, episodes=1, seed=0)
    shown = decoded(path)[0][:, :CARTPOLE_WIDTH].astype(int)
    assert np.abs(shown - played(episode.seed, 0)[2]).mean() < 2


def test_the_panel_marks_the_chosen_action_and_changes_with_the_step(tmp_path, cartpole):
    frames = {}
    for action in (0, 1):
        write_film(cartpole, always(action), tmp_path / "film.mp4", episodes=1, seed=0)
        frames[action] = decoded(tmp_path / "film.mp4")
    first, second = orange_rows(frames[0][0]), orange_rows(frames[1][0])
    assert len(first) > 5
    assert first.max() < second.min()
    panels = frames[0][:, :, CARTPOLE_WIDTH:].astype(int)
    assert np.abs(panels[5] - panels[0]).max() > 100
    assert np.abs(panels[-1] - panels[-CARTPOLE_FPS]).mean() < 1
    assert np.abs(panels[-1] - panels[0]).mean() > np.abs(panels[5] - panels[0]).mean()


@pytest.mark.parametrize("best", [46.66, -3.0, 0.0])
def test_a_bar_is_as_long_as_its_action_is_worse_than_the_best(tmp_path, scripted, best):
    spec = scripted(num_actions=3, length=1)
    values = np.array([[best, best - 0.3, best - 0.6]])
    write_film(spec, memoryless(lambda *_: values), tmp_path / "film.mp4", episodes=1, seed=0)
    panel = decoded(tmp_path / "film.mp4")[0][:, 448:].astype(int)
    blue = (np.abs(panel - np.array([62, 130, 180])).max(axis=2) < 40).sum(axis=1)
    # The longest bar has the width of the scale, which ends at -0.6.
    assert blue.max() == pytest.approx(148, abs=4)
    lengths = blue[blue > 20]
    assert lengths.min() / lengths.max() == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize(
    ("name", "title", "axis"),
    [
        ("Q-value", "Q-value of each action", "Q − max Q"),
        ("rescaled Q-value", "rescaled Q-value of each action", "Q − max Q"),
        ("logit", "logit of each action", "logit − max logit"),
    ],
)
def test_the_panel_says_what_the_outputs_are(tmp_path, scripted, monkeypatch, name, title, axis):
    written = []
    monkeypatch.setattr(Lettering, "write", lambda self, target, text, *rest: written.append(text))
    path, values = tmp_path / "film.mp4", np.array([[46.66, 46.09]])
    spec = scripted(num_actions=2, length=1)
    q_values = memoryless(lambda *_: values)
    write_film(spec, q_values, path, episodes=1, seed=0, output_name=name)
    assert {title, f"{name}s of the last decision", axis} <= set(written)


def test_the_scale_of_the_bars_is_told(tmp_path, scripted, monkeypatch):
    written, write = [], Lettering.write

    def noted(lettering, target, text, *rest):
        written.append(text)
        write(lettering, target, text, *rest)

    monkeypatch.setattr(Lettering, "write", noted)
    values = np.array([[46.66, 46.09]])
    spec = scripted(num_actions=2, length=1)
    write_film(spec, memoryless(lambda *_: values), tmp_path / "film.mp4", episodes=1, seed=0)
    assert {"+46.66", "+46.09", "Q − max Q", "−0.6", "0"} <= set(written)


def test_a_gif_is_small_and_as_long_as_the_film(tmp_path, cartpole):
    path = tmp_path / "film.GIF"
    (episode,) = write_film(cartpole, always(0), path, episodes=1, seed=0)
    assert path.read_bytes().startswith(b"GIF89a")
    frames = decoded(path)
    seconds = (episode.length + CARTPOLE_FPS) / CARTPOLE_FPS
    assert len(frames) == pytest.approx(15 * seconds, abs=2)
    assert frames.shape[2] <= 640
    assert path.stat().st_size < 200_000
    assert list(tmp_path.iterdir()) == [path]


def test_tiny_pictures_grow_by_a_whole_factor_and_many_actions_fit(tmp_path, scripted):
    path = tmp_path / "film.mp4"
    filmed = write_film(scripted(), always(7, 18), path, episodes=1, seed=0)
    assert filmed[0][1:] == (21.0, 3)
    frame = decoded(path)[0]
    shown = frame[(len(frame) - 448) // 2 :][:448, :448]
    blocks = shown.reshape(64, 7, 64, 7, 3)[:, 3, :, 3, 0]
    np.testing.assert_array_equal(blocks > 127, np.indices((64, 64)).sum(axis=0) % 2 == 1)


def test_more_actions_than_rows_and_values_that_are_not_finite_can_be_filmed(tmp_path, scripted):
    values = np.linspace(-5, 5, 300)[None]
    values[0, :2] = -np.inf, 1e300
    write_film(
        scripted(num_actions=300),
        memoryless(lambda *_: values),
        tmp_path / "a.mp4",
        episodes=1,
        seed=0,
    )
    write_film(
        scripted(num_actions=1),
        memoryless(lambda *_: [[np.nan]]),
        tmp_path / "b.mp4",
        episodes=1,
        seed=0,
    )


def test_an_action_that_is_not_allowed_is_labelled_and_has_no_bar(tmp_path, monkeypatch):
    spec, written = describe(TAXI, {"max_episode_steps": 4}), []
    write = Lettering.write

    def noted(lettering, target, text, *rest):
        written.append(text)
        write(lettering, target, text, *rest)

    forbidden = 0

    @memoryless
    def q_values(observations, allowed):
        nonlocal forbidden
        forbidden += int((~allowed).sum())
        return np.where(allowed, 1.0, -np.inf)

    monkeypatch.setattr(Lettering, "write", noted)
    monkeypatch.setattr(film_module, "_HOLD_SECONDS", 0)
    (episode,) = write_film(spec, q_values, tmp_path / "taxi.mp4", episodes=1, seed=0)
    assert episode.length == 4
    assert forbidden > 0
    last = written[len(written) - written[::-1].index("Q-values of the last decision") - 1 :]
    assert written.count("not allowed") - last.count("not allowed") == forbidden


@pytest.mark.parametrize("ending", [".mp4", ".gif"])
def test_a_path_may_have_characters_that_mean_something_to_the_encoder(tmp_path, scripted, ending):
    path = tmp_path / "a:b %03d [x]" / f"-100% 'é' $HOME{ending}"
    write_film(scripted(), always(7, 18), path, episodes=1, seed=0)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", ["film.avi", "film"])
def test_another_ending_or_no_episode_is_refused_before_anything_is_made(tmp_path, cartpole, name):
    with pytest.raises(SettingError, match=r"\.mp4 or a \.gif"):
        write_film(cartpole, always(0), tmp_path / name, episodes=1, seed=0)
    with pytest.raises(SettingError, match="at least one episode, got 0"):
        write_film(cartpole, always(0), tmp_path / "film.mp4", episodes=0, seed=0)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_named(tmp_path, cartpole):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.mp4").mkdir()
    for path in (tmp_path / "file" / "film.mp4", tmp_path / "folder.mp4"):
        with pytest.raises(SettingError, match=f"cannot write the film {path}"):
            write_film(cartpole, always(0), path, episodes=1, seed=0)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        ("[out#0/mp4 @ 0x5581] Error writing trailer: No space left on device", "No space left"),
        ("av_interleaved_write_frame(): No space left on device\n[libx264 @ 0x1] bye", "No space"),
        ("file:/x/.film.mp4: Read-only file system", "Read-only file system"),
        ("Conversion failed!", "the video encoder failed: Conversion failed!"),
        ("", "the video encoder failed: no reason"),
    ],
)
def test_the_encoders_own_text_becomes_a_reason(tmp_path, scripted, monkeypatch, printed, words):
    code = f"import sys; sys.stdin.buffer.read(); sys.stderr.write({printed!r}); sys.exit(1)"
    monkeypatch.setattr(encoder, "_ffmpeg", lambda: [sys.executable, "-c", code])
    path = tmp_path / "film.mp4"
    with pytest.raises(SettingError, match=f"cannot write the film {path}: {words}") as caught:
        write_film(scripted(), always(7, 18), path, episodes=1, seed=0)
    assert "@" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_episodes_are_counted_while_they_are_filmed(tmp_path, scripted):
    told = []
    write_film(
        scripted(),
        always(7, 18),
        tmp_path / "f.mp4",
        episodes=2,
        seed=0,
        on_episode=lambda *counts: told.append(counts),
    )
    assert told == [(0, 2), (1, 2)]


@pytest.mark.parametrize("ending", [".mp4", ".gif"])
def test_an_interrupted_film_leaves_the_earlier_one_and_nothing_else(tmp_path, cartpole, ending):
    path = tmp_path / f"film{ending}"
    path.write_text("the earlier film")
    calls = []

    @memoryless
    def interrupted(observations, masks):
        calls.append(observations)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return np.zeros((1, 2))

    with pytest.raises(KeyboardInterrupt):
        write_film(cartpole, interrupted, path, episodes=1, seed=0)
    assert path.read_text() == "the earlier film"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("picture", ["none", "raises", "flat"])
def test_an_environment_without_a_picture_is_refused(tmp_path, scripted, picture):
    with pytest.raises(EnvironmentUnusableError, match="Scripted-v0 cannot be filmed"):
        write_film(scripted(picture=picture), always(0, 18), tmp_path / "f.mp4", episodes=1, seed=0)
    assert not list(tmp_path.iterdir())


def test_no_window_system_is_looked_for_before_the_first_picture(tmp_path, scripted, monkeypatch):
    found, drawn = [], ScriptedEnv.render
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    monkeypatch.setattr(
        ScriptedEnv,
        "render",
        lambda self: found.append(os.environ.get("SDL_VIDEODRIVER")) or drawn(self),
    )
    write_film(scripted(), always(0, 18), tmp_path / "f.mp4", episodes=1, seed=0)
    assert set(found) == {"dummy"}


def test_without_pygame_a_film_is_refused_with_what_to_install(tmp_path, scripted, monkeypatch):
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(EnvironmentUnusableError, match="pip install pygame-ce"):
        write_film(scripted(), always(0, 18), tmp_path / "f.mp4", episodes=1, seed=0)


def test_an_environment_that_knows_no_render_mode_is_refused(tmp_path, scripted):
    words = "^Blind-v0 cannot be filmed: it does not take render_mode='rgb_array'$"
    with pytest.raises(EnvironmentUnusableError, match=words):
        write_film(describe("Blind-v0", {}), always(0), tmp_path / "f.mp4", episodes=1, seed=0)


def test_an_environment_that_breaks_is_named(tmp_path, scripted):
    spec = scripted(picture="breaks in step")
    with pytest.raises(
        EnvironmentFailedError,
        match=r"Scripted-v0.*, step 1 raised RuntimeError: the motor is on fire",
    ):
        write_film(spec, always(0, 18), tmp_path / "film.mp4", episodes=1, seed=0)


@pytest.mark.parametrize(
    ("height", "width", "small", "shown"),
    [
        (400, 600, False, (400, 600)),
        (64, 64, False, (448, 448)),
        (210, 160, False, (420, 320)),
        (240, 720, False, (240, 720)),
        (1920, 960, False, (960, 480)),
        (400, 600, True, (240, 360)),
        (64, 64, True, (256, 256)),
    ],
)
def test_pictures_are_shown_large_enough_and_not_too_large(height, width, small, shown):
    assert picture_size(height, width, small=small) == shown
