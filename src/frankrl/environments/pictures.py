"""Pictures of any Gymnasium environment, in grey and in another size."""

from typing import TypeGuard

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import GrayscaleObservation, ReshapeObservation, ResizeObservation

from frankrl.core.errors import EnvironmentUnusableError
from frankrl.environments.extras import imported
from frankrl.environments.preprocessing import Preprocessing

_CHANNELS = (1, 3, 4)


def with_prepared_pictures(
    env: gymnasium.Env, env_id: str, preprocessing: Preprocessing
) -> gymnasium.Env:
    """The environment with its pictures in grey and resized, as far as that is wanted.

    Raises:
        EnvironmentUnusableError: its observation is not one picture.
        MissingExtraError: OpenCV is not installed.
    """
    size, grayscale = preprocessing.resize, preprocessing.grayscale
    if size is None and not grayscale:
        return env
    space = env.observation_space
    setting = "grayscale on" if grayscale else f"resize {size}"
    if not _is_picture(space):
        raise EnvironmentUnusableError(
            f"{setting} needs observations that are one picture, uint8[height, width] or "
            f"uint8[height, width, channels] from 0 to 255, and {env_id} has {space}: leave it "
            "out, or wrap the environment so that it shows the picture alone"
        )
    if grayscale and len(space.shape) == 3:
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


def _is_picture(space: spaces.Space) -> TypeGuard[spaces.Box]:
    if not isinstance(space, spaces.Box) or space.dtype != np.uint8:
        return False
    has_form = len(space.shape) == 2 or (len(space.shape) == 3 and space.shape[2] in _CHANNELS)
    return has_form and bool(np.all(space.low == 0) and np.all(space.high == 255))
