"""What a sweep improves, from what a run has given."""

import pytest

from frankrl.config import Settings
from frankrl.core.errors import SettingError
from frankrl.environments import describe_for
from frankrl.jobs import Outcome
from frankrl.sweeps.objectives import OBJECTIVES, check_objective, objective_named

SETTINGS = Settings().with_changes(total_env_steps=1_000)
CURVE = ((250, 10.0), (500, 20.0), (750, 60.0))
WHOLE = Outcome(80.0, CURVE, 1_000, None, None, 40.0, None)
SOLVED = Outcome(80.0, CURVE, 800, 750, 31.5, 40.0, None)
PRUNED = Outcome(None, CURVE[:2], 500, None, None, 20.0, "pruned")


@pytest.mark.parametrize(
    ("name", "whole", "solved", "pruned"),
    [
        ("final_return", 80.0, 80.0, 20.0),
        ("mean_return", 30.0, 30.0, 15.0),
        ("env_steps_to_solved", 2_000.0, 750.0, 2_000.0),
        ("seconds_to_solved", 80.0, 31.5, 80.0),
    ],
)
def test_the_value_of_a_run(name, whole, solved, pruned):
    objective = OBJECTIVES[name]
    values = [objective.value_of(outcome, SETTINGS) for outcome in (WHOLE, SOLVED, PRUNED)]
    assert values == [whole, solved, pruned]


def test_a_run_without_the_evaluations_has_no_value():
    empty = WHOLE._replace(evaluations=(), final_return=None)
    assert OBJECTIVES["final_return"].value_of(empty, SETTINGS) is None
    assert OBJECTIVES["mean_return"].value_of(empty, SETTINGS) is None


def test_better_is_more_return_and_less_time():
    assert OBJECTIVES["mean_return"].is_better(2, 1)
    assert OBJECTIVES["seconds_to_solved"].is_better(1, 2)
    assert not OBJECTIVES["final_return"].is_better(1, 1)


@pytest.mark.parametrize(
    ("env_id", "name", "changes", "message"),
    [
        ("FrozenLake-v1", "env_steps_to_solved", {}, None),
        ("CartPole-v1", "x", {}, "there is no objective 'x'"),
        ("CartPole-v1", "final_retur", {}, "did you mean 'final_return'"),
        ("Taxi-v4", "seconds_to_solved", {}, None),
        (
            "CliffWalking-v1",
            "env_steps_to_solved",
            {},
            "CliffWalking-v1 names no reward threshold",
        ),
        ("CliffWalking-v1", "final_return", {}, None),
        (
            "CartPole-v1",
            "final_return",
            {"final_evaluation_episodes": None},
            "needs the evaluation at the end",
        ),
        ("CartPole-v1", "mean_return", {"final_evaluation_episodes": None}, None),
        (
            "CartPole-v1",
            "mean_return",
            {"evaluate_every_env_steps": None},
            "needs evaluations during training",
        ),
    ],
)
def test_an_objective_that_no_run_has_is_refused(env_id, name, changes, message):
    settings = Settings().with_changes(**changes)
    if message is None:
        check_objective(objective_named(name), describe_for(env_id, settings), settings)
        return
    with pytest.raises(SettingError, match=message):
        check_objective(objective_named(name), describe_for(env_id, settings), settings)
