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
    spec: EnvironmentSpec, symmetry: Symmetry, rows: Shaped[np.ndarray, "*batch_and_row"]
) -> Shaped[np.ndarray, "*batch_and_row"]:
    """The mirror images of rows, with their action masks."""
    images = np.array(rows)
    targets, sources = (leaves_in(one, len(spec.leaves)) for one in (images, rows))
    for leaf, own, target, source in zip(
        spec.leaves, symmetry.leaves, targets, sources, strict=True
    ):
        target[...] = own.image(source, len(leaf.shape))
    masks, new_masks = spec.action_mask(rows), spec.action_mask(images)
    if masks is not None and new_masks is not None:
        new_masks[..., list(symmetry.actions)] = masks
    return images


def fact_names(spec: EnvironmentSpec) -> list[str]:
    """Names of the numbers of `numbers_of`."""
    masked = spec.action_names if spec.is_masked else ()
    components = [name or "the observation" for name in spec.component_names]
    return [
        *components,
        *(f"whether {name} is allowed" for name in masked),
        "the reward",
        "whether the episode terminates",
        "whether it is truncated",
    ]


def random_action(
    spec: EnvironmentSpec, row: Shaped[np.ndarray, "*row"], random: np.random.Generator
) -> int:
    """An allowed action, each with the same probability."""
    mask = spec.action_mask(row)
    return int(random.choice(spec.num_actions if mask is None else np.flatnonzero(mask)))
