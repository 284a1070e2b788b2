"""Stacks in a buffer that stores each frame once, where other libraries forbid it or go wrong.

A frame shows its number: 1, 2, 3, … within an episode, from 101 on in the next one. Every
expected stack is written out by hand.
"""

import jax
import numpy as np
import pytest

from frankrl.core.types import Steps
from frankrl.replay import EndingRoom, PrioritisedSampler, ReplayBuffer, UniformSampler

GAMMA, STACK = 0.5, 3
SAMPLERS = {
    "uniform": UniformSampler(2),
    "prioritised": PrioritisedSampler(2, exponent=1.0, epsilon=0.5, beta=0.4, beta_ticks=100),
}


def frames(numbers):
    return np.array(numbers, np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)


def filled(numbers, following, *, n_step=1, num_envs=1, ends=(), sampler="uniform"):
    """A buffer with steps seen one after the other.

    Args:
        numbers: the frame seen at each step.
        following: the frames that the environments show after the last step.
        ends: (step, its last frame, whether it terminated) for the steps that end an episode.
    """
    buffer = ReplayBuffer(20, num_envs, n_step, GAMMA, SAMPLERS[sampler], STACK)
    state = buffer.init(jax.ShapeDtypeStruct((2, 2), np.uint8), None, 4)
    count, last = len(numbers), np.zeros(len(numbers), np.uint8)
    is_last, terminated = np.zeros((2, count), np.bool_)
    for place, (step, frame, terminates) in enumerate(ends):
        is_last[step], terminated[step], last[place] = True, terminates, frame
    steps = Steps(
        observation=frames([*numbers, *following]),
        mask=None,
        action=np.zeros(count, np.uint16),
        reward=np.ones(count, np.float32),
        is_last=is_last,
        terminated=terminated,
        last_observation=frames(last),
        last_mask=None,
    )
    assert EndingRoom(buffer, state).grown_to(is_last) == 0
    state = jax.jit(buffer.add)(state, steps)
    first, end = buffer.drawable(count)
    found = jax.jit(buffer.read)(state, np.arange(first, end, dtype=np.uint32))
    return [
        (one[:, 0, 0].tolist(), other[:, 0, 0].tolist(), float(reward), float(discount))
        for one, other, reward, discount in zip(
            np.asarray(found.observation),
            np.asarray(found.next_observation),
            found.reward,
            found.discount,
            strict=True,
        )
    ]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_time_limit_keeps_the_true_last_frame_and_its_future(sampler):
    """CleanRL's replay takes the frame after the reset, Tianshou's the frame before; Dopamine's
    lets no truncated step be drawn, or takes it for a terminal one."""
    found = filled([1, 2, 3, 101, 102], [103], ends=[(2, 4, False)], sampler=sampler)
    assert found == [
        ([0, 0, 1], [0, 1, 2], 1.0, GAMMA),
        ([0, 1, 2], [1, 2, 3], 1.0, GAMMA),
        ([1, 2, 3], [2, 3, 4], 1.0, GAMMA),
        ([0, 0, 101], [0, 101, 102], 1.0, GAMMA),
        ([0, 101, 102], [101, 102, 103], 1.0, GAMMA),
    ]


def test_a_terminal_state_has_no_future():
    found = filled([1, 2, 101], [102], ends=[(1, 3, True)])
    assert found[1] == ([0, 1, 2], [1, 2, 3], 1.0, 0.0)
    assert found[2] == ([0, 0, 101], [0, 101, 102], 1.0, GAMMA)


def test_n_steps_end_with_their_episode():
    """Stable-Baselines3 forbids n-step returns and time limits with its memory-saving buffer."""
    found = filled([1, 2, 3, 101, 102, 103], [104], n_step=3, ends=[(2, 4, False)])
    assert found == [
        ([0, 0, 1], [2, 3, 4], 1.75, GAMMA**3),
        ([0, 1, 2], [2, 3, 4], 1.5, GAMMA**2),
        ([1, 2, 3], [2, 3, 4], 1.0, GAMMA),
        ([0, 0, 101], [102, 103, 104], 1.75, GAMMA**3),
    ]


def test_frames_of_several_environments_do_not_mix():
    """CleanRL's scripts take one environment only."""
    found = filled([1, 11, 2, 12, 3, 101], [4, 102], num_envs=2, ends=[(3, 13, False)])
    assert found == [
        ([0, 0, 1], [0, 1, 2], 1.0, GAMMA),
        ([0, 0, 11], [0, 11, 12], 1.0, GAMMA),
        ([0, 1, 2], [1, 2, 3], 1.0, GAMMA),
        ([0, 11, 12], [11, 12, 13], 1.0, GAMMA),
        ([1, 2, 3], [2, 3, 4], 1.0, GAMMA),
        ([0, 0, 101], [0, 101, 102], 1.0, GAMMA),
    ]
