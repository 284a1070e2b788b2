"""pygame, without a window."""

import importlib
import os
import warnings
from typing import Any

from frankrl.core.errors import EnvironmentUnusableError


def load_pygame() -> Any:
    """pygame with its fonts initialised and without a window.

    Call it before an environment renders: pygame may be set up only once, and looks for a window
    system unless it is told that there is none.

    Raises:
        EnvironmentUnusableError: it is not installed.
    """
    for name in ("SDL_VIDEODRIVER", "SDL_AUDIODRIVER"):
        os.environ.setdefault(name, "dummy")
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pygame = importlib.import_module("pygame")
    except ImportError as error:
        raise EnvironmentUnusableError(
            "films are drawn with pygame, which is not installed; install it with: "
            "pip install pygame-ce"
        ) from error
    pygame.font.init()
    return pygame
