"""A buffer that no run can have written is recognised; every buffer of a run passes."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from naive_replay import NUM_ACTIONS, World

from frankrl.replay import PrioritisedSampler, ReplayBuffer, fault_in, filled_part
from frankrl.replay.priorities import Priorities
from frankrl.replay.sum_tree import SumTree

MOST = 2**16 - 1
"""A number of actions that includes all those of this world."""
BUFFER = ReplayBuffer(20, 2, 3, 0.9, PrioritisedSampler(2, 1.0, 0.5, 0.4, 100))


@pytest.fixture(scope="module", params=[3, 40], ids=["filling", "full"])
def part(request):
    """The filled part of a buffer after some vector steps."""
    world = World(2, "dict", masked=True, seed=0)
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), world.observation(0)
    )
    state, add = BUFFER.init(shapes, NUM_ACTIONS, 64), jax.jit(BUFFER.add)
    for _ in range(request.param):
        state = add(state, world.steps([world.vector_step(0.4, 0.4)]))
    return filled_part(BUFFER, state)


def with_entry(array, index, value):
    changed = array.copy()
    changed[index] = value
    return changed


def with_level(part, number, index, value):
    levels = list(part.priorities.tree.levels)
    levels[number] = with_entry(levels[number], index, value)
    return replace(part, priorities=Priorities(SumTree(tuple(levels)), part.priorities.largest))


def test_what_a_run_has_written_passes(part):
    assert fault_in(BUFFER, part, MOST) is None


FIELDS = {
    "an action that does not exist": ("action", MOST),
    "a reward that is not finite": ("reward", np.nan),
    "an episode end of which it has no observation": ("ending", 2**31),
}


@pytest.mark.parametrize("words", FIELDS)
def test_one_wrong_entry_of_a_field_is_named(part, words):
    name, value = FIELDS[words]
    damaged = replace(part, **{name: with_entry(getattr(part, name), 2, value)})
    assert fault_in(BUFFER, damaged, MOST) == words


def test_ends_that_contradict_each_other_are_named(part):
    (first, *_), (running, *_) = np.flatnonzero(part.ending), np.flatnonzero(part.ending == 0)
    twice = replace(part, ending=with_entry(part.ending, running, part.ending[first]))
    assert fault_in(BUFFER, twice, MOST) == "one episode end twice"
    went_on = replace(part, terminated=with_entry(part.terminated, running, True))
    assert fault_in(BUFFER, went_on, MOST) == "a terminal state in the middle of an episode"
    assert fault_in(BUFFER, went_on, MOST, life_loss_terminates=True) is None


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_observation_that_is_not_finite_is_named(part, value):
    vector = with_entry(part.observation["vector"], (3, 0), value)
    damaged = replace(part, observation=part.observation | {"vector": vector})
    assert fault_in(BUFFER, damaged, MOST) == "an observation that is not finite"


def test_only_a_last_state_may_allow_no_action(part):
    damaged = replace(part, mask=with_entry(part.mask, 1, False))
    assert fault_in(BUFFER, damaged, MOST) == "a state in which no action is allowed"
    terminal = replace(part, mask=with_entry(part.mask, -1, False))
    assert fault_in(BUFFER, terminal, MOST) is None


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_a_priority_that_is_no_number_of_0_or_more_is_named(part, value):
    damaged = with_level(part, 0, (0, 1), value)
    expected = "a priority that is not a number of 0 or more"
    assert fault_in(BUFFER, damaged, MOST) == expected


def test_priorities_that_contradict_the_steps_are_named(part):
    without = with_level(part, 0, (0, 1), 0.0)
    assert fault_in(BUFFER, without, MOST) == "a transition with the priority 0"
    beyond = with_level(part, 0, (-1, -1), 1.0)
    expected = "the priority of a transition that it does not hold"
    assert fault_in(BUFFER, beyond, MOST) == expected
    above = with_level(part, 0, (0, 1), 1.5)
    assert fault_in(BUFFER, above, MOST) == "a priority above the largest"
    wrong_sum = with_level(part, 1, (0, 0), 7.5)
    assert fault_in(BUFFER, wrong_sum, MOST) == "a wrong sum of priorities"
