"""Data sets of random content, and a file of them that can be changed in any way."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from gymnasium import spaces

from frankrl.datasets import DataEpisode, DataSetDescription, write_dataset

NAME = "made/up-v3"
VECTOR = spaces.Box(np.array([-1, -np.inf]), np.array([np.inf, 5]), (2,), np.float64)
MIXED = spaces.Dict(
    {
        "camera": spaces.Box(0, 255, (40, 36, 3), np.uint8),
        "inner": spaces.Dict(
            {
                "bits": spaces.MultiBinary(5),
                "room": spaces.Discrete(4, start=-1),
                "speed": spaces.Box(-3, 3, (2,), np.float16),
            }
        ),
        "pair": spaces.Tuple(
            [spaces.Box(-9, 9, (2, 2), np.int32), spaces.Box(0, 1, (3,), np.bool_)]
        ),
    }
)
SPACES = {
    "vector": VECTOR,
    "mixed": MIXED,
    "number": spaces.Discrete(500, start=3),
    "numbers": spaces.MultiDiscrete([3, 4], start=[0, -2]),
    "grid": spaces.MultiBinary((2, 3)),
    "tuple": spaces.Tuple([spaces.Discrete(3), VECTOR]),
    "lone number": spaces.Box(-1, 1, (), np.float32),
    "picture": spaces.Box(0, 255, (84, 84), np.uint8),
}


def described(space: spaces.Space = VECTOR, actions: int = 4, start: int = 2) -> DataSetDescription:
    return DataSetDescription(space, spaces.Discrete(actions, start=start), "CartPole-v1")


def random_episodes(
    description: DataSetDescription, count: int, *, masked: bool = False, seed: int = 0
) -> list[DataEpisode]:
    """Episodes of different lengths, which terminate, are truncated, or both."""
    random = np.random.default_rng(seed)
    description.observation_space.seed(seed)
    return [_episode(description, random, number, masked) for number in range(count)]


def _episode(
    description: DataSetDescription, random: np.random.Generator, number: int, masked: bool
) -> DataEpisode:
    actions, steps = description.action_space, int(random.integers(1, 9))
    states = [description.observation_space.sample() for _ in range(steps + 1)]
    return DataEpisode(
        observations=jax.tree.map(lambda *parts: np.stack(parts), *states),
        actions=random.integers(actions.n, size=steps) + actions.start,
        rewards=random.normal(size=steps),
        terminated=number % 3 != 1,
        truncated=number % 3 != 0,
        masks=random.random((steps + 1, int(actions.n))) < 0.5 if masked else None,
        seed=None if number % 2 else 7 * number,
    )


def made(folder: Path, **how: Any) -> Path:
    """The files of a small data set."""
    description = described(**how)
    return write_dataset(NAME, folder, description, random_episodes(description, 3)) / "data"


def set_metadata(data: Path, **changes: Any) -> None:
    """Change entries of the metadata; an entry that is to be None is removed."""
    path = data / "metadata.json"
    found = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: part for name, part in found.items() if part is not None}))


def assert_same_episode(found: DataEpisode, expected: DataEpisode) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert np.asarray(one).dtype == np.asarray(other).dtype
        np.testing.assert_array_equal(one, other)
