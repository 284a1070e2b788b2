"""What happens to transitions at an episode's end, by hand: the mistakes that others have made.

One environment: the states of the first episode are 1, 2, 3 and, when time runs out, 4; those of
the second 11 and, when the world ends, 12; the third goes on from 21. Each step pays its state.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from frankrl.core.types import Steps
from frankrl.replay import ReplayBuffer, UniformSampler

GAMMA = 0.5
SEEN = [1, 2, 3, 11, 21, 22, 23, 24]
ENDS = {2: 4, 3: 12}
"""The last observation of the episode that ends with a step."""
COUNT = 4
"""Transitions that the two episodes make."""


def column(numbers):
    return np.array(numbers, np.float32)[:, None]


def transitions(n_step, *, terminated=(3,)):
    """Those of the first two episodes, added step by step."""
    buffer = ReplayBuffer(7, 1, n_step, GAMMA, UniformSampler(1))
    state = buffer.init(jax.ShapeDtypeStruct((1,), np.float32), None, 4)
    add = jax.jit(buffer.add)
    for number, seen in enumerate(SEEN[:-1]):
        steps = Steps(
            observation=column([seen, SEEN[number + 1]]),
            mask=None,
            action=np.array([seen]),
            reward=np.array([seen], np.float32),
            is_last=np.array([number in ENDS]),
            terminated=np.array([number in terminated]),
            last_observation=column([ENDS.get(number, 0)]),
            last_mask=None,
        )
        state = add(state, steps)
    read = jax.jit(buffer.read)
    return jax.tree.map(np.asarray, read(state, jnp.arange(COUNT, dtype=jnp.uint32)))


def test_one_step_transitions_of_the_two_episodes():
    found = transitions(1)
    np.testing.assert_array_equal(found.observation, column([1, 2, 3, 11]))
    np.testing.assert_array_equal(found.action, [1, 2, 3, 11])
    np.testing.assert_array_equal(found.reward, [1, 2, 3, 11])
    np.testing.assert_array_equal(found.next_observation, column([2, 3, 4, 12]))
    np.testing.assert_array_equal(found.discount, [0.5, 0.5, 0.5, 0])


def test_three_step_transitions_of_the_two_episodes():
    found = transitions(3)
    np.testing.assert_array_equal(found.observation, column([1, 2, 3, 11]))
    np.testing.assert_array_equal(found.reward, [1 + 2 / 2 + 3 / 4, 2 + 3 / 2, 3, 11])
    np.testing.assert_array_equal(found.next_observation, column([4, 4, 4, 12]))
    np.testing.assert_array_equal(found.discount, [1 / 8, 1 / 4, 1 / 2, 0])


@pytest.mark.parametrize("n_step", [1, 2, 3])
def test_a_time_limit_keeps_the_future_although_states_are_stored_once(n_step):
    """SB3's memory-saving buffer is forbidden with time limits and with n-step returns; Stoix,
    Rejax and PureJaxRL take a truncation for a termination."""
    found = transitions(n_step)
    ends_in_4 = np.ravel(found.next_observation) == 4
    assert ends_in_4.sum() == n_step
    assert (found.discount[ends_in_4] > 0).all()


@pytest.mark.parametrize("n_step", [1, 2, 3])
def test_no_transition_leads_to_the_first_state_of_another_episode(n_step):
    """CleanRL's Atari buffer gives the reset observation for s′ after a truncation."""
    found = transitions(n_step)
    assert not set(np.ravel(found.next_observation).tolist()) & {11, 21}


@pytest.mark.parametrize("n_step", [2, 3])
def test_no_reward_of_the_next_episode_is_summed(n_step):
    """CleanRL's Rainbow keeps its n-step queue over a truncation."""
    found = transitions(n_step)
    whole = sum(GAMMA**number * reward for number, reward in enumerate([2, 3][:n_step]))
    np.testing.assert_array_equal(found.reward[1:], [whole, 3, 11])


@pytest.mark.parametrize("n_step", [1, 2, 3])
def test_the_last_transition_of_an_episode_leads_away_from_its_state(n_step):
    """Tianshou bootstraps from s_t itself at an episode's end when it saves memory."""
    found = transitions(n_step)
    assert (found.next_observation != found.observation).all()
    np.testing.assert_array_equal(found.next_observation[2:], column([4, 12]))


def test_every_step_makes_one_transition_and_no_reset_makes_any():
    """AgileRL stores the steps from a last state to the next reset."""
    found = transitions(1)
    assert np.ravel(found.observation).tolist() == SEEN[:COUNT]
    assert not set(np.ravel(found.observation).tolist()) & set(ENDS.values())


@pytest.mark.parametrize("n_step", [1, 2, 3])
def test_where_time_runs_out_as_the_world_ends_there_is_no_future(n_step):
    found = transitions(n_step, terminated=(2, 3))
    ends = np.ravel(found.next_observation) == 4
    np.testing.assert_array_equal(found.discount[ends], np.zeros(n_step))
    assert (found.discount[~ends][:-1] > 0).all()


@pytest.mark.parametrize("n_step", [2, 3])
def test_a_lost_life_ends_a_transition_although_its_episode_goes_on(n_step):
    """The step from 2 costs a life: no reward after it is summed, and there is no future."""
    found = transitions(n_step, terminated=(1, 3))
    np.testing.assert_array_equal(found.reward, [1 + 2 / 2, 2, 3, 11])
    np.testing.assert_array_equal(found.next_observation, column([3, 3, 4, 12]))
    np.testing.assert_array_equal(found.discount, [0, 0, 1 / 2, 0])
