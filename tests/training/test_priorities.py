"""Priorities within the round: what updates learn from is what they set, row by row."""

import itertools

import jax
import numpy as np
import pytest

from frankrl.config import Settings
from frankrl.environments import GymnasiumVector, describe
from frankrl.learning import UpdateStatistics
from frankrl.training import init_train_state, rounds

GAMMA, EPSILON, CAPACITY, ENVS = 0.9, 0.01, 48, 4
SETTINGS = {
    "replay_sampling": "prioritised",
    "priority_exponent": 1.0,
    "priority_epsilon": EPSILON,
    "priority_beta_env_steps": 100,
    "n_step": 3,
    "gamma": GAMMA,
    "hidden_widths": (8,),
    "num_envs": ENVS,
    "batch_size": 8,
    "replay_capacity": CAPACITY,
    "learning_starts_env_steps": 24,
    # One update a round: its rows are learned from with the weights from before the round.
    "replay_ratio": 1 / ENVS,
    "target_period_updates": 7,
    "epsilon_decay_env_steps": 60,
}


def leaves(replay):
    return np.ravel(replay.priorities.tree.levels[0])[:CAPACITY]


@pytest.mark.parametrize("overlap", [True, False], ids=["overlap", "textbook_order"])
def test_each_round_sets_the_priorities_of_the_rows_that_it_learned_from(overlap):
    settings = Settings().with_changes(**SETTINGS, overlap=overlap).resolved()
    spec = describe("CartPole-v1", {})
    state = init_train_state(settings, spec, 3)
    before = jax.tree.map(np.array, state)
    learned = 0
    for result in itertools.islice(rounds(settings, 3, GymnasiumVector(spec, ENVS, 3), state), 60):
        after = jax.tree.map(np.array, result.state())
        added_before, added = int(before.replay.num_added), int(after.replay.num_added)
        expected, largest = leaves(before.replay), before.replay.priorities.largest
        new = np.arange(added_before, added) % CAPACITY
        expected[new] = largest
        if result.updates > before.updates:
            learned += 1
            rows = np.array(result.outcome().drawn.indices[0])
            quadruples = jax.tree.map(
                lambda stored, rows=rows: stored[rows], after.replay.quadruples
            )
            chosen = np.asarray(before.learner.online(quadruples.observation))
            chosen = chosen[np.arange(len(rows)), quadruples.action]
            follows = np.asarray(before.learner.target(quadruples.next_observation)).max(axis=1)
            future = GAMMA**quadruples.num_steps * follows
            y = quadruples.reward + np.where(quadruples.terminated, 0, future)
            likely = expected[rows] / expected.sum()
            np.testing.assert_allclose(result.outcome().drawn.probabilities[0], likely, rtol=1e-4)
            beta = 0.4 + 0.6 * min(result.env_steps / 100, 1)
            weights = likely**-beta / (likely**-beta).max()
            np.testing.assert_allclose(result.outcome().drawn.weights[0], weights, rtol=1e-4)
            told = UpdateStatistics(*np.asarray(result.outcome().statistics)[0])
            assert told.loss == pytest.approx((weights * (y - chosen) ** 2).mean(), rel=1e-3)
            surprises = np.abs(y - chosen) + EPSILON
            expected[rows] = 0
            np.maximum.at(expected, rows, surprises)
            largest = max(largest, surprises.max())
        np.testing.assert_allclose(leaves(after.replay), expected, rtol=2e-4, atol=1e-5)
        assert after.replay.priorities.largest == pytest.approx(largest, rel=1e-4)
        before = after
    assert learned > 40
    assert int(before.replay.num_added) > 3 * CAPACITY
