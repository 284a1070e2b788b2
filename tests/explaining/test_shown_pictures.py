"""Pictures as `frank explain` shows them, and the saliency of their pixels."""

import base64
import re

import cv2
import jax
import numpy as np
import pytest
from long_forms import some_of
from small_networks import network_of, settings_of

import frankrl
from frankrl.cli.main import main as frank
from frankrl.config import Settings
from frankrl.core.errors import SettingError
from frankrl.core.types import Transition
from frankrl.environments import PictureAxes, describe, describe_for, picture_axes
from frankrl.environments.leaves import Leaf
from frankrl.explaining import origins, reopen
from frankrl.explaining.document import Document, Section
from frankrl.explaining.html import as_html
from frankrl.explaining.narrative import narrate
from frankrl.explaining.observations import state_blocks
from frankrl.explaining.pictures import PictureLeaf, overlaid, picture_leaves
from frankrl.explaining.png import png
from frankrl.explaining.saliency import check_pictures, saliency_map, value_gradients
from frankrl.explaining.text import as_text
from frankrl.runs import RunFolder

PONG = "ALE/Pong-v5"


def bytes_of(*shape, high=255.0):
    return Leaf("", shape, np.dtype(np.uint8), low=(0.0,), high=(high,))


def shown_as(leaf, stack=1):
    axes = picture_axes(leaf, stack)
    assert axes is not None
    return PictureLeaf(leaf, axes)


def noise(*shape, below=256):
    return np.random.default_rng(0).integers(0, below, shape, dtype=np.uint8)


def decoded(file):
    """The pixels of a PNG file, by OpenCV, which has blue first."""
    return cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]


def document(spec, state, after, ages, saliency=()):
    zeros = np.zeros(1, np.float32)
    batch = Transition(state[np.newaxis], zeros, zeros, after[np.newaxis], zeros)
    blocks = tuple(state_blocks(batch, 0, spec, ages, saliency))
    return Document("", "", (Section("", blocks),))


def said(*given):
    return [line.strip() for line in as_text(document(*given))[4:]]


def test_a_png_file_holds_the_same_pixels():
    pixels = noise(7, 5, 3)
    np.testing.assert_array_equal(decoded(png(pixels)), pixels)


@pytest.mark.parametrize("shape", [(9, 8), (9, 8, 1), (1, 9, 8)])
def test_grey_pictures_of_a_stack_stay_grey_and_the_oldest_comes_first(shape):
    shown, stack = shown_as(bytes_of(*shape), 3), noise(3, *shape)
    pictures = shown.in_colours(stack)
    assert pictures.shape == (3, 9, 8, 3)
    for picture, grey in zip(pictures, stack.reshape(3, 9, 8), strict=True):
        for channel in range(3):
            np.testing.assert_array_equal(picture[:, :, channel], grey)
    assert shown.names == ("2 steps earlier", "1 step earlier", "newest")


@pytest.mark.parametrize("first", [False, True])
def test_colours_stay(first):
    stack = noise(2, 9, 10, 3)
    shape, given = ((3, 9, 10), np.moveaxis(stack, 3, 1)) if first else ((9, 10, 3), stack)
    np.testing.assert_array_equal(shown_as(bytes_of(*shape), 2).in_colours(given), stack)


def test_pictures_stay_when_the_observation_changes_afterwards():
    """A stack of frames is overwritten by the next step."""
    observation = noise(8, 8, 3)
    before = observation.copy()
    (shown,) = shown_as(bytes_of(8, 8, 3)).in_colours(observation)
    observation[:] = 0
    np.testing.assert_array_equal(shown, before)


def test_a_stack_of_a_wrappers_own_is_shown_picture_by_picture():
    shown, stack = shown_as(bytes_of(4, 12, 12)), noise(4, 12, 12)
    np.testing.assert_array_equal(shown.in_colours(stack)[..., 0], stack)
    assert shown.names == ("channel 1", "channel 2", "channel 3", "channel 4")
    assert shown_as(bytes_of(4, 12, 12), 2).names[4] == "newest, channel 1"


def test_planes_of_bits_lie_over_each_other():
    shown, planes = shown_as(bytes_of(10, 10, 4, high=1.0)), noise(10, 10, 4, below=2)
    (picture,) = shown.in_colours(planes)
    tops = {}
    for row, column in np.ndindex(10, 10):
        there = np.flatnonzero(planes[row, column])
        top = there[-1] if len(there) else None
        tops.setdefault(top, set()).add(tuple(picture[row, column].tolist()))
    assert all(len(colours) == 1 for colours in tops.values())
    assert len(set.union(*tops.values())) == 5
    assert tops[None] == {(0, 0, 0)}
    assert shown.names == ("",)


def test_a_terminal_is_told_size_mean_padding_and_difference():
    spec = describe_for(PONG, Settings())
    before, after = np.zeros((2, 4, 84, 84), np.uint8)
    before[2:], after[1:] = 100, 100
    after[3, :2, :5] = 30
    mean = (100 * (84 * 84 - 10) + 30 * 10) / 84**2
    size = "4 pictures of 84 × 84 pixels in grey, mean of the newest"
    assert said(spec, before, after, (2, 3)) == [
        f"s = {size} 100; the oldest 2 stand before the start of the episode: zeros",
        f"s′ = {size} {mean:.4g}; the oldest 1 stands before the start of the episode: zeros",
        "the newest pictures of s and s′ differ in 10 of 7,056 pixels",
    ]
    assert said(spec, before, after, (7, 8))[0] == f"s = {size} 100"


def test_a_page_holds_the_pictures_of_both_states_and_loads_nothing():
    spec, state, after = describe_for(PONG, Settings()), noise(4, 84, 84), noise(4, 84, 84)
    after[0] = 7
    saliency = np.zeros((84, 84), np.float32)
    saliency[3, 5] = 1
    page = as_html(document(spec, state, after, (9, 10), [saliency]))
    files = re.findall(r'<img src="data:image/png;base64,([^"]+)" width="168" height="168"', page)
    assert page.count("<img") == len(files) == 4 + 1 + 4
    pictures = [decoded(base64.b64decode(file)) for file in files]
    for picture, grey in zip(pictures[:4] + pictures[5:], [*state, *after], strict=True):
        np.testing.assert_array_equal(picture[:, :, 1], grey)
    np.testing.assert_array_equal(pictures[4], overlaid(pictures[3], saliency))
    red, green, blue = pictures[4][3, 5].astype(int)
    assert red > green > blue
    assert (np.ptp(pictures[4], axis=2) > 0).sum() == 1
    assert "img-src data:" in page


STACKED = {
    "cartpole": (
        ("CartPole-v1", np.float32),
        ([[0, 0, 0, 0], [1, 2, 3, 4]], [[1, 2, 3, 4], [5, 6, 7, 8.5]]),
        (1, 2),
        [
            "s, newest                                 = position 1, speed 2, angle 3, "
            "angular speed 4",
            "s, 1 step earlier (before the start: zeros) = position 0, speed 0, angle 0, "
            "angular speed 0",
            "s′, newest                                = position 5, speed 6, angle 7, "
            "angular speed 8.5",
            "s′, 1 step earlier                        = position 1, speed 2, angle 3, "
            "angular speed 4",
        ],
    ),
    "lake": (
        ("FrozenLake-v1", np.int32),
        ([0, 0], [0, 4]),
        (1, 2),
        [
            "s, newest = 0 (row 0, column 0)",
            "s, 1 step earlier (before the start: zeros) = 0 (row 0, column 0)",
            "s′, newest = 4 (row 1, column 0)",
            "s′, 1 step earlier = 0 (row 0, column 0)",
        ],
    ),
}


@pytest.mark.parametrize("case", STACKED)
def test_stacked_states_are_told_one_by_one_the_newest_first(case):
    (env_id, dtype), states, ages, expected = STACKED[case]
    spec = describe_for(env_id, Settings().with_changes(frame_stack=2))
    lines = said(spec, *(np.array(state, dtype) for state in states), ages)
    assert [re.sub(r" +", " ", line) for line in lines] == [
        re.sub(r" +", " ", line) for line in expected
    ]


def test_stacked_states_of_several_numbered_parts_are_told_by_their_parts():
    spec = describe_for("Blackjack-v1", Settings().with_changes(frame_stack=2))
    states = [
        tuple(np.array(part, np.int32)[np.newaxis] for part in state)
        for state in (([0, 14], [0, 10], [0, 0]), ([14, 21], [10, 10], [0, 1]))
    ]
    zeros = np.zeros(1, np.float32)
    batch = Transition(states[0], zeros, zeros, states[1], zeros)
    blocks = tuple(state_blocks(batch, 0, spec, (1, 2)))
    lines = as_text(Document("", "", (Section("", blocks),)))[4:]
    told = [line.split("= ")[1] for line in lines]
    assert told == [
        "player 14, dealer 10, no ace",
        "player 0, dealer 0, no ace",
        "player 21, dealer 10, usable ace",
        "player 14, dealer 10, no ace",
    ]


@pytest.mark.slow
def test_what_stands_before_the_start_of_an_episode_is_said_for_every_transition(tmp_path):
    """CartPole's own states are never zero in all components."""
    frankrl.train(
        "CartPole-v1",
        preset="default",
        out=tmp_path / "run",
        frame_stack=3,
        n_step=2,
        num_envs=2,
        hidden_widths=(8,),
        total_env_steps=80,
        learning_starts_env_steps=40,
        final_evaluation_episodes=None,
    )
    folder = RunFolder.open(tmp_path / "run")
    opened = reopen(folder, 10)
    record, settings = opened.record, folder.description.settings
    came_from = origins(folder, settings, 0, record.transition_env_steps)
    counted = set()
    for index in range(len(record.losses)):
        lines = as_text(narrate(record, came_from, index, opened.spec, settings, ""))
        for label, states in (
            ("s", record.batch.observation[index]),
            ("s′", record.batch.next_observation[index]),
        ):
            zeros = int((~states.any(axis=1)).sum())
            told = [line for line in lines if line.startswith(f"   {label}, ")]
            assert len(told) == 3
            assert sum("before the start: zeros" in line for line in told) == zeros
            counted.add((label, zeros))
    assert {("s", 2), ("s", 1), ("s", 0), ("s′", 0)} <= counted


NETWORKS = [(kind, stack) for kind in ("mean", "c51", "iqn", "gru") for stack in (1, 2)]


@pytest.mark.parametrize(
    ("kind", "stack"), some_of(NETWORKS, [("mean", 1), ("iqn", 2), ("gru", 2)])
)
def test_the_gradient_of_the_value_is_that_of_a_finite_difference(kind, stack):
    """Each pixel a little brighter and a little darker, in a network that is smooth."""
    smooth = {"torso": "minatar", "activation": "tanh", "hidden_widths": (8,)}
    settings = settings_of("mean", **smooth, memory="gru", memory_units=9)
    if kind != "gru":
        settings = settings_of(kind, **smooth)
    network = network_of(settings, bytes_of(8, 8, 2), frame_stack=stack)
    params = network.init(4)
    shape = (stack, 8, 8, 2) if stack > 1 else (8, 8, 2)
    pixels = noise(1, *shape, below=240) + np.uint8(8)
    mask = np.array([[True, True, False, True]])
    memory = None
    if kind == "gru":
        memory = np.random.default_rng(3).uniform(-1, 1, (1, 9)).astype(np.float32)
    (found,) = value_gradients(network, (0,), params, pixels, mask, memory)
    assert found.dtype == np.float32
    steps = 8 * np.eye(pixels.size, dtype=np.uint8).reshape(-1, *shape)
    masks = mask.repeat(len(steps), axis=0)
    each = None if memory is None else memory.repeat(len(steps), axis=0)
    brighter, darker = (
        network.q_step(params, moved, masks, each)[0].max(axis=1)
        for moved in (pixels + steps, pixels - steps)
    )
    expected = (brighter - darker) / 16
    largest = np.abs(expected).max()
    np.testing.assert_allclose(np.ravel(found), expected, rtol=0.01, atol=0.01 * largest)


def test_only_the_named_leaves_are_differentiated():
    leaves = (bytes_of(8, 8, 2), Leaf("speed", (3,), np.dtype(np.float32)))
    network = network_of(settings_of(torso="minatar"), *leaves)
    observation = (noise(1, 8, 8, 2), np.ones((1, 3), np.float32))
    (found,) = value_gradients(network, (0,), network.init(0), observation)
    assert found.shape == (1, 8, 8, 2)
    assert jax.tree.leaves(observation)[0].dtype == np.uint8


def test_a_map_is_the_sum_over_the_newest_channels_up_to_its_99th_percentile():
    axes = PictureAxes.of((20, 10, 3), 2)
    assert axes is not None
    gradient = np.random.default_rng(1).normal(size=(2, 20, 10, 3))
    gradient[1, 4, 4] = 1e6
    expected = np.array(
        [[sum(abs(gradient[1, y, x, c]) for c in range(3)) for x in range(10)] for y in range(20)]
    )
    ranked = np.sort(expected.ravel())
    # 99 % of the 199 gaps between 200 sorted pixels.
    full = ranked[197] + 0.01 * (ranked[198] - ranked[197])
    np.testing.assert_allclose(saliency_map(axes, gradient), np.minimum(expected / full, 1))


def test_a_map_of_few_or_no_pixels_is_scaled_to_its_largest_or_stays_zero():
    axes = PictureAxes.of((20, 20), 1)
    assert axes is not None
    gradient = np.zeros((20, 20), np.float32)
    assert not saliency_map(axes, gradient).any()
    gradient[2, 3], gradient[5, 5] = -8, 2
    found = saliency_map(axes, gradient)
    assert (found[2, 3], found[5, 5], found.sum()) == (1, 0.25, 1.25)


def test_saliency_is_refused_where_there_is_no_picture():
    assert not picture_leaves(describe("CartPole-v1", {}))
    with pytest.raises(SettingError, match=r"^--saliency .* CartPole-v1 hold no picture: leave"):
        check_pictures(describe("CartPole-v1", {}))
    check_pictures(describe("MinAtar/Breakout-v1", {}))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "--update", "1", "--saliency"], "give --html FILE with it"),
        (["--saliency", "--html", "x.html"], "--saliency need a run"),
    ],
)
def test_saliency_without_a_page_or_a_run_is_refused(words, expected, capsys, tmp_path):
    assert frank(["explain", *words]) == 2
    assert expected in capsys.readouterr().err
