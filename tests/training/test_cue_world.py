"""A network with memory learns Q-values that depend on what is no longer shown."""

import numpy as np
import pytest
from in_memory import experiment_of, greedy_policy, round_number
from long_forms import some_of
from training import cue_world

from frankrl.config import Settings

GAMMA, DELAY = 0.5, 2


def learned_q_values(**changes):
    """Of each cue, Q(s, ·) before each of the three actions: [cue, step, action]."""
    settings = Settings().with_changes(
        env_kwargs={"delay": DELAY},
        num_envs=4,
        vector_steps_per_round=30,
        hidden_widths=(16,),
        gamma=GAMMA,
        learning_rate=1e-2,
        target_period_updates=20,
        epsilon_end=1.0,
        epsilon_start=1.0,
        replay_capacity=400,
        batch_size=16,
        replay_ratio=0.25,
        # So that the learner is compiled once.
        learning_starts_env_steps=120,
        **changes,
    )
    experiment = experiment_of(cue_world.Cue.__name__ + "-v0", settings, seed=3)
    policy = greedy_policy(experiment, round_number(experiment, 14))
    memory, found = experiment.network.initial_memory(2), []
    for observation in ([[1], [-1]], [[0], [0]], [[0], [0]]):
        q_values, memory = policy.q_values(np.float32(observation), memory=memory)
        found.append(q_values)
    return np.stack(found, axis=1)


EXPECTED = [
    [[GAMMA**2] * 2, [GAMMA] * 2, [-1, 1]],
    [[GAMMA**2] * 2, [GAMMA] * 2, [1, -1]],
]
RECURRENT = {"memory": "gru", "memory_units": 12, "sequence_steps": 4, "burn_in_steps": 1}
WAYS = {
    "notes": {},
    "prioritised_double_n_step": {"replay_sampling": "prioritised", "double": True, "n_step": 3},
}


@pytest.mark.parametrize("way", some_of(WAYS, ["notes"]))
def test_q_values_after_a_cue_are_its_closed_form(way):
    found = learned_q_values(**RECURRENT, **WAYS[way])
    if way == "notes":
        np.testing.assert_allclose(found, EXPECTED, atol=0.12)
    assert np.argmax(found[:, -1], axis=1).tolist() == [1, 0]


def test_without_memory_the_last_action_is_a_guess():
    found = learned_q_values()
    np.testing.assert_allclose(found[:, -1], np.zeros((2, 2)), atol=0.5)
    np.testing.assert_array_equal(found[0, -1], found[1, -1])
