"""The algorithm on one page is what training does, bit for bit."""

import contextlib
import inspect
import itertools

import jax
import numpy as np
import pytest

from frankrl import algorithm
from frankrl.algorithm import deep_q_learning
from frankrl.config.presets import load_preset
from frankrl.core.errors import SettingError
from frankrl.environments import describe, make_vector
from frankrl.experience import HostSource
from frankrl.training import Experiment, init_train_state, rounds

CHANGES = {"learning_starts_env_steps": 500, "overlap": False, "target_period_updates": 300}


@pytest.mark.as_compiled_for_users
@pytest.mark.parametrize(
    ("env_id", "env_steps", "changes"),
    [
        ("CartPole-v1", 900, {}),
        ("frankrl/NineSquares-v0", 700, {"num_envs": 2, "n_step": 3, "double": True}),
    ],
)
def test_the_page_and_training_act_and_learn_alike_to_the_bit(env_id, env_steps, changes):
    settings = load_preset("classic").with_changes(**CHANGES | changes).resolved()
    experiment = Experiment.of(settings, describe(env_id, {}), 0)
    envs = make_vector(settings.environment, experiment.spec, 0)
    source = HostSource(settings, experiment.network, 0, envs)
    trained = rounds(experiment, source, init_train_state(experiment))
    page = deep_q_learning(env_id, settings)
    num_rounds = env_steps // settings.environment.num_envs
    with contextlib.closing(source):
        for result, moment in itertools.islice(zip(trained, page, strict=False), num_rounds):
            # Plain comparisons: there are thousands of them.
            assert result.input.steps.action.tolist() == moment.action.tolist()
            learner = result.state().learner
            assert np.array_equal(learner.params, moment.learner.params)
            if result.ticks % 100 == 0:
                assert result.updates == learner.num_updates == moment.learner.num_updates
                for ours, theirs in zip(
                    *map(jax.tree.leaves, (learner, moment.learner)), strict=True
                ):
                    np.testing.assert_array_equal(ours, theirs)
    assert result.updates > env_steps - 510


def test_the_page_is_a_page():
    lines = inspect.getsource(algorithm).splitlines()
    assert len(lines) <= 150


@pytest.mark.parametrize(
    "changes",
    [{"noisy": True}, {"distribution": "iqn"}, {"memory": "gru"}, {"replay_sampling": "newest"}],
)
def test_the_page_refuses_what_it_does_not_hold(changes):
    settings = load_preset("default").with_changes(**changes)
    with pytest.raises(SettingError, match="only uniform replay_sampling: use train"):
        next(deep_q_learning("CartPole-v1", settings))
