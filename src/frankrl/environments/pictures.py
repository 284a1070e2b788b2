"""Pictures of any Gymnasium environment, in grey and in another size."""

from typing import TypeGuard

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import GrayscaleObservation, ReshapeObservation, ResizeObservation

from frankrl.core.errors import EnvironmentUnusableError
from frankrl.environments.extras import imported
from frankrl.environments.leaves import leaves_of
from frankrl.environments.picture_axes import picture_axes
from frankrl.environments.preprocessing import Preprocessing

_CHANNELS = (1, 3, 4)


def with_prepared_pictures(
    env: gymnasium.Env, env_id: str, preprocessing: Preprocessing
) -> gymnasium.Env:
    """The environment with its pictures in grey or resized; one of them at least is wanted.

    Raises:
        EnvironmentUnusableError: its observation is not one picture.
        MissingExtraError: OpenCV is not installed.
    """
    size, grayscale = preprocessing.resize, preprocessing.grayscale
    space = env.observation_space
    setting = "grayscale on" if grayscale else f"resize {size}"
    if not _is_prepared(space, env_id):
        channels = "3 colours" if grayscale else "1, 3 or 4 channels"
        raise EnvironmentUnusableError(
            f"{setting} needs observations that are one picture, uint8[height, width] or "
            f"uint8[height, width, channels] with {channels} from 0 to 255 and at least 8 × 8 "
            f"pixels, and {env_id} has {space}: leave it out, or wrap the environment so that it "
            "shows the picture alone"
        )
    if grayscale and space.shape[2:] not in ((), (1,)):
        if space.shape[2] != 3:
            raise EnvironmentUnusableError(
                f"grayscale on needs a picture of three colours, and {env_id} has {space}: leave "
                "it out"
            )
        env = GrayscaleObservation(env)
    if size is not None:
        imported("cv2", f"resize {size}", "opencv-python-headless", "pixels")
        env = ResizeObservation(env, (size, size))
        if space.shape[2:] == (1,):
            # Before 1.4 Gymnasium lost the axis of a single channel there.
            env = ReshapeObservation(env, (size, size, 1))
    return env


def _is_prepared(space: spaces.Space, env_id: str) -> TypeGuard[spaces.Box]:
    """Whether a space is that of one picture in a form that Gymnasium's wrappers take."""
    if not isinstance(space, spaces.Box) or space.dtype != np.uint8:
        return False
    (leaf,) = leaves_of(space, env_id)
    axes = picture_axes(leaf)
    if axes is None or (leaf.low, leaf.high) != ((0,), (255,)):
        return False
    return axes.order == tuple(range(len(space.shape))) and axes.channels in _CHANNELS
