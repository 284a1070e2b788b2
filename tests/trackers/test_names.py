"""The table from events to names: complete, documented, and in the words of Stable-Baselines3."""

import re
from pathlib import Path

import numpy as np

from frankrl.training import Evaluated, Progress
from frankrl.training.evaluation import Evaluation
from frankrl.training.events import Checkpointed, Finished, Solved
from frankrl.training.scalars import (
    EVALUATED,
    OF_EVALUATIONS,
    OF_PROGRESS,
    SOLVED,
    SUCCESSES,
    scalars,
)

PAGE = Path(__file__).parents[2] / "docs" / "trackers.md"
OF_SB3 = {
    "rollout/ep_rew_mean",
    "rollout/ep_len_mean",
    "rollout/exploration_rate",
    "train/loss",
    "train/learning_rate",
    "train/n_updates",
    "time/episodes",
    "time/fps",
    "time/time_elapsed",
    "eval/mean_reward",
    "eval/mean_ep_length",
}
PLAYED = Evaluation(np.array([1.0, 3.0]), np.array([10, 20]))
PROGRESS = Progress(*range(1, len(Progress._fields) + 1))


def test_progress_has_a_number_for_each_name_of_the_table():
    found = scalars(PROGRESS)
    fields = OF_PROGRESS | {SUCCESSES: "success_rate"}
    assert found == {name: getattr(PROGRESS, field) for name, field in fields.items()}
    assert found["train/n_updates"] == PROGRESS.updates
    assert found["time/fps"] == PROGRESS.env_steps_per_second


def test_what_there_is_not_yet_has_no_number():
    found = scalars(PROGRESS._replace(loss=None, mean_return=None))
    assert OF_PROGRESS.keys() - found.keys() == {"train/loss", "rollout/ep_rew_mean"}


def test_evaluations_are_told_apart_by_their_purpose():
    figures = {"mean_reward": 2.0, "std_reward": 1.0, "mean_ep_length": 15.0}
    final = Finished(9, 9, 1.0, 1.0, None, None, PLAYED, (), (), False)
    for group, event in {
        "eval": Evaluated(9, PLAYED, "progress"),
        "eval_solved_check": Evaluated(9, PLAYED, "solved"),
        "eval_final": final,
    }.items():
        assert scalars(event) == {f"{group}/{name}": value for name, value in figures.items()}
    assert scalars(Solved(9, 1.0, 200.0)) == {"eval/solved": 1.0}
    assert scalars(final._replace(evaluation=None)) == scalars(Checkpointed(9, PAGE)) == {}


def test_every_name_of_stable_baselines_that_frank_can_tell_is_used():
    names = {*OF_PROGRESS, *scalars(Evaluated(9, PLAYED, "progress"))}
    assert names >= OF_SB3


def test_the_page_explains_every_name_and_no_other():
    explained = set(re.findall(r"(?m)^\| `([a-z_]+/[a-z_]+)` \|", PAGE.read_text()))
    evaluated = {f"eval/{name}" for name in EVALUATED}
    assert explained == {*OF_PROGRESS, SUCCESSES, SOLVED, *evaluated}
    for group in set(OF_EVALUATIONS.values()) - {"eval"}:
        assert f"| `{group}/…` |" in PAGE.read_text()
