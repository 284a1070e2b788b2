"""The whole loop learns the right Q-values where they are known in closed form."""

import numpy as np
import pytest
from in_memory import experiment_of, greedy_policy, round_number
from training import probe_mdps

from frankrl.config import Settings

GAMMA = 0.5
FOREVER = 1 / (1 - GAMMA)
PROBES = {
    "reward_only": ({}, [[1, 1]]),
    "discount_only": ({"length": 2, "pay": "last"}, [[GAMMA, GAMMA], [1, 1]]),
    "two_actions": ({"pay": "action"}, [[-1, 1]]),
    "termination_has_no_future": (
        {"length": 3},
        [[1 + GAMMA + GAMMA**2] * 2, [1 + GAMMA] * 2, [1, 1]],
    ),
    "truncation_keeps_its_future": (
        {"length": 3, "end": "truncated"},
        [[FOREVER] * 2, [FOREVER] * 2, [FOREVER] * 2],
    ),
    "one_step_truncation": ({"end": "truncated"}, [[FOREVER] * 2]),
}
SHAPES = {"one_env": (1, 48), "four_envs": (4, 12)}
# Every pair of choices is among them.
WAYS = [
    (1, "one_env", True),
    (1, "four_envs", False),
    (3, "one_env", False),
    (3, "four_envs", True),
]


def learned_q_values(env_kwargs: dict, num_states: int, **changes) -> np.ndarray:
    num_envs, vector_steps = SHAPES[changes.pop("shape")]
    settings = Settings().with_changes(
        env_kwargs=env_kwargs,
        num_envs=num_envs,
        vector_steps_per_round=vector_steps,
        hidden_widths=(32,),
        gamma=GAMMA,
        learning_rate=1e-2,
        target_period_updates=20,
        epsilon_end=1.0,
        # So that the learner is compiled once: it learns from the first round on, and what one-step
        # episodes arrived at fits into the buffer as it begins.
        replay_capacity=80,
        batch_size=32,
        learning_starts_env_steps=48,
        **changes,
    )
    experiment = experiment_of(probe_mdps.ProbeMDP.__name__ + "-v0", settings, seed=3)
    policy = greedy_policy(experiment, round_number(experiment, 15))
    return policy.q_values(np.arange(num_states, dtype=np.float32)[:, None]).q_values


@pytest.mark.parametrize(("n_step", "shape", "overlap"), WAYS)
@pytest.mark.parametrize("probe", PROBES)
def test_q_values_of_a_probe_are_its_closed_form(probe, n_step, shape, overlap):
    env_kwargs, expected = PROBES[probe]
    found = learned_q_values(env_kwargs, len(expected), n_step=n_step, shape=shape, overlap=overlap)
    if n_step > 1 and probe == "two_actions":
        assert np.argmax(found, axis=1).tolist() == [1]
    np.testing.assert_allclose(found, expected, atol=0.08)


@pytest.mark.parametrize("probe", list(PROBES)[:2])
def test_a_dueling_network_learns_the_same_values(probe):
    env_kwargs, expected = PROBES[probe]
    found = learned_q_values(env_kwargs, len(expected), shape="four_envs", dueling=True)
    np.testing.assert_allclose(found, expected, atol=0.08)


@pytest.mark.parametrize("probe", list(PROBES)[-2:])
def test_double_dqn_and_huber_learn_the_same_values(probe):
    env_kwargs, expected = PROBES[probe]
    found = learned_q_values(
        env_kwargs, len(expected), shape="four_envs", double=True, loss="huber", n_step=2
    )
    np.testing.assert_allclose(found, expected, atol=0.08)
