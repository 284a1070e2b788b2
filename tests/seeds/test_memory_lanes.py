"""A network with memory for several seeds as one program, against the same runs alone."""

import pytest
from lanes_beside_runs import (
    assert_goes_on_to_the_same_bits,
    assert_lanes_begin_as_runs_alone,
    weights,
)
from recall import Recall

import frankrl
from frankrl.config import Settings
from frankrl.core.numerics import own_numerics
from frankrl.environments import describe, named_env
from frankrl.explaining import reopen
from frankrl.runs import RunFolder
from frankrl.training import Experiment

pytestmark = pytest.mark.slow

SEEDS = [4, 1]
SMALL = {
    "memory": "gru",
    "memory_units": 6,
    "sequence_steps": 5,
    "burn_in_steps": 2,
    "replay_sampling": "prioritised",
    "hidden_widths": (8,),
    "num_envs": 2,
    "vector_steps_per_round": 4,
    "replay_ratio": 0.5,
    "learning_starts_env_steps": 64,
    "batch_size": 8,
    "replay_capacity": 160,
    "log_every_env_steps": 64,
    "checkpoint_every_env_steps": 96,
    "final_evaluation_episodes": 2,
    "total_env_steps": 320,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    """Two runs that were one program."""
    out = tmp_path_factory.mktemp("memory") / "group"
    given = SMALL | {"evaluate_every_env_steps": "none", "preset": "default"}
    return frankrl.train(Recall, seeds=SEEDS, out=out, progress=False, **given)


@pytest.mark.slow
def test_lanes_with_memory_begin_as_runs_alone_do_within_float32():
    def parts(found):
        state = found.state()
        return state.learner, state.replay, found.output().metrics

    with own_numerics():
        settings = Settings().with_changes(**SMALL, source="device").resolved()
        first = Experiment.of(settings, describe(named_env(Recall)[0], {}), 0)
        assert assert_lanes_begin_as_runs_alone(first, SEEDS, 5, parts)[-1] > 20


@pytest.mark.as_compiled_for_users
def test_an_update_of_a_lane_with_memory_is_opened_to_the_same_bits(group):
    assert reopen(RunFolder.open(group.runs[1]), 40).record.update == 40


@pytest.mark.slow
def test_a_group_with_memory_that_was_killed_goes_on_to_the_same_bits(group, tmp_path):
    assert all(("environments", ".memory") in weights(run)[1] for run in group.runs)
    assert_goes_on_to_the_same_bits(group, tmp_path / "copy")
