"""A stack of vectors is a memory: with it the whole loop learns what one observation hides."""

import numpy as np
from in_memory import greedy_policy, round_number

from frankrl.config import Settings
from frankrl.environments import GymnasiumVector, describe
from frankrl.environments.preprocessing import Preprocessing
from frankrl.environments.repeat_after_me import exact_q_values
from frankrl.training import Experiment

GAMMA, DELAY, NUM_SYMBOLS = 0.5, 2, 3


def trained(frame_stack):
    settings = Settings().with_changes(
        frame_stack=frame_stack,
        num_envs=4,
        vector_steps_per_round=16,
        hidden_widths=(32,),
        gamma=GAMMA,
        learning_rate=1e-2,
        target_period_updates=20,
        epsilon_end=1.0,
        replay_capacity=256,
        batch_size=32,
        learning_starts_env_steps=64,
        replay_ratio=1.0,
    )
    kwargs = {"delay": DELAY, "num_symbols": NUM_SYMBOLS}
    stacking = Preprocessing(frame_stack=frame_stack)
    spec = describe("frankrl/RepeatAfterMe-v0", kwargs, preprocessing=stacking)
    experiment = Experiment.of(settings.resolved(), spec, seed=3)
    return experiment, greedy_policy(experiment, round_number(experiment, 15))


def error_in_an_episode(frame_stack):
    """The largest error of a learned Q-value in an episode, and the mean of the best ones."""
    experiment, policy = trained(frame_stack)
    envs = GymnasiumVector(experiment.spec, 1, seed=8)
    found, shown = [], []
    for _ in range(40):
        shown.append(int(np.ravel(envs.observation)[0]))
        found.append(np.array(policy.q_values(envs.stack.observation)[0][0]))
        envs.step(np.array([0]), 0)
    exact = exact_q_values(np.array(shown), DELAY, NUM_SYMBOLS, GAMMA)
    return np.max(np.abs(np.array(found) - exact)), np.mean(np.max(found, axis=1))


def test_a_stack_as_long_as_the_delay_learns_the_closed_form():
    error, _ = error_in_an_episode(DELAY + 1)
    assert error < 0.08


def test_without_it_only_the_share_of_lucky_guesses_is_learned():
    error, best = error_in_an_episode(1)
    assert error > 0.4
    assert best < 1 < 1 / (1 - GAMMA)
