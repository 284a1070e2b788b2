"""Stacks for acting, held against Gymnasium's own wrapper."""

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import FrameStackObservation
from training import masked_mdps

from frankrl.core.random import Use, reset_seed
from frankrl.environments import FrameStack, GymnasiumVector, describe
from frankrl.environments.preprocessing import Preprocessing

ENV, SEED, NUM_ENVS = "CartPole-v1", 7, 3


def spec_of(stack):
    return describe(ENV, {}, preprocessing=Preprocessing(frame_stack=stack))


class Wrapped:
    """One environment of a run in Gymnasium's wrapper; its next episode begins by itself."""

    def __init__(self, index, stack):
        self._env = FrameStackObservation(gymnasium.make(ENV), stack, padding_type="zero")
        self._index, self._episode = index, -1
        self._begin()

    def _begin(self):
        self._episode += 1
        seed = reset_seed(SEED, Use.TRAINING_RESET, self._index, self._episode)
        self.observation, _ = self._env.reset(seed=seed)

    def step(self, action):
        self.observation, _, terminated, truncated, _ = self._env.step(action)
        if terminated or truncated:
            self._begin()


@pytest.mark.parametrize("stack", [2, 5])
def test_stacks_are_those_of_gymnasium_over_many_episodes_and_after_a_restore(stack):
    vector = GymnasiumVector(spec_of(stack), NUM_ENVS, SEED)
    wrapped = [Wrapped(index, stack) for index in range(NUM_ENVS)]
    random, ended = np.random.default_rng(0), 0
    for step in range(150):
        expected = np.stack([env.observation for env in wrapped])
        np.testing.assert_array_equal(vector.stack.observation, expected)
        if step % 50 == 49:
            again = GymnasiumVector(spec_of(stack), NUM_ENVS, SEED)
            assert again.restore(vector.logs()) == []
            np.testing.assert_array_equal(again.stack.observation, expected)
            vector = again
        actions = random.integers(0, 2, NUM_ENVS)
        _, finished = vector.step(actions, 0)
        ended += len(finished)
        for env, action in zip(wrapped, actions.tolist(), strict=True):
            env.step(action)
    assert ended > 5


def test_without_stacking_an_observation_has_no_axis_more():
    vector = GymnasiumVector(spec_of(1), NUM_ENVS, SEED)
    assert vector.stack.observation.shape == (NUM_ENVS, 4)
    vector.step(np.zeros(NUM_ENVS, int), 0)
    np.testing.assert_array_equal(vector.stack.observation, vector.observation)


def test_a_stack_of_records_keeps_each_leaf():
    spec = describe("Blackjack-v1", {}, preprocessing=Preprocessing(frame_stack=3))
    vector = GymnasiumVector(spec, 2, SEED)
    first = spec.observation(vector.observation)
    zeros_first = [np.stack([0 * leaf, 0 * leaf, leaf], axis=1) for leaf in first]
    for found, expected in zip(vector.stack.observation, zeros_first, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_stack_shows_the_mask_of_the_newest_state():
    stacking = Preprocessing(frame_stack=2)
    spec = describe("MaskedMDP-v0", {"where": "info"}, preprocessing=stacking)
    vector = GymnasiumVector(spec, 1, SEED)
    vector.step(np.array([1]), 0)
    np.testing.assert_array_equal(vector.stack.mask, spec.action_mask(vector.observation))
    np.testing.assert_array_equal(vector.stack.mask, masked_mdps.ALLOWED[[1]] == 1)
    assert vector.stack.observation.shape == (1, 2, 2, 2)


def test_observations_are_pushed_to_the_environments_that_are_named_in_any_order():
    spec = spec_of(3)
    random, stack = np.random.default_rng(1), FrameStack(spec, 4)
    expected = np.zeros((4, 3, 4), np.float32)
    for count in (4, 0, 2, 0, 1, 3, 4, 0, 0, 0, 0, 0, 0, 2, 0):
        # None: all of them, in order.
        named = random.permutation(4)[:count].tolist() or None
        indices = named or [0, 1, 2, 3]
        rows = random.normal(size=(len(indices), 4)).astype(np.float32)
        stack.push(rows, named)
        for index, row in zip(indices, rows, strict=True):
            expected[index] = [*expected[index, 1:], row]
        np.testing.assert_array_equal(stack.observation, expected)
