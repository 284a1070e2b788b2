"""Each warning, with data that should raise it and with data that should not."""

import re
from pathlib import Path

import numpy as np
import pytest
from dashboard_runs import make_run, write_metrics

from frankrl.config.presets import load_preset
from frankrl.dashboard.app import page_files
from frankrl.dashboard.history import History
from frankrl.dashboard.warnings import (
    CHECKS,
    DOCS,
    Diagnostics,
    checked,
    checkpoint_warnings,
    dead_units,
    epsilon_done_early,
    loss_rises,
    metrics_warnings,
    mostly_one_episode,
    q_grows_away,
    refreshed_too_rarely,
    reward_scale,
    slower,
)

ROWS = 40
STEPS = [100 * (row + 1) for row in range(ROWS)]
HEALTHY = Diagnostics(5_000, (3, 0), (64, 64), 2_000, 5_000, 200, 60)


@pytest.fixture
def check(tmp_path):
    """Runs one check on a run with these settings and metrics."""

    def judged(warning, tables=None, **settings):
        run = make_run(tmp_path / f"run{len(list(tmp_path.iterdir()))}", **settings)
        write_metrics(run, **(tables or {"training": {"env_steps": [1]}}))
        history = History(run.metrics)
        history.refresh()
        return warning(history, run.description.settings)

    return judged


def learned(**columns):
    """Rows of training in which episodes of 50 steps have the return 50."""
    steady = {"mean_return_100": [50.0] * ROWS, "mean_length_100": [50.0] * ROWS}
    return {"training": {"env_steps": STEPS, "updates": STEPS} | steady | columns}


def test_q_far_above_the_returns_raises_a_warning(check):
    # γ = 0.99 and 50 steps of reward 1: the mean over an episode's states is 22.
    climbing = np.geomspace(1, 900, ROWS)
    warning = check(q_grows_away, learned(mean_max_q=climbing.tolist()))
    assert f"largest Q-value of a state is {climbing[-4:].mean():.4g}." in warning.evidence
    assert "is now about 21.79." in warning.evidence
    # A reward of 1 a step for ever: what a right agent expects where a time limit ends it.
    assert "from all episodes so far is 100." in warning.evidence
    assert check(q_grows_away, learned(mean_max_q=np.linspace(0, 100, ROWS).tolist())) is None
    # A lander that hovers: steady, but nothing ever came of it.
    nothing = {"mean_return_100": [-60.0] * ROWS, "mean_length_100": [1000.0] * ROWS}
    assert check(q_grows_away, learned(mean_max_q=[65.0] * ROWS, **nothing))
    # A beginner who crashes hopes for a little; a task that only costs is worth less than nothing.
    crashes = {"mean_return_100": [-200.0] * ROWS, "mean_length_100": [100.0] * ROWS}
    assert check(q_grows_away, learned(mean_max_q=[5.0] * ROWS, **crashes)) is None
    assert check(q_grows_away, learned(mean_max_q=[-30.0] * ROWS, **crashes)) is None


def test_rescaled_q_values_are_compared_with_returns_on_their_scale(check):
    def h(x):
        return np.sqrt(x + 1) - 1 + x / 1000

    climbing = np.geomspace(1, 900, ROWS)
    warning = check(q_grows_away, learned(mean_max_q=h(climbing).tolist()), value_rescaling=True)
    now = h(climbing)[-4:].mean()
    words = "On the scale h of value_rescaling, the mean of the largest Q-value of a state "
    assert warning.evidence.startswith(words)
    assert f"is {now:.4g}. The discounted return is now about 3.796." in warning.evidence
    assert f"from all episodes so far is {h(100):.4g}." in warning.evidence
    right = h(np.linspace(0, 100, ROWS)).tolist()
    assert check(q_grows_away, learned(mean_max_q=right), value_rescaling=True) is None
    # A network that has not rescaled may say as much.
    assert check(q_grows_away, learned(mean_max_q=h(climbing).tolist())) is None


def test_a_loss_that_rises_while_the_return_does_not_raises_a_warning(check):
    rising = np.geomspace(0.1, 50, ROWS).tolist()
    assert "first half of the run was 50." in check(loss_rises, learned(loss=rising)).evidence
    better = np.linspace(20, 90, ROWS).tolist()
    assert check(loss_rises, learned(loss=rising, mean_return_100=better)) is None
    assert check(loss_rises, learned(loss=[0.3] * ROWS)) is None
    early = [10.0] * 8 + [500.0] * (ROWS - 8)
    assert check(loss_rises, learned(loss=rising, mean_return_100=early)) is None
    lost = [10.0] * 8 + [500.0] * 16 + [30.0] * (ROWS - 24)
    assert (
        "first half of the run was 500."
        in check(loss_rises, learned(loss=rising, mean_return_100=lost)).evidence
    )
    unknown = [None] * (ROWS - 5) + [50.0] * 5
    assert check(loss_rises, learned(loss=rising, mean_return_100=unknown)) is None


def test_an_epsilon_that_decays_before_learning_starts_raises_a_warning(check):
    early = {"epsilon_decay_env_steps": 900, "learning_starts_env_steps": 1_000}
    warning = check(epsilon_done_early, **early)
    assert "at env step 900" in warning.evidence
    assert "at env step 1,000" in warning.evidence
    assert check(epsilon_done_early, **early | {"epsilon_decay_env_steps": 9_000}) is None
    assert check(epsilon_done_early, learning_starts_env_steps=20_000)
    assert check(epsilon_done_early, learning_starts_env_steps=20_000, noisy=True) is None


def test_a_target_network_that_is_hardly_ever_refreshed_raises_a_warning(check):
    budget = {"total_env_steps": 21_000, "learning_starts_env_steps": 1_000}
    warning = check(refreshed_too_rarely, **budget, target_period_updates=10_000)
    assert "20,000 updates" in warning.evidence
    assert "that makes 2 refreshes." in warning.evidence
    assert check(refreshed_too_rarely, **budget, target_period_updates=500) is None


def test_a_run_that_does_not_act_is_told_its_updates_once_and_only_what_is_checked(check):
    offline = {"dataset": "data/x", "total_updates": 300, "target_period_updates": 100}
    assert check(refreshed_too_rarely, **offline).evidence.startswith("The run does 300 updates.")
    settings = load_preset("default").with_changes(dataset="data/x", algorithm="bc").resolved()
    assert checked(settings) == ["speed", "dead units", "episodes in the replay buffer"]
    assert len(checked(load_preset("default").resolved())) == 8


@pytest.mark.parametrize(("reward", "how"), [(5_000.0, "large"), (1e-5, "small")])
def test_rewards_of_an_extreme_size_raise_a_warning(check, reward, how):
    def episodes(reward):
        columns = {
            "env_steps": STEPS,
            "episode_return": [reward * 100] * ROWS,
            "length": [100] * ROWS,
        }
        return {"episodes": columns}

    assert how in check(reward_scale, episodes(reward)).title
    assert check(reward_scale, episodes(1.0)) is None
    assert check(reward_scale, episodes(0.0)) is None
    # 1 at the end of 2,000 steps is seldom, not small.
    seldom = {"env_steps": [2_000], "episode_return": [1.0], "length": [2_000]}
    assert check(reward_scale, {"episodes": seldom}) is None


def test_a_training_that_has_lost_its_speed_raises_a_warning(check):
    def timing(last):
        speed = [8_000.0] * (ROWS - 5) + [last] * 5
        columns = {"env_steps": STEPS, "seconds": STEPS, "env_steps_per_second": speed}
        return {"timing": columns}

    warning = check(slower, timing(1_000.0), learning_starts_env_steps=100)
    assert "at 1,000 env steps per second. Before, it ran at 8,000" in warning.evidence
    assert check(slower, timing(7_000.0), learning_starts_env_steps=100) is None
    # An evaluation at a row's env step takes its time after that row, so from the next one's.
    speed = [8_000.0] * 30 + [8_000.0, 1_000.0] * 5
    columns = {"env_steps": STEPS, "seconds": STEPS, "env_steps_per_second": speed}
    evaluations = {"env_steps": STEPS[30::2], "purpose": ["progress"] * 5}
    tables = {"timing": columns, "evaluations": evaluations}
    assert check(slower, tables, learning_starts_env_steps=100) is None
    evaluations = {"env_steps": STEPS[31::2], "purpose": ["progress"] * 5}
    tables = {"timing": columns, "evaluations": evaluations}
    assert check(slower, tables, learning_starts_env_steps=100) is not None


def test_a_layer_that_is_half_dead_raises_a_warning():
    warning = dead_units(HEALTHY._replace(dead_units=(3, 40)))
    assert "40 of 64 in hidden layer 2" in warning.evidence
    assert "layer 1" not in warning.evidence
    assert dead_units(HEALTHY) is None


def test_a_replay_buffer_of_mostly_one_episode_raises_a_warning():
    warning = mostly_one_episode(HEALTHY._replace(largest_episode=4_000))
    assert "4,000 of its 5,000 transitions (80%)" in warning.evidence
    assert mostly_one_episode(HEALTHY) is None
    assert mostly_one_episode(HEALTHY._replace(transitions=0, largest_episode=0)) is None
    assert mostly_one_episode(HEALTHY._replace(transitions=1, largest_episode=1)) is None


def test_a_healthy_run_and_an_empty_one_raise_nothing(check):
    healthy = learned(loss=[0.5] * ROWS, mean_max_q=np.linspace(0, 25, ROWS).tolist())
    assert check(metrics_warnings, healthy) == []
    assert check(metrics_warnings, target_period_updates=100) == []
    assert checkpoint_warnings(HEALTHY) == []


def test_every_warning_has_its_section_in_the_documentation(check):
    anchors = re.findall(r'<h3 id="(.+)">', page_files()[Path(DOCS).name].decode())
    raised = [
        check(q_grows_away, learned(mean_max_q=np.geomspace(1, 900, ROWS).tolist())),
        check(loss_rises, learned(loss=np.geomspace(0.1, 50, ROWS).tolist())),
        check(epsilon_done_early, epsilon_decay_env_steps=1, learning_starts_env_steps=90),
        check(refreshed_too_rarely, total_env_steps=9_000, target_period_updates=9_000),
        check(
            reward_scale, {"episodes": {"env_steps": [9], "episode_return": [1e6], "length": [1]}}
        ),
        check(
            slower,
            {
                "timing": {
                    "env_steps": STEPS,
                    "env_steps_per_second": [9.0] * 35 + [1.0] * 5,
                }
            },
            learning_starts_env_steps=100,
        ),
        dead_units(HEALTHY._replace(dead_units=(64, 64))),
        mostly_one_episode(HEALTHY._replace(largest_episode=5_000)),
    ]
    assert len(raised) == len(CHECKS) + 2
    assert [warning.plain()["docs"] for warning in raised] == [
        f"{DOCS}#{anchor}" for anchor in anchors
    ]
