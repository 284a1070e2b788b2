"""PQN with several seeds as one program, against the same runs alone."""

import pytest
from lanes_beside_runs import assert_goes_on_to_the_same_bits, assert_lanes_begin_as_runs_alone

import frankrl
from frankrl.config import Settings
from frankrl.core.numerics import own_numerics
from frankrl.training.memory import lanes_in_memory
from frankrl.training.preparing import checked_experiment

ENV = "frankrl/CartPole-functional-v0"
SEEDS = [4, 1, 9]
SMALL = {
    "algorithm": "pqn",
    "total_env_steps": 480,
    "num_envs": 2,
    "vector_steps_per_round": 8,
    "minibatches": 4,
    "epochs_per_round": 2,
    "hidden_widths": (8,),
    "layer_norm": True,
    "optimiser": "radam",
    "learning_rate": 0.003,
    "log_every_env_steps": 96,
    "checkpoint_every_env_steps": 160,
    "evaluate_every_env_steps": None,
    "final_evaluation_episodes": 2,
    "device": "cpu",
}


def given(**changes):
    """The settings as `frankrl.train` takes them."""
    return {name: "none" if value is None else value for name, value in (SMALL | changes).items()}


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    """Three runs that were one program."""
    out = tmp_path_factory.mktemp("pqn") / "group"
    return frankrl.train(ENV, preset="default", seeds=SEEDS, out=out, progress=False, **given())


@pytest.mark.slow
def test_lanes_of_pqn_begin_as_runs_alone_do_within_float32():
    def parts(found):
        return found.state().learner, found.output().metrics, found.output().sample

    with own_numerics():
        first = checked_experiment(ENV, Settings().with_changes(**SMALL).resolved(), SEEDS[0])
        assert assert_lanes_begin_as_runs_alone(first, SEEDS, 4, parts)[0] > 0


def test_a_group_of_pqn_that_was_killed_goes_on_to_the_same_bits(group, tmp_path):
    assert_goes_on_to_the_same_bits(group, tmp_path / "copy")


def test_more_lanes_of_a_smaller_round_fit_into_memory(monkeypatch):
    monkeypatch.setattr("frankrl.training.memory._memory", lambda: 1 << 30)
    settings = Settings().with_changes(**SMALL).resolved()
    small = lanes_in_memory(checked_experiment(ENV, settings, 0))
    wide = settings.with_changes(vector_steps_per_round=4096)
    assert 1 < lanes_in_memory(checked_experiment(ENV, wide, 0)) < small
