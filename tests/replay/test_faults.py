"""A buffer that no run can have written is recognised; every buffer of a run passes."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from naive_replay import NUM_ACTIONS, World

from frankrl.replay import (
    PrioritisedSampler,
    ReplayBuffer,
    Seen,
    fault_in,
    fault_in_seen,
    fault_in_steps,
    first_needed_ending,
    parts_of,
    saved_replay,
)
from frankrl.replay.priorities import Priorities
from frankrl.replay.sum_tree import SumTree

MOST = 2**16 - 1
"""A number of actions that includes all those of this world."""
BUFFER = ReplayBuffer(20, 2, 3, 0.9, PrioritisedSampler(2, 1.0, 0.5, 0.4, 100))


@pytest.fixture(scope="module", params=[3, 40], ids=["filling", "full"])
def state(request):
    """A buffer after some vector steps."""
    world = World(2, "dict", masked=True, seed=0)
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), world.observation(0)
    )
    state, add = BUFFER.init(shapes, NUM_ACTIONS, 64), jax.jit(BUFFER.add)
    for _ in range(request.param):
        state = add(state, world.steps([world.vector_step(0.4, 0.4)]))
    return state


@pytest.fixture(scope="module")
def saved(state):
    """All of it, in no chunk."""
    num_steps, num_endings = int(state.num_steps), int(state.num_endings)
    first = first_needed_ending(BUFFER, state)
    return saved_replay(BUFFER, state, parts_of(BUFFER, 1 << 20, num_steps, first, num_endings))


def fault(state, saved, **lives):
    """The first that is found, in the order in which a restore looks."""
    return (
        fault_in_steps(saved.steps, int(saved.num_endings), MOST, **lives)
        or fault_in_seen(saved.current)
        or fault_in_seen(saved.endings)
        or fault_in(BUFFER, state, saved)
    )


def with_field(saved, name, value):
    return saved._replace(steps=saved.steps._replace(**{name: value}))


def with_entry(array, index, value):
    changed = array.copy()
    changed[index] = value
    return changed


def with_level(saved, number, index, value):
    levels = list(saved.priorities.tree.levels)
    levels[number] = with_entry(levels[number], index, value)
    priorities = Priorities(SumTree(tuple(levels)), saved.priorities.largest)
    return saved._replace(priorities=priorities)


def test_what_a_run_has_written_passes(state, saved):
    assert fault(state, saved) is None


FIELDS = {
    "an action that does not exist": ("action", MOST),
    "a reward that is not finite": ("reward", np.nan),
    "an episode end of which it has no observation": ("ending", 2**31),
}


@pytest.mark.parametrize("words", FIELDS)
def test_one_wrong_entry_of_a_field_is_named(state, saved, words):
    name, value = FIELDS[words]
    damaged = with_field(saved, name, with_entry(getattr(saved.steps, name), 2, value))
    assert fault(state, damaged) == words


def test_an_end_whose_observation_was_not_saved_is_named(state, saved):
    needed = saved.first_ending
    damaged = saved._replace(first_ending=needed + np.uint32(1))
    expected = "an episode end of which it has no observation"
    assert fault(state, damaged) == expected


def test_ends_that_contradict_each_other_are_named(state, saved):
    ending = np.asarray(state.ending)
    num_steps = int(state.num_steps)
    first, _ = BUFFER.drawable(num_steps)
    alive = np.arange(first, num_steps) % BUFFER.num_rows
    (first, *_), (running, *_) = alive[ending[alive] > 0], alive[ending[alive] == 0]
    twice = replace(state, ending=with_entry(ending, running, ending[first]))
    assert fault(twice, saved) == "one episode end twice"
    (running, *_) = np.flatnonzero(saved.steps.ending == 0)
    went_on = with_field(saved, "terminated", with_entry(saved.steps.terminated, running, True))
    assert fault(state, went_on) == "a terminal state in the middle of an episode"
    assert fault(state, went_on, life_loss_terminates=True) is None


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("part", ["steps", "current", "endings"])
def test_an_observation_that_is_not_finite_is_named(state, saved, part, value):
    rows = getattr(saved, part)
    vector = with_entry(rows.observation["vector"], (1, 0), value)
    rows = rows._replace(observation=rows.observation | {"vector": vector})
    expected = "an observation that is not finite"
    assert fault(state, saved._replace(**{part: rows})) == expected


def test_only_a_last_state_may_allow_no_action(state, saved):
    damaged = with_field(saved, "mask", with_entry(saved.steps.mask, 1, False))
    assert fault(state, damaged) == "a state in which no action is allowed"
    endings = saved.endings
    endings = Seen(endings.observation, with_entry(endings.mask, -1, False))
    assert fault(state, saved._replace(endings=endings)) is None


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_a_priority_that_is_no_number_of_0_or_more_is_named(state, saved, value):
    damaged = with_level(saved, 0, (0, 1), value)
    expected = "a priority that is not a number of 0 or more"
    assert fault(state, damaged) == expected


def test_priorities_that_contradict_the_steps_are_named(state, saved):
    without = with_level(saved, 0, (0, 1), 0.0)
    assert fault(state, without) == "a transition with the priority 0"
    beyond = with_level(saved, 0, (-1, -1), 1.0)
    expected = "the priority of a transition that it does not hold"
    assert fault(state, beyond) == expected
    above = with_level(saved, 0, (0, 1), 1.5)
    assert fault(state, above) == "a priority above the largest"
    wrong_sum = with_level(saved, 1, (0, 0), 7.5)
    assert fault(state, wrong_sum) == "a wrong sum of priorities"
