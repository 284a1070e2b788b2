"""Atari games, played so that a seed and actions repeat an episode to the bit.

The Arcade Learning Environment (ALE) emulates the console. Its own sticky actions draw from a
random state that only loading a game sets, which takes 0.1 s. Here the game is loaded once, and
sticky actions are drawn from the random numbers of the episode's seed.

Source: Bellemare et al. (2013). https://doi.org/10.1613/jair.3912
    Machado et al. (2018). https://doi.org/10.1613/jair.5699
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from jaxtyping import UInt8

from frankrl.config import AtariSettings
from frankrl.config.families import ATARI
from frankrl.core.errors import EnvironmentUnusableError
from frankrl.environments.extras import imported
from frankrl.environments.preprocessing import Preprocessing
from frankrl.environments.similar_games import similar_games

FRAMES_PER_SECOND = 60
"""Frames that the console shows in a second."""
_NOOP, _FIRE = 0, 1
"""ALE's numbers of two actions."""
_VERSION, _SUCH_AS = "-v5", "such as 'ALE/Pong-v5'"
_OWN_SETTINGS = {
    "repeat_action_probability": "sticky_actions",
    "frameskip": "frame_skip",
    "full_action_space": "full_action_set",
    "obs_type": "grayscale",
    "max_num_frames_per_episode": "game_time_limit",
    "max_episode_steps": "game_time_limit",
}
"""Arguments of ALE's own environment, and the settings that stand for them here."""
_WORDS = (("UP", "up"), ("DOWN", "down"), ("RIGHT", "right"), ("LEFT", "left"), ("FIRE", "fire"))
"""The parts of ALE's names of actions, in their order."""

Screen = UInt8[np.ndarray, "height width *channel"]


class AtariGame(gymnasium.Env):
    """A game of which an action lasts several frames and an observation is one picture.

    The picture is (size, size) in grey, else (size, size, 3). `info["lives"]` is the number of
    lives left, and `info["life_lost"]` says whether the step cost one.
    """

    def __init__(
        self,
        game: str,
        settings: AtariSettings,
        *,
        size: int | None = 84,
        grayscale: bool = True,
        mode: int | None = None,
        difficulty: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        """Load the game.

        Args:
            game: ALE's name of it, such as `space_invaders`.
            settings: how it is played.
            size: height and width of an observation; None: those of the screen.
            grayscale: whether observations are grey.
            mode: variant of the game; None: the game's default.
            difficulty: its difficulty; None: the game's default.
            render_mode: `rgb_array` or None.

        Raises:
            EnvironmentUnusableError: the game has no such mode or difficulty.
            MissingExtraError: ale-py or OpenCV is not installed.
        """
        self._settings = settings
        self.render_mode = render_mode
        self.max_episode_steps = settings.game_time_limit
        fps = max(1, round(FRAMES_PER_SECOND / settings.frame_skip))
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": fps}
        self._ale = _loaded(game, mode, difficulty)
        self._as_loaded = self._ale.cloneState(include_rng=True)
        minimal = self._ale.getMinimalActionSet()
        actions = self._ale.getLegalActionSet() if settings.full_action_set else minimal
        self._actions = [action.value for action in actions]
        self.action_names = tuple(_in_words(action.name) for action in actions)
        self._fires_first = settings.fire_reset and any(a.value == _FIRE for a in minimal)
        self.action_space = spaces.Discrete(len(self._actions))

        dims, channels = self._ale.getScreenDims(), () if grayscale else (3,)
        self._read = self._ale.getScreenGrayscale if grayscale else self._ale.getScreenRGB
        self._screen, self._screen_before = (np.zeros(dims + channels, np.uint8) for _ in range(2))
        self._size = None if size is None else (size, size)
        self.observation_space = spaces.Box(0, 255, (self._size or dims) + channels, np.uint8)
        self._cv2: Any = imported("cv2", "an Atari game", "opencv-python-headless", "atari")
        self._held, self._length, self._lives = _NOOP, 0, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Screen, dict[str, Any]]:
        """Begin an episode; it depends on the seed and the actions only."""
        super().reset(seed=seed)
        settings = self._settings
        self._begin_game()
        self._held, self._length = _NOOP, 0
        if settings.noop_max:
            self._hold(_NOOP, int(self.np_random.integers(settings.noop_max + 1)))
        if self._fires_first:
            self._hold(_FIRE, settings.frame_skip)
        self._lives = self._ale.lives()
        self._read(self._screen)
        return self._observation(), {"lives": self._lives, "life_lost": False}

    def _hold(self, action: int, frames: int) -> None:
        """Before the first step: an action for some frames; a game that ends begins again."""
        for _ in range(frames):
            self._ale.act(action)
            if self._ale.game_over(with_truncation=False):
                self._begin_game()
                self._held = _NOOP
                return
        self._held = action

    def _begin_game(self) -> None:
        """Begin the game as if it had just been loaded.

        `reset_game` alone leaves the console's memory as it is, and 30 of the 104 games begin
        otherwise with what another episode left there.
        """
        self._ale.restoreState(self._as_loaded)
        self._ale.reset_game()

    def step(self, action: Any) -> tuple[Screen, float, bool, bool, dict[str, Any]]:
        """Take an action for `frame_skip` frames, or until the game is over.

        With sticky actions, each frame repeats the action of the frame before by chance.
        """
        ale, settings, reward, terminated, frame = self._ale, self._settings, 0, False, 0
        chosen, last = self._actions[action], settings.frame_skip - 1
        for frame, sticks in enumerate(self._sticking()):
            if not sticks:
                self._held = chosen
            reward += ale.act(self._held)
            if terminated := ale.game_over(with_truncation=False):
                break
            if frame == last - 1 and settings.max_pool:
                self._read(self._screen_before)
        self._read(self._screen)
        # A game that is over early has no second screen to pool: its last one stands alone.
        if 0 < last == frame and settings.max_pool:
            np.maximum(self._screen, self._screen_before, out=self._screen)
        self._length += 1
        truncated = not terminated and self._length >= settings.game_time_limit
        lives, self._lives = self._lives, ale.lives()
        info = {"lives": self._lives, "life_lost": self._lives < lives}
        return self._observation(), float(reward), terminated, truncated, info

    def _sticking(self) -> list[bool]:
        """For each frame of an action, whether it repeats the action of the frame before."""
        settings = self._settings
        if settings.sticky_actions == 0:
            return [False] * settings.frame_skip
        coins = self.np_random.random(settings.frame_skip)
        return (coins < settings.sticky_actions).tolist()

    def _observation(self) -> Screen:
        if self._size is None:
            return self._screen.copy()
        return self._cv2.resize(self._screen, self._size, interpolation=self._cv2.INTER_AREA)

    def render(self) -> Screen:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The game's own screen in colours."""
        return self._ale.getScreenRGB()


def make_atari(
    env_id: str,
    env_kwargs: Mapping[str, Any],
    preprocessing: Preprocessing,
    render_mode: str | None = None,
) -> AtariGame:
    """Make an Atari game by its name, such as `ALE/Pong-v5`.

    Raises:
        EnvironmentUnusableError: there is no such game, mode or difficulty, or an argument of
            another name is given.
        MissingExtraError: ale-py or OpenCV is not installed.
    """
    game = _game_of(env_id)
    _check_kwargs(env_id, env_kwargs)
    settings = preprocessing.atari or AtariSettings()
    shown = {"size": preprocessing.resize, "grayscale": preprocessing.grayscale, **env_kwargs}
    env = AtariGame(game, settings, **shown, render_mode=render_mode)
    maker = f"{AtariGame.__module__}:{AtariGame.__qualname__}"
    played = {"game": game, **shown, **dataclasses.asdict(settings)}
    env.spec = EnvSpec(ATARI.registered(env_id), entry_point=maker, kwargs=played)
    return env


def _game_of(env_id: str) -> str:
    """ALE's name of a game; ale-py registers it with Gymnasium."""
    imported("ale_py", env_id, "ale-py", "atari")
    name = ATARI.registered(env_id)
    games = {
        known: spec.kwargs["game"]
        for known, spec in gymnasium.registry.items()
        if ATARI.has(known) and known.endswith(_VERSION)
    }
    for known in (name, f"{name}{_VERSION}"):
        if known in games:
            return games[known]
    similar = similar_games(env_id)
    hint = f"did you mean {similar[0]!r}?" if similar else f"there are {len(games)}, {_SUCH_AS}"
    raise EnvironmentUnusableError(f"unknown Atari game {name!r}; {hint}")


def _check_kwargs(env_id: str, env_kwargs: Mapping[str, Any]) -> None:
    for name in sorted(env_kwargs.keys() - {"mode", "difficulty"}):
        setting = _OWN_SETTINGS.get(name)
        advice = f"; use the setting {setting} instead" if setting else ""
        raise EnvironmentUnusableError(
            f"env_kwargs of {env_id} can hold mode and difficulty, not {name}{advice}"
        )


def _loaded(game: str, mode: Any, difficulty: Any) -> Any:
    """The emulator with a game in it."""
    ale_py: Any = imported("ale_py", "an Atari game", "ale-py", "atari")
    roms: Any = imported("ale_py.roms", "an Atari game", "ale-py", "atari")
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    # Nothing of an episode may depend on the emulator's own random numbers.
    ale.setInt("random_seed", 0)
    ale.setFloat("repeat_action_probability", 0.0)
    ale.loadROM(roms.get_rom_path(game))
    for what, given, allowed, put in (
        ("mode", mode, ale.getAvailableModes(), ale.setMode),
        ("difficulty", difficulty, ale.getAvailableDifficulties(), ale.setDifficulty),
    ):
        if given is None:
            continue
        if type(given) is not int or given not in allowed:
            known = ", ".join(map(str, sorted(allowed)))
            raise EnvironmentUnusableError(
                f"the game {game} has no {what} {given!r}; it has {known}"
            )
        put(given)
    return ale


def _in_words(name: str) -> str:
    """ALE's name of an action in plain words: `UPRIGHTFIRE` becomes `up right fire`."""
    if name == "NOOP":
        return "do nothing"
    words = []
    for part, word in _WORDS:
        if name.startswith(part):
            words.append(word)
            name = name.removeprefix(part)
    return " ".join(words)
