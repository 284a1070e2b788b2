"""Compares averages over random episodes with those over their mirror images."""

import numpy as np
from jaxtyping import Float, Int, Shaped

from frankrl.environments.checked_env import CheckedEnv
from frankrl.environments.functional import is_functional
from frankrl.environments.leaves import leaves_in
from frankrl.environments.mirror_images import image_of, random_action
from frankrl.environments.spec import EnvironmentSpec
from frankrl.environments.symmetry import Symmetry

_EPISODES, _MAX_STEPS = 64, 100
_FLIPS = 2_000
"""Draws of a sign for each episode: of declared symmetries that hold, one in so many is refused."""
_MAX_COMPONENTS = 64
"""Most components whose products with what a step changes are compared."""
_MAX_VALUES = 64
"""Most values of a numbered value each of which counts by itself."""


def different_averages(spec: EnvironmentSpec, symmetry: Symmetry, env: CheckedEnv) -> str:
    """In what random episodes differ from their mirror images, in words; empty: in nothing.

    For each action, the changes of the components, the rewards and the terminations are summed
    over an episode, by themselves and multiplied by each component. If the symmetry holds and
    episodes begin on both sides alike, an episode and its image are equally likely, so the
    difference of their sums is as likely as its opposite. The largest mean difference is compared
    with those that arise where each episode's sign is drawn at random.

    Raises:
        FrankError: the environment fails.
    """
    random = np.random.default_rng(0)
    differences = np.stack(
        [_episode_difference(spec, symmetry, env, random, episode) for episode in range(_EPISODES)]
    )
    size = np.sqrt(np.square(differences).sum(axis=0))
    differences = differences / np.where(size > 0, size, 1)
    signs = random.choice((-1.0, 1.0), (_FLIPS, _EPISODES))
    found, by_chance = np.abs(differences.sum(axis=0)), np.abs(signs @ differences).max()
    if found.max() <= by_chance:
        return ""
    action, what = _named(spec, int(found.argmax()))
    method = "mirror_state" if is_functional(spec) else "mirror_draw"
    return (
        f"after {action!r}, {what} in {_EPISODES} random episodes differs from that in their "
        "mirror images by more than chance makes it. If episodes only begin on one side more "
        f"often, give it a method {method}"
    )


def _episode_difference(
    spec: EnvironmentSpec,
    symmetry: Symmetry,
    env: CheckedEnv,
    random: np.random.Generator,
    episode: int,
) -> Float[np.ndarray, " figure"]:
    """The sums over a random episode, less those over its mirror image."""
    rows, actions, ends = [env.reset(episode, episode)], [], []
    while len(actions) < _MAX_STEPS:
        actions.append(random_action(spec, rows[-1], random))
        step = env.step(actions[-1])
        rows.append(step.row)
        ends.append((step.reward, step.terminated))
        if step.terminated or step.truncated:
            break
    seen, taken, outcomes = np.stack(rows), np.array(actions), np.array(ends, np.float64)
    mirrored = np.array(symmetry.actions)[taken]
    own = _sums(spec, seen, taken, outcomes)
    return own - _sums(spec, image_of(spec, symmetry, seen), mirrored, outcomes)


def _sums(
    spec: EnvironmentSpec,
    rows: Shaped[np.ndarray, "step+1 *row"],
    actions: Int[np.ndarray, " step"],
    ends: Float[np.ndarray, "step 2"],
) -> Float[np.ndarray, " figure"]:
    """The sums over an episode, in the order action, factor, outcome."""
    components = _components(spec, rows)
    outcomes = np.concatenate((np.diff(components, axis=0), ends), axis=1)
    factors = np.ones((len(actions), 1))
    if components.shape[1] <= _MAX_COMPONENTS:
        factors = np.concatenate((factors, components[:-1]), axis=1)
    taken = actions[:, None] == np.arange(spec.num_actions)
    return np.einsum("ta,tf,to->afo", taken, factors, outcomes).ravel()


def _components(
    spec: EnvironmentSpec, rows: Shaped[np.ndarray, "batch *row"]
) -> Float[np.ndarray, "batch component"]:
    """The components of rows; a numbered value with few values as one component for each."""
    parts = []
    for leaf, array in zip(spec.leaves, leaves_in(rows, len(spec.leaves)), strict=True):
        numbers = array.reshape(len(rows), -1)
        if leaf.num_values is None or max(leaf.num_values, default=0) > _MAX_VALUES:
            parts.append(numbers)
            continue
        parts += [
            numbers[:, [index]] == np.arange(count) for index, count in enumerate(leaf.num_values)
        ]
    return np.concatenate(parts, axis=1).astype(np.float64)


def _named(spec: EnvironmentSpec, index: int) -> tuple[str, str]:
    """The action and the outcome of one of the figures."""
    names = []
    for leaf in spec.leaves:
        own = [name or "the observation" for name in spec.leaf_component_names(leaf)]
        counts = leaf.num_values if leaf.num_values and max(leaf.num_values) <= _MAX_VALUES else ()
        for number, name in enumerate(own):
            names += [f"the change of {name}"] * (counts[number] if counts else 1)
    names += ["the reward", "the share of terminations"]
    per_action = (len(names) - 1 if len(names) - 2 <= _MAX_COMPONENTS else 1) * len(names)
    return spec.action_names[index // per_action], names[index % len(names)]
