"""Acting on the device: the same run as with the host's policy, unless two actions tie."""

import itertools

import numpy as np
import pytest
from in_memory import experiment_of, rounds_of
from long_forms import some_of
from robustness.runs import contents
from training import masked_mdps

import frankrl
from frankrl.config import Settings

SMALL = {
    "hidden_widths": (16, 8),
    "num_envs": 4,
    "learning_starts_env_steps": 40,
    "batch_size": 8,
    "replay_capacity": 200,
    "target_period_updates": 20,
    "learning_rate": 3e-3,
}
GREEDY = {"epsilon_start": 0.1, "epsilon_end": 0.1}
KINDS = {
    "mean": GREEDY | {"dueling": True, "layer_norm": True},
    "noisy": {"noisy": True, "overlap": False},
    "c51": GREEDY | {"distribution": "c51", "num_atoms": 11, "value_min": 0.0, "value_max": 50.0},
    "iqn": GREEDY | {"distribution": "iqn", "iqn_cosines": 8, "iqn_samples": 4},
}


def actions_and_params(env_id, **changes):
    """All actions of a short run, and what it has learned by then."""
    experiment = experiment_of(env_id, Settings().with_changes(**SMALL, **changes), seed=5)
    results = list(itertools.islice(rounds_of(experiment), 60))
    return [result.input.steps.action for result in results], results[-1].output().params


@pytest.mark.as_compiled_for_users
@pytest.mark.parametrize("kind", some_of(KINDS, ["noisy"]))
def test_a_run_is_the_same_wherever_its_actions_are_computed(kind):
    host, device = (
        actions_and_params("CartPole-v1", acting=acting, **KINDS[kind])
        for acting in ("host", "device")
    )
    np.testing.assert_array_equal(*map(np.concatenate, (host[0], device[0])))
    np.testing.assert_array_equal(host[1], device[1])
    assert len(set(np.concatenate(host[0]).tolist())) == 2


@pytest.mark.slow
def test_masks_hold_on_the_device_too():
    kwargs = {"env_kwargs": {"where": "info"}}
    host, device = (
        actions_and_params(
            f"{masked_mdps.MaskedMDP.__name__}-v0", acting=acting, **GREEDY, **kwargs
        )
        for acting in ("host", "device")
    )
    np.testing.assert_array_equal(*map(np.concatenate, (host[0], device[0])))
    np.testing.assert_array_equal(host[1], device[1])


@pytest.mark.slow
def test_evaluations_and_all_that_a_run_leaves_are_the_same(tmp_path):
    chosen = SMALL | KINDS["mean"] | {"total_env_steps": 300, "checkpoint_every_env_steps": 200}
    chosen |= {"evaluate_every_env_steps": 150, "evaluation_episodes": 2}
    chosen |= {"final_evaluation_episodes": 3, "log_every_env_steps": 100}
    for acting in ("host", "device"):
        path = tmp_path / acting
        frankrl.train("CartPole-v1", preset="default", out=path, acting=acting, **chosen)
    assert contents(tmp_path / "device") == contents(tmp_path / "host")
