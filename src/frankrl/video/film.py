"""Films an agent: its greedy episodes, with the Q-value of each action."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, UInt8

from frankrl.core.errors import SettingError
from frankrl.core.random import Use, reset_seed
from frankrl.environments import CheckedEnv, EnvironmentSpec, FrameStack
from frankrl.experience import QValues
from frankrl.explaining.pictures import overlaid, picture_leaves
from frankrl.explaining.saliency import SaliencyMaps
from frankrl.video.encoder import VideoWriter, check_ending
from frankrl.video.frame_layout import FrameLayout
from frankrl.video.load_pygame import load_pygame
from frankrl.video.network_view import SeenPicture
from frankrl.video.panel import PanelContent, symbol_of

_HOLD_SECONDS = 1
MAX_STEPS = 27_000
"""An episode that does not end is filmed for this many env steps. An Atari game ends by its own
time limit."""


class FilmedEpisode(NamedTuple):
    """One episode of a film."""

    seed: int
    """Reset seed of the environment."""
    episode_return: float
    """Undiscounted sum of rewards."""
    length: int
    """Env steps of the episode."""


class _Scene(NamedTuple):
    picture: UInt8[np.ndarray, "height width 3"]
    seen: Sequence[SeenPicture]
    content: PanelContent


def write_film(
    spec: EnvironmentSpec,
    q_values: QValues,
    path: Path,
    *,
    episodes: int,
    seed: int,
    caption: str = "",
    saliency: SaliencyMaps | None = None,
    output_name: str = "Q-value",
    on_episode: Callable[[int, int], None] = lambda done, of: None,
) -> list[FilmedEpisode]:
    """Play greedy episodes and write them as a film.

    Each frame shows a state, its Q-values, the chosen action and its reward, and the pictures
    that the network sees if there are any. The last state of an episode is held for a second.

    Args:
        spec: the environment.
        q_values: Q-values of a batch of observations, and what is remembered after them.
        path: target file; .mp4 (the environment's own speed and size) or .gif (small).
        episodes: number of episodes.
        seed: decides, with the episode's number, the reset seed.
        caption: title of the panel.
        saliency: gives the maps that are laid over the newest of these pictures; None: none.
        output_name: what the network's output for an action is called.
        on_episode: called at the beginning and after every episode, with the episodes that have
            ended and the number of episodes.

    Returns:
        The filmed episodes, in order.

    Raises:
        SettingError: the file extension or the number of episodes is not allowed, or the
            target is not writable.
        EnvironmentUnusableError: the environment renders no picture, or pygame is missing.
        EnvironmentFailedError: the environment raised an exception.
    """
    check_ending(path)
    if episodes < 1:
        raise SettingError(f"a film has at least one episode, got {episodes}")
    load_pygame()
    small = path.suffix.lower() == ".gif"
    filmed = []
    with contextlib.closing(CheckedEnv(spec, render_mode="rgb_array")) as env:
        speed = env.frames_per_second
        layout: FrameLayout | None = None
        with VideoWriter(path, speed) as video:
            for number in range(episodes):
                on_episode(number, episodes)
                reset = reset_seed(seed, Use.FILM_RESET, 0, number)
                for scene in _scenes(env, q_values, saliency, reset, (number + 1, episodes)):
                    if layout is None:
                        layout = FrameLayout(
                            scene.picture.shape[:2],
                            scene.seen,
                            spec.action_names,
                            caption,
                            small=small,
                            note=_saliency_note(output_name) if saliency else "",
                            output_name=output_name,
                        )
                    frame = layout.frame(*scene)
                    for _ in range(speed * _HOLD_SECONDS if scene.content.ended else 1):
                        video.add(frame)
                    if scene.content.ended:
                        total, steps = scene.content.episode_return, scene.content.step
                        filmed.append(FilmedEpisode(reset, total, steps))
    return filmed


def _saliency_note(output_name: str) -> str:
    return f"orange: |∂ max {symbol_of(output_name)} / ∂ pixel|"


def _scenes(
    env: CheckedEnv,
    q_values: QValues,
    saliency: SaliencyMaps | None,
    reset: int,
    which: tuple[int, int],
) -> Iterator[_Scene]:
    """One greedy episode: a scene for each env step, then one for the last state."""
    spec = env.spec
    atari = spec.preprocessing.atari
    most_steps = atari.game_time_limit if atari else MAX_STEPS
    stack = FrameStack(spec, 1)
    stack.begin([0], env.reset(reset, which[0])[np.newaxis])
    ended, episode_return, step, memory = False, 0.0, 0, None
    while True:
        picture, seen = env.picture(), _seen(spec, stack, memory, saliency)
        (values,), memory = q_values(stack.observation, stack.mask, memory=memory)
        action = int(np.argmax(values))
        observation, reward, terminated, truncated, *_ = env.step(action)
        stack.push(observation[np.newaxis])
        ended = terminated or truncated or step + 1 >= most_steps
        step, episode_return = step + 1, episode_return + reward
        content = PanelContent(*which, step, values, action, reward, episode_return, ended=False)
        yield _Scene(picture, seen, content)
        if ended:
            seen = _seen(spec, stack, memory, saliency)
            yield _Scene(env.picture(), seen, content._replace(ended=True))
            return


def _seen(
    spec: EnvironmentSpec,
    stack: FrameStack,
    memory: Float[np.ndarray, "1 unit"] | None,
    saliency: SaliencyMaps | None,
) -> list[SeenPicture]:
    """The pictures that the network sees, each leaf's oldest first."""
    leaves, pictures = jax.tree.leaves(stack.observation), picture_leaves(spec)
    maps = saliency(stack.observation, stack.mask, memory) if saliency else [None] * len(pictures)
    seen = []
    for (place, shown), over in zip(pictures.items(), maps, strict=True):
        for name, picture in zip(shown.names, shown.in_colours(leaves[place][0]), strict=True):
            seen.append(SeenPicture(f"{shown.leaf.name} {name}".lstrip(), picture))
        if over is not None:
            seen[-1] = seen[-1]._replace(picture=overlaid(seen[-1].picture, over))
    return seen
