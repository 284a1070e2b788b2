"""Films an agent: its greedy episodes, and beside them what it thinks of each action."""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from frankrl.environments import EnvironmentSpec, FilmingEnvironment
from frankrl.errors import (
    EnvironmentFailedError,
    EnvironmentUnusableError,
    FrankError,
    SettingError,
)
from frankrl.evaluation import QValues
from frankrl.randomness import Use, reset_seed
from frankrl.report.panel import PanelContent
from frankrl.report.stage import Stage
from frankrl.report.video import VideoWriter, check_ending

_HOLD_SECONDS = 1


class FilmedEpisode(NamedTuple):
    """One episode of a film."""

    seed: int
    """What the environment was reset with."""
    episode_return: float
    """Undiscounted sum of rewards."""
    length: int
    """Env steps of the episode."""


class _Scene(NamedTuple):
    picture: UInt8[np.ndarray, "height width 3"]
    content: PanelContent


def film(
    spec: EnvironmentSpec,
    q_values: QValues,
    path: Path,
    *,
    episodes: int,
    seed: int,
    caption: str = "",
) -> list[FilmedEpisode]:
    """Play greedy episodes and write them as a film.

    Each frame shows a state, its Q-values, the action chosen in it and the reward that
    this brought. An episode's last state is held for a second.

    Args:
        spec: the environment.
        q_values: from a batch of observations to Q-values.
        path: where to; .mp4 (the environment's own speed and size) or .gif (small).
        episodes: how many.
        seed: decides, with an episode's number, where the episode begins.
        caption: heads the panel.

    Returns:
        What was filmed, in order.

    Raises:
        SettingError: the path's ending, its place or the number of episodes is not allowed.
        EnvironmentUnusableError: the environment draws no picture.
        EnvironmentFailedError: the environment raised while it was played.
    """
    check_ending(path)
    if episodes < 1:
        raise SettingError(f"a film has at least one episode, got {episodes}")
    small = path.suffix.lower() == ".gif"
    filmed = []
    with contextlib.closing(FilmingEnvironment(spec)) as env:
        speed = env.frames_per_second
        stage: Stage | None = None
        with VideoWriter(path, speed) as video:
            for number in range(episodes):
                reset = reset_seed(seed, Use.FILM_RESET, 0, number)
                for scene in _scenes(env, spec, q_values, reset, (number + 1, episodes)):
                    if stage is None:
                        stage = Stage(scene.picture.shape[:2], spec.action_names, caption, small)
                    frame = stage.frame(scene.picture, scene.content)
                    for _ in range(speed * _HOLD_SECONDS if scene.content.ended else 1):
                        video.add(frame)
                    if scene.content.ended:
                        total, steps = scene.content.episode_return, scene.content.step
                        filmed.append(FilmedEpisode(reset, total, steps))
    return filmed


def _scenes(
    env: FilmingEnvironment,
    spec: EnvironmentSpec,
    q_values: QValues,
    reset: int,
    which: tuple[int, int],
) -> Iterator[_Scene]:
    """One greedy episode: a scene for each step, then one for the last state."""
    with _named_failure(spec):
        observation = env.reset(reset)
    ended, episode_return, step = False, 0.0, 0
    while True:
        picture = _picture(env, spec)
        values = np.asarray(q_values(observation[np.newaxis]))[0]
        action = int(np.argmax(values))
        with _named_failure(spec):
            observation, reward, ended = env.step(action)
        step, episode_return = step + 1, episode_return + reward
        content = PanelContent(*which, step, values, action, reward, episode_return, ended=False)
        yield _Scene(picture, content)
        if ended:
            yield _Scene(_picture(env, spec), content._replace(ended=True))
            return


def _picture(env: FilmingEnvironment, spec: EnvironmentSpec) -> UInt8[np.ndarray, "height width 3"]:
    """What the environment looks like now.

    Raises:
        EnvironmentUnusableError: it draws no picture.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = env.picture()
    except Exception as error:
        text = " ".join(str(error).split())
        raise EnvironmentUnusableError(f"{spec.env_id} cannot be filmed: {text}") from error
    if picture.ndim != 3 or picture.shape[2] < 3 or picture.dtype != np.uint8:
        raise EnvironmentUnusableError(
            f"{spec.env_id} cannot be filmed: its picture is {picture.dtype}"
            f"{list(picture.shape)}, wanted uint8[height, width, 3]"
        )
    return picture[:, :, :3]


@contextlib.contextmanager
def _named_failure(spec: EnvironmentSpec) -> Iterator[None]:
    """Turn whatever the environment raises into an error that names it."""
    try:
        yield
    except FrankError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise EnvironmentFailedError(
            f"{spec.env_id} raised {type(error).__name__} while it was filmed: {text}"
        ) from error
