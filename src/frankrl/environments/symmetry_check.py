"""Checks that declared symmetries hold, by playing an environment beside its mirror image."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from gymnasium.utils import seeding
from jaxtyping import Float

from frankrl.core.errors import SettingError
from frankrl.core.figures import figure
from frankrl.environments.checked_env import CheckedEnv
from frankrl.environments.functional import functional_of
from frankrl.environments.known_symmetries import MirrorDraw
from frankrl.environments.mirror_images import fact_names, image_of, numbers_of, random_action
from frankrl.environments.spec import EnvironmentSpec
from frankrl.environments.symmetry import Symmetry
from frankrl.environments.symmetry_averages import different_averages
from frankrl.environments.symmetry_states import different_steps

_MAX_STEPS, _MAX_EPISODE_STEPS = 200, 50
"""Steps of all episodes together, and of each, that are played beside a mirror image."""
_MAX_NUMBERS = 4_000_000
"""Most components of observations that are held for that."""
_TOLERANCE = 0.03
"""Largest difference of mirror images, as a share of the largest value seen. In LunarLander, which
computes in float32, they differ by up to 0.015 after 50 steps."""


class _Moment(NamedTuple):
    """What an environment and its mirror image show at the same moment."""

    place: str
    expected: Float[np.ndarray, " fact"]
    """The mirror image of what the environment shows."""
    found: Float[np.ndarray, " fact"]
    """What the mirrored environment shows."""


class MirroredDraws:
    """A random generator whose draws are the mirror images of those of another one."""

    def __init__(self, generator: np.random.Generator, mirror: Callable[[int, Any], Any]) -> None:
        """Begin with the first draw.

        Args:
            generator: makes the draws.
            mirror: from the number of a draw, from 0, and its value to the mirror image.
        """
        self._generator, self._mirror, self._number = generator, mirror, 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._generator, name)
        if not callable(method):
            return method

        def drawn(*args: Any, **kwargs: Any) -> Any:
            value = method(*args, **kwargs)
            self._number += 1
            return self._mirror(self._number - 1, value)

        return drawn


def check_symmetries(spec: EnvironmentSpec) -> None:
    """Refuse an environment that does not keep a symmetry that it declares.

    Raises:
        SettingError: a symmetry does not hold; the message says where.
        FrankError: the environment fails.
    """
    if broken := broken_symmetry(spec):
        raise SettingError(
            f"{broken}; leave symmetry out, or correct what the environment declares, see "
            "docs/symmetry.md"
        )


def broken_symmetry(spec: EnvironmentSpec) -> str:
    """Hold an environment against its mirror image, for each symmetry that it declares.

    A functional environment with a method `mirror_state` is stepped from states and from their
    mirror images. Another one with a method `mirror_draw` is played beside its mirror image, step
    for step. Else averages over random episodes are compared with those over their images.

    Returns:
        Which symmetry does not hold, and where; empty: all hold.

    Raises:
        FrankError: the environment fails.
    """
    functional = functional_of(spec) if spec.symmetries else None
    mirror_state = getattr(functional, "mirror_state", None)
    for index, symmetry in enumerate(spec.symmetries):
        if functional is not None and mirror_state is not None:
            why = different_steps(spec, symmetry, index, functional, mirror_state)
        else:
            why = _by_playing(spec, symmetry, index)
        if why:
            name = f"its symmetry {symmetry.name!r}" if symmetry.name else "its symmetry"
            return f"{spec.env_id} does not keep {name}: {why}"
    return ""


def _by_playing(spec: EnvironmentSpec, symmetry: Symmetry, index: int) -> str:
    """In what an ordinary environment differs from its mirror image; empty: in nothing."""
    with contextlib.closing(CheckedEnv(spec)) as env:
        mirror_draw = env.mirror_draw
        if mirror_draw is None:
            return different_averages(spec, symmetry, env)
        with contextlib.closing(CheckedEnv(spec)) as mirror:
            moments = list(_moments(symmetry, index, env, mirror, mirror_draw))
        return _difference(spec, moments)


def _moments(
    symmetry: Symmetry, index: int, env: CheckedEnv, mirror: CheckedEnv, mirror_draw: MirrorDraw
) -> Iterator[_Moment]:
    """Random episodes of an environment, and the same ones of its mirror image."""
    spec, random, episode = env.spec, np.random.default_rng(0), 0
    size = sum(leaf.size for leaf in spec.leaves)
    left = min(_MAX_STEPS, max(1, _MAX_NUMBERS // max(size, 1)))
    while left > 0:
        row = env.reset(episode, episode)
        draws, _ = seeding.np_random(episode)
        mirror.draw_from(
            MirroredDraws(draws, lambda number, drawn: mirror_draw(index, number, drawn))
        )
        other = mirror.reset(None, episode)
        expected = numbers_of(spec, image_of(spec, symmetry, row))
        yield _Moment(env.place(), expected, numbers_of(spec, other))
        for _ in range(min(left, _MAX_EPISODE_STEPS)):
            action = random_action(spec, row, random)
            step, found = env.step(action), mirror.step(symmetry.actions[action])
            row = step.row
            expected = numbers_of(spec, image_of(spec, symmetry, row), step)
            yield _Moment(env.place(), expected, numbers_of(spec, found.row, found))
            left -= 1
            if any(one.terminated or one.truncated for one in (step, found)):
                break
        left, episode = left - 1, episode + 1


def _difference(spec: EnvironmentSpec, moments: list[_Moment]) -> str:
    """Where an environment and its mirror image differ first, in words; empty: nowhere."""
    expected = np.stack([moment.expected for moment in moments])
    found = np.stack([moment.found for moment in moments])
    allowed = _TOLERANCE * np.abs(expected).max(axis=0)
    kinds = [np.full(leaf.size, leaf.dtype.kind == "f") for leaf in spec.leaves]
    is_whole = ~np.concatenate(kinds)
    allowed[: len(is_whole)][is_whole] = 0
    differs = ~(np.abs(expected - found) <= allowed)
    if not differs.any():
        return ""
    step, fact = np.argwhere(differs)[0]
    return (
        f"{fact_names(spec)[fact]} should be {figure(float(expected[step, fact]))} in the mirror "
        f"image of {moments[step].place}, and is {figure(float(found[step, fact]))}"
    )
