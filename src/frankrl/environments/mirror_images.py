"""Rows and steps of an environment as plain numbers, and their mirror images by a symmetry."""

import numpy as np
from jaxtyping import Float, Shaped

from frankrl.environments.checked_env import EnvStep
from frankrl.environments.leaves import leaves_in
from frankrl.environments.spec import EnvironmentSpec
from frankrl.environments.symmetry import Symmetry


def numbers_of(
    spec: EnvironmentSpec, row: Shaped[np.ndarray, "*row"], step: EnvStep | None = None
) -> Float[np.ndarray, " fact"]:
    """The components of an observation, its action mask, then reward and both ends of the step
    that led to it; zeros for a first observation."""
    parts = [leaf.ravel() for leaf in leaves_in(row, len(spec.leaves))]
    mask = spec.action_mask(row)
    ends = (0.0, 0.0, 0.0) if step is None else (step.reward, step.terminated, step.truncated)
    return np.concatenate([*parts, () if mask is None else mask, ends]).astype(np.float64)


def image_of(
    spec: EnvironmentSpec, symmetry: Symmetry, row: Shaped[np.ndarray, "*row"]
) -> Shaped[np.ndarray, "*row"]:
    """The mirror image of a row, with its action mask."""
    image = np.array(row)
    targets, sources = (leaves_in(one, len(spec.leaves)) for one in (image, row))
    for own, target, source in zip(symmetry.leaves, targets, sources, strict=True):
        target[...] = own.image(source, source.ndim)
    mask, new_mask = spec.action_mask(row), spec.action_mask(image)
    if mask is not None and new_mask is not None:
        new_mask[list(symmetry.actions)] = mask
    return image


def fact_names(spec: EnvironmentSpec) -> list[str]:
    """Names of the numbers of `numbers_of`."""
    masked = spec.action_names if spec.is_masked else ()
    components = [name or "the observation" for name in spec.component_names]
    return [
        *components,
        *(f"whether {name} is allowed" for name in masked),
        *("the reward", "whether the episode terminates", "whether it is truncated"),
    ]


def random_action(
    spec: EnvironmentSpec, row: Shaped[np.ndarray, "*row"], random: np.random.Generator
) -> int:
    """An allowed action, each with the same probability."""
    mask = spec.action_mask(row)
    return int(random.choice(spec.num_actions if mask is None else np.flatnonzero(mask)))
