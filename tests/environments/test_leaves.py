"""Observations of any space come out as their leaves, and errors name the leaf."""

import contextlib

import gymnasium
import jax
import numpy as np
import probe_envs  # noqa: F401 - registers environments
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profile import examples

from frankrl.core.errors import EnvironmentFailedError, EnvironmentUnusableError
from frankrl.core.types import Scaling
from frankrl.environments import CheckedEnv, GymnasiumVector, Leaf, describe

F32 = np.float32


class Given(gymnasium.Env):
    """Gives the observations that it is told to, the last one for ever."""

    action_space = spaces.Discrete(2)

    def __init__(self, space: spaces.Space, observations=(None,)) -> None:
        self.observation_space, self.observations, self.next = space, list(observations), 0

    def reset(self, *, seed=None, options=None):
        self.next = 0
        return self._following(), {}

    def step(self, action):
        return self._following(), 0.0, False, False, {}

    def _following(self):
        self.next += 1
        return self.observations[min(self.next, len(self.observations)) - 1]


gymnasium.register("Given-v0", Given)


def described(space):
    return describe("Given-v0", {"space": space})


def rows_of(space, *observations):
    """A specification, and what an environment's observations become."""
    spec = describe("Given-v0", {"space": space, "observations": observations})
    with contextlib.closing(CheckedEnv(spec)) as env:
        rows = [env.reset(0, 0)] + [env.step(0)[0] for _ in observations[1:]]
    return spec, rows


def stored(space, observation):
    spec, (row,) = rows_of(space, observation)
    return spec.observation(row)


shapes = st.lists(st.integers(1, 3), max_size=2).map(tuple)
counts = st.lists(st.integers(1, 4), min_size=1, max_size=3)
boxes = st.one_of(
    st.builds(
        lambda shape, dtype: spaces.Box(-3, 3, shape, dtype),
        shapes,
        st.sampled_from([np.float32, np.float64, np.int64, np.int8, np.float16]),
    ),
    st.builds(lambda shape, high: spaces.Box(0, high, shape, np.uint8), shapes, st.just(255)),
    st.builds(lambda shape: spaces.Box(0, 1, shape, np.bool_), shapes),
    st.builds(lambda shape: spaces.Box(-np.inf, np.inf, shape, np.float32), shapes),
)
starts = st.integers(-2, 2)
numbered = st.one_of(
    st.builds(
        lambda n, start: spaces.Discrete(n, start=start), st.integers(1, 5), st.integers(-2, 2)
    ),
    counts.flatmap(
        lambda nvec: st.lists(starts, min_size=len(nvec), max_size=len(nvec)).map(
            lambda start: spaces.MultiDiscrete(nvec, start=start)
        )
    ),
    st.builds(spaces.MultiBinary, st.integers(1, 3) | st.just((2, 2))),
)
names = st.text("abz_ é", min_size=1, max_size=3)
any_space = st.recursive(
    boxes | numbered,
    lambda inner: st.one_of(
        st.dictionaries(names, inner, min_size=1, max_size=3).map(spaces.Dict),
        st.lists(inner, min_size=1, max_size=3).map(spaces.Tuple),
    ),
    max_leaves=5,
)


def as_stored(space, sample):
    """The tree of leaves, by the table in the documentation."""
    if isinstance(space, spaces.Dict):
        return {name: as_stored(space[name], sample[name]) for name in space}
    if isinstance(space, spaces.Tuple):
        return tuple(as_stored(*pair) for pair in zip(space.spaces, sample, strict=True))
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        return np.asarray(np.asarray(sample) - space.start, np.int32)
    if isinstance(space, spaces.MultiBinary) or space.dtype in (np.uint8, np.bool_):
        return np.asarray(sample, np.uint8)
    return np.asarray(sample, np.float32)


def one_hot(leaf, value):
    if leaf.num_values is None:
        return np.ravel(value)
    pairs = zip(leaf.num_values, np.ravel(value), strict=True)
    return np.concatenate([np.eye(count)[index] for count, index in pairs])


@examples(100)
@given(any_space, st.integers(0, 2**31 - 1))
def test_an_observation_comes_out_leaf_by_leaf_as_it_went_in(space, seed):
    space.seed(seed)
    samples = [space.sample() for _ in range(3)]
    spec, rows = rows_of(space, *samples)
    for sample, row in zip(samples, rows, strict=True):
        assert (row.shape, row.dtype) == (spec.row_shape, spec.row_dtype)
        found, expected = spec.observation(row), as_stored(space, sample)
        assert jax.tree.structure(found) == jax.tree.structure(expected)
        leaves = jax.tree.leaves(found)
        for leaf, value, wanted in zip(spec.leaves, leaves, jax.tree.leaves(expected), strict=True):
            assert (value.shape, value.dtype) == (wanted.shape, wanted.dtype)
            assert (leaf.shape, leaf.dtype) == (wanted.shape, wanted.dtype)
            np.testing.assert_array_equal(value, wanted)
        flat = [one_hot(*pair) for pair in zip(spec.leaves, leaves, strict=True)]
        expected_flat = np.asarray(spaces.flatten(space, sample)).astype(np.float32)
        np.testing.assert_array_equal(np.concatenate(flat), np.ravel(expected_flat))


@examples(100)
@given(any_space)
def test_leaves_are_named_by_their_paths_in_the_order_of_jax(space):
    spec = described(space)
    numbers = jax.tree_util.tree_flatten_with_path(as_stored(space, space.sample()))[0]
    paths = [".".join(str(getattr(k, "key", getattr(k, "idx", ""))) for k in p) for p, _ in numbers]
    assert [leaf.name for leaf in spec.leaves] == paths


@examples(100)
@given(any_space, st.integers(0, 2**31 - 1))
def test_rows_of_a_batch_give_views_with_leading_axes(space, seed):
    space.seed(seed)
    samples = [space.sample() for _ in range(6)]
    spec, rows = rows_of(space, *samples)
    batch = np.stack(rows)
    assert batch.shape == (6, *spec.row_shape)
    together = spec.observation(batch.reshape(2, 3, *spec.row_shape))
    assert spec.action_mask(batch) is None
    for leaf, found, *expected in zip(
        spec.leaves,
        jax.tree.leaves(together),
        *(jax.tree.leaves(as_stored(space, sample)) for sample in samples),
        strict=True,
    ):
        assert np.shares_memory(found, batch)
        np.testing.assert_array_equal(found, np.stack(expected).reshape(2, 3, *leaf.shape))


@examples(100)
@given(any_space, st.integers(0, 2**31 - 1))
def test_a_row_is_made_of_its_numbers_alone(space, seed):
    space.seed(seed)
    spec, (row,) = rows_of(space, space.sample())
    leaves = jax.tree.leaves(spec.observation(row))
    assert row.tobytes() == b"".join(leaf.tobytes() for leaf in leaves)


@examples(100)
@given(any_space)
def test_leaves_compare_and_hash_by_value(space):
    first, again = described(space).leaves, described(space).leaves
    assert first == again
    assert hash(first) == hash(again)
    assert first[0] is not again[0]


def test_leaves_that_differ_in_anything_are_not_equal():
    leaf = described(spaces.Box(0, 255, (2, 2), np.uint8)).leaves[0]
    assert leaf == Leaf("", (2, 2), np.dtype(np.uint8), low=(0.0,), high=(255.0,))
    for other in (
        spaces.Box(0, 255, (4,), np.uint8),
        spaces.Box(0, 254, (2, 2), np.uint8),
        spaces.Box(0, 255, (2, 2), np.float32),
        spaces.MultiBinary((2, 2)),
        spaces.MultiDiscrete([[2, 2], [2, 2]]),
    ):
        assert described(other).leaves[0] != leaf


def test_a_lone_box_is_its_own_row():
    given_array = np.arange(4, dtype=F32)
    spec, (row,) = rows_of(spaces.Box(-9, 9, (4,), F32), given_array)
    assert (spec.row_dtype, spec.row_shape) == (np.float32, (4,))
    assert spec.observation(row) is row
    assert row is given_array


PARTS = spaces.Dict({"pos": spaces.Box(-1, 1, (2,), F32), "card": spaces.Discrete(3, start=1)})
BYTES = spaces.Box(0, 9, (2,), np.uint8)


@pytest.mark.parametrize(
    ("space", "observation", "expected"),
    [
        (spaces.Box(-1, 1, (2,), F32), np.array([0.1, 7.5]), np.array([0.1, 7.5], F32)),
        (spaces.Box(-1, 1, (2,), F32), [1, 2], np.array([1, 2], F32)),
        (spaces.Box(-1, 1, (2,), np.int32), np.array([3, 4]), np.array([3, 4], F32)),
        (spaces.Box(-1, 1, (), F32), np.float64(2.5), F32(2.5)),
        (BYTES, np.array([200.0, 3.0]), np.array([200, 3], np.uint8)),
        (BYTES, [True, False], np.array([1, 0], np.uint8)),
        (spaces.MultiBinary(2), [1.0, 0.0], np.array([1, 0], np.uint8)),
        (spaces.Discrete(3, start=1), np.uint8(3), np.int32(2)),
        (spaces.Discrete(3, start=1), 2.0, np.int32(1)),
        (spaces.MultiDiscrete([2, 3], start=[5, 0]), [6, 2], np.array([1, 2], np.int32)),
    ],
)
@pytest.mark.parametrize("where", ["alone", "dict", "tuple"])
def test_every_leaf_is_taken_leniently(space, observation, expected, where):
    if where == "alone":
        found = stored(space, observation)
    elif where == "dict":
        found = stored(spaces.Dict({"a": space}), {"a": observation, "more": "ignored"})["a"]
    else:
        found = stored(spaces.Tuple((space,)), [observation])[0]
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("space", "observation", "words"),
    [
        (PARTS, {"pos": [0, 0]}, "an observation without the entry 'card'"),
        (PARTS, {"pos": [0], "card": 1}, r"entry 'pos' of shape \(1,\); its space says \(2,\)"),
        (PARTS, {"pos": [0, 0], "card": 0}, "entry 'card' that holds 0, which its space does not"),
        (PARTS, {"pos": [0, 0], "card": 4}, "entry 'card' that holds 4, which its space does not"),
        (PARTS, {"pos": [0, 0], "card": 1.5}, "entry 'card' that is no whole number"),
        (PARTS, {"pos": [0, 0], "card": "ace"}, "entry 'card' that is no array of numbers"),
        (PARTS, {"pos": [0, np.nan], "card": 1}, r"'pos' that is not finite \(component 1 of 2\)"),
        (PARTS, {"pos": [1e39, 0], "card": 1}, r"'pos' that is not finite \(component 0 of 2\)"),
        (PARTS, {"pos": [[0], [1, 2]], "card": 1}, "entry 'pos' that is no array of numbers"),
        (PARTS, {"pos": [1j, 0], "card": 1}, "'pos' that is no array of numbers but of complex128"),
        (
            PARTS,
            {"pos": np.zeros(2, "datetime64[s]"), "card": 1},
            r"'pos' that is no array of numbers but of datetime64\[s\]",
        ),
        (PARTS, {"pos": [0, 0], "card": 10**30}, "entry 'card' that is no array of numbers"),
        (PARTS, [0, 0], "an observation that is no dict but list"),
        (spaces.Tuple((BYTES, BYTES)), np.array(3), "an observation that is no tuple of 2 parts"),
        (BYTES, [1.5, 2], "an observation that is no bytes"),
        (BYTES, [-1, 2], "an observation that is no bytes"),
        (spaces.Tuple((PARTS, BYTES)), ({}, [1, 2]), "an observation without the entry '0.card'"),
        (spaces.Tuple((PARTS, BYTES)), (7, [1, 2]), "an entry '0' that is no dict but int"),
        (spaces.Tuple((BYTES, BYTES)), ([1, 2],), "an observation that is no tuple of 2 parts"),
        (spaces.MultiDiscrete([2, 3]), [1, 3], "an observation that holds 3, which its space"),
    ],
)
def test_a_wrong_leaf_is_named_with_environment_episode_and_step(space, observation, words):
    place = r"environment 0 \(Given-v0\), episode 0, step 0 gave an observation"
    with pytest.raises(EnvironmentFailedError, match=f"^{place}") as caught:
        rows_of(space, observation)
    assert caught.match(words)


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (spaces.Text(5), "it is a Text"),
        (spaces.Sequence(BYTES), "it is a Sequence"),
        (spaces.Graph(BYTES, None), "it is a Graph"),
        (spaces.OneOf((BYTES, BYTES)), "it is a OneOf"),
        (spaces.Dict(a=spaces.Tuple((BYTES, spaces.Text(5)))), r"its entry 'a\.1' is a Text"),
        (spaces.Dict({1: BYTES}), "keys that are no strings"),
        (spaces.Discrete(2**40), "more values than an index of 32 bits"),
        (spaces.Tuple(()), "hold nothing"),
        (spaces.Dict({"a.b": BYTES, "a": spaces.Dict(b=BYTES)}), "two entries of the path 'a.b'"),
    ],
)
def test_a_space_without_fixed_numbers_is_refused_with_its_path(space, words):
    with pytest.raises(EnvironmentUnusableError, match=words):
        described(space)


def scaled(space, to_bounds, values):
    scaling = described(space).leaves[0].scaling(to_bounds=to_bounds)
    return (np.asarray(values, np.float64) - scaling.offset) * scaling.factor


def test_full_range_bytes_are_brought_to_one_and_others_left():
    picture = spaces.Box(0, 255, (2, 2), np.uint8)
    np.testing.assert_allclose(scaled(picture, False, [0, 51, 255]), [0, 0.2, 1])
    np.testing.assert_allclose(scaled(picture, True, [0, 127.5, 255]), [-1, 0, 1])
    np.testing.assert_array_equal(scaled(BYTES, False, [0, 5, 9]), [0, 5, 9])
    np.testing.assert_allclose(scaled(BYTES, True, [0, 9]), [-1, 1])


def test_only_bounds_that_mean_something_are_scaled_to():
    largest = np.finfo(F32).max
    low = np.array([-2, -largest, -np.inf, 0, -6e5, -5e5], F32)
    high = np.array([6, largest, 1, 0, 6e5, 5e5], F32)
    box = spaces.Box(low, high)
    values = [[-2, 3, 4, 5, 6, -5e5], [6, 3, 4, 5, 6, 5e5]]
    expected = [[-1, 3, 4, 5, 6, -1], [1, 3, 4, 5, 6, 1]]
    np.testing.assert_allclose(scaled(box, True, values), expected)
    np.testing.assert_array_equal(scaled(box, False, values), values)


@pytest.mark.parametrize("space", [spaces.Discrete(3), spaces.MultiBinary(3)])
@pytest.mark.parametrize("to_bounds", [False, True])
def test_indices_and_bits_are_not_scaled(space, to_bounds):
    assert described(space).leaves[0].scaling(to_bounds=to_bounds) == Scaling()


def test_every_part_of_a_structure_has_its_own_scaling():
    spec = described(spaces.Dict(a=spaces.Box(0, 255, (2,), np.uint8), b=spaces.Box(-4, 4, (1,))))
    assert [leaf.scaling(to_bounds=True).factor for leaf in spec.leaves] == [(2 / 255,), (0.25,)]


def test_components_are_named_by_leaf_and_number():
    spec = describe("FrankSpace-v0", {"observation": "nested"})
    assert [spec.leaf_component_names(leaf) for leaf in spec.leaves][:3] == [
        ("cards.0",),
        ("cards.1[0]", "cards.1[1]"),
        ("inner.bits[0]", "inner.bits[1]", "inner.bits[2]"),
    ]
    assert len(spec.component_names) == 1 + 2 + 3 + 2 + 12


def test_steps_of_several_environments_keep_the_structure():
    spec = describe("FrankSpace-v0", {"observation": "nested"})
    with contextlib.closing(GymnasiumVector(spec, 3, seed=0)) as vector:
        first = vector.observation
        step, _ = vector.step(np.array([0, 1, 0]), 0)
        logs, standing = vector.logs(), vector.observation.copy()
    np.testing.assert_array_equal(step.observation, first)
    seen = spec.observation(step.next_observation)
    assert seen["picture"].shape == (3, 2, 2, 3)
    assert seen["inner"]["speed"].dtype == np.float32
    assert seen["cards"][1].shape == (3, 2)
    with contextlib.closing(GymnasiumVector(spec, 3, seed=0)) as again:
        assert again.restore(logs) == []
        np.testing.assert_array_equal(again.observation, standing)
