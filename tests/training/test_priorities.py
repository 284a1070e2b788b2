"""Priorities within the round: what updates learn from is what they set, row by row."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from in_memory import experiment_of, rounds_of
from long_forms import some_of

from frankrl.config import Settings
from frankrl.learning import UpdateMetrics

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


@pytest.mark.parametrize(
    "overlap", some_of([True, False], [False]), ids=["overlap", "textbook_order"]
)
def test_each_round_sets_the_priorities_of_the_transitions_that_it_learned_from(overlap):
    settings = Settings().with_changes(**SETTINGS, overlap=overlap)
    experiment = experiment_of("CartPole-v1", settings, seed=3)
    before, learned = None, 0
    for result in itertools.islice(rounds_of(experiment), 60):
        after = jax.tree.map(np.array, result.state())
        if before is None:
            # The first round stores what it saw and learns nothing.
            assert not leaves(after.replay).any()
            before = after
            continue
        expected, largest = leaves(before.replay), before.replay.priorities.largest
        new = np.arange(*(drawable_end(state.ticks) for state in (before, after)))
        expected[new % CAPACITY] = largest
        if result.updates > before.updates:
            learned += 1
            sample = jax.tree.map(lambda field: np.array(field[0]), result.output().sample)
            slots = sample.env_steps % CAPACITY
            likely = expected[slots] / expected.sum()
            np.testing.assert_allclose(sample.probabilities, likely, rtol=1e-4)
            beta = 0.4 + 0.6 * min(result.ticks / 100, 1)
            weights = likely**-beta / (likely**-beta).max()
            np.testing.assert_allclose(sample.weights, weights, rtol=1e-4)
            chosen, y = predictions_and_targets(experiment, before, after, sample.env_steps)
            told = UpdateMetrics(*np.asarray(result.output().metrics)[0])
            assert told.loss == pytest.approx((weights * (y - chosen) ** 2).mean(), rel=1e-3)
            priorities = np.abs(y - chosen) + EPSILON
            expected[slots] = 0
            np.maximum.at(expected, slots, priorities)
            largest = max(largest, priorities.max())
        np.testing.assert_allclose(leaves(after.replay), expected, rtol=2e-4, atol=1e-5)
        assert after.replay.priorities.largest == pytest.approx(largest, rel=1e-4)
        before = after
    assert learned > 40
    assert int(before.replay.num_steps) > 3 * CAPACITY


def drawable_end(env_steps):
    """A transition can be drawn once three steps from its first on have been taken."""
    return max(0, env_steps - 2 * ENVS)


def predictions_and_targets(experiment, before, after, env_steps):
    """Q(s, a) and y of the transitions, by the parameters from before the round."""
    network, unflatten = experiment.network, experiment.network.layout.unflatten
    replay = jax.tree.map(jnp.asarray, after.replay)
    batch = jax.tree.map(np.asarray, experiment.replay.read(replay, jnp.asarray(env_steps)))
    params, target_params = (
        unflatten(vector) for vector in (before.learner.params, before.learner.target_params)
    )
    q_values = network.q_values(params, batch.observation)
    follows = network.q_values(target_params, batch.next_observation).max(axis=1)
    chosen = q_values[np.arange(len(env_steps)), batch.action]
    return chosen, batch.reward + batch.discount * follows
