"""What a training shows on a terminal, and the lines at its end."""

import dataclasses
import io
import re
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from frankrl.cli import results
from frankrl.cli.results import ending_lines
from frankrl.config import Clock, Settings
from frankrl.core.absent import absent_env
from frankrl.display.training import (
    LiveDisplay,
    PlainDisplay,
    budget_in_words,
    event_line,
    make_display,
)
from frankrl.environments import describe, described_by_data
from frankrl.runs.data_origin import DataOrigin
from frankrl.training import Evaluated, Progress, SavingFailed
from frankrl.training.evaluation import Evaluation
from frankrl.training.in_words import evaluation_lines
from frankrl.training.result import TrainingResult
from frankrl.training.state import Experiment

PROGRESS = Progress(
    env_steps=1_000,
    total_env_steps=50_000,
    updates=900,
    updates_since_refresh=1,
    episodes=12,
    mean_return=0.9553,
    mean_length=20.0,
    epsilon=0.9,
    loss=0.000123,
    mean_q=46.66,
    mean_max_q=47.0,
    mean_target=46.0,
    mean_abs_td_error=0.5,
    gradient_norm=1.5,
    learning_rate=1e-3,
    env_steps_per_second=12_000.0,
    seconds=3.0,
)
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


class Terminal(io.StringIO):
    """A terminal that keeps what is written."""

    def isatty(self):
        return True


def live(monkeypatch, width):
    """A live display on a terminal of this width, with numbers on it."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    display = LiveDisplay(terminal)
    display._bar.update(display._training, total=50_000)
    display.open()
    display.show(PROGRESS)
    return display, terminal


@pytest.mark.parametrize("width", [40, 50, 80, 120])
@pytest.mark.parametrize(
    "line", ["  checkpoint runs/x/checkpoints/000000001000", "[dim]a line[/dim] " + "long " * 60]
)
def test_a_line_printed_beside_the_live_panel_and_the_panel_are_whole(monkeypatch, width, line):
    display, terminal = live(monkeypatch, width)
    display.log(line)
    display.close()
    drawn = ESCAPES.sub("", terminal.getvalue()).splitlines()
    assert line in drawn
    others = [text for text in drawn if text != line]
    assert not [text for text in others if "[dim]" in text or "[bold]" in text]
    framed = [text for text in others if text.startswith(("│", "╭", "╰"))]
    assert framed
    assert {len(text) for text in framed} == {width}
    assert all(text[-1] in "│╮╯" for text in framed)


@pytest.mark.parametrize("width", [50, 80, 120])
def test_no_number_of_the_panel_is_cut(monkeypatch, width):
    display, terminal = live(monkeypatch, width)
    display.log("")
    display.close()
    drawn = ESCAPES.sub("", terminal.getvalue())
    for words in ("mean return (100)", "0.9553", "0.000123", "1 update ago", "46.66", "12,000"):
        assert words in drawn


def test_a_note_is_taken_without_printing_so_a_signal_may_bring_it(monkeypatch):
    display, terminal = live(monkeypatch, 80)
    before = terminal.getvalue()
    monkeypatch.setattr(display._console, "print", lambda *_, **__: pytest.fail("printed"))
    display.note("stopping after this round")
    monkeypatch.undo()
    assert terminal.getvalue().startswith(before)
    display._live.refresh()
    display.close()
    assert "stopping after this round" in terminal.getvalue()


def test_an_evaluation_has_a_bar_over_its_episodes_while_it_is_played(monkeypatch):
    display, terminal = live(monkeypatch, 80)
    for done in (0, 40, 100):
        display.show_episodes(done, 100)
        display._live.refresh()
    shown = ESCAPES.sub("", terminal.getvalue())
    assert "40 / 100 episodes" in shown
    assert "100 / 100 episodes" not in shown
    display.close()


def evaluated(returns, purpose="progress"):
    evaluation = Evaluation(np.array(returns), np.full(len(returns), 7))
    return Evaluated(1_000, evaluation, purpose)


@pytest.mark.parametrize(
    ("returns", "words"),
    [
        ([1.0] * 19 + [0.1], "mean return 0.955 over 20 greedy episodes"),
        ([0.955], "mean return 0.955 over 1 greedy episode"),
        ([250.0, 270.0], "mean return 260 over 2 greedy episodes"),
        ([-0.0021, -0.0023], "mean return -0.00220 over 2 greedy episodes"),
    ],
)
def test_an_evaluation_has_as_many_digits_as_its_spread_allows(returns, words):
    for event in (evaluated(returns), evaluated(returns, "solved")):
        assert event_line(event, Clock.ENV_STEPS).endswith(words)


@pytest.mark.parametrize(
    ("returns", "words"),
    [
        ([1.0] * 95 + [0.1] * 5, ("0.955", "± 0.196", "worst 0.100", "best 1.000")),
        ([0.955] * 5, ("0.955 ± 0 ", "interval of the mean 0.955 … 0.955", "worst 0.955")),
        ([500.0] * 5, ("mean return 500 ± 0 ", "best 500")),
        ([200.0, 300.0] * 100, ("mean return 250.0 ± 50.0 ", "best 300.0")),
    ],
)
def test_the_final_evaluation_shows_returns_between_0_and_1(returns, words):
    text = "\n".join(evaluation_lines(evaluated(returns).evaluation.summary(), 475.0))
    for part in words:
        assert part in text
    assert "solved at 475: " in text


def ended(*, updates=50, stopped=False, marks=()):
    return TrainingResult(
        run=Path("runs/r"),
        env_steps=1,
        updates=updates,
        seconds=1.0,
        startup_seconds=0.5,
        solved=None,
        best=None,
        evaluation=None,
        not_reproducible=list(marks),
        clock=Clock.ENV_STEPS,
        stopped=stopped,
    )


DATA = DataOrigin("x-v0", "0" * 64, 1, 10, 0.0)


def of_environment(env_id):
    return Experiment.of(Settings().resolved(), describe(env_id, {}), 0)


def of_data(observations, **changes):
    """A run that learns from a data set without an environment."""
    settings = Settings().with_changes(dataset="data/x", **changes).resolved()
    spaces = (observations, gymnasium.spaces.Discrete(2))
    spec = described_by_data(absent_env("x-v0"), *spaces, settings, has_masks=False)
    return Experiment.of(settings, spec, 0, DATA)


def offered(result, experiment, monkeypatch, installed=True, data=""):
    monkeypatch.setattr(results, "_are_installed", lambda *_: installed)
    lines = ending_lines(result, experiment, data)
    return [line.split()[1:] for line in lines[lines.index("Next:") + 1 :]]


def test_what_comes_next_names_every_command_that_works(monkeypatch):
    commands = offered(ended(stopped=True), of_environment("CartPole-v1"), monkeypatch)
    assert commands == [
        ["train", "--resume", "runs/r"],
        ["evaluate", "runs/r"],
        ["film", "runs/r"],
        ["explain", "runs/r", "--update", "50"],
        ["plot", "runs/r"],
        ["dashboard", "runs/r"],
    ]


@pytest.mark.parametrize(
    ("changes", "env_id", "verb"),
    [
        ({}, "probe_envs:FrankPlain-v0", "film"),
        ({"updates": 0}, "CartPole-v1", "explain"),
        ({"marks": ({"env_steps": 3, "reason": "it was moved"},)}, "CartPole-v1", "explain"),
    ],
)
def test_what_would_not_work_is_not_offered(changes, env_id, verb, monkeypatch):
    commands = offered(ended(**changes), of_environment(env_id), monkeypatch)
    assert verb not in {command[0] for command in commands}


def test_what_needs_packages_is_offered_only_with_them(monkeypatch):
    experiment = of_environment("CartPole-v1")
    commands = offered(ended(), experiment, monkeypatch, installed=False)
    assert {"plot", "dashboard"}.isdisjoint(command[0] for command in commands)


BOX, NUMBERED = gymnasium.spaces.Box(-1, 1, (3,)), gymnasium.spaces.Discrete(9)
RECURRENT = {"memory": "gru", "memory_units": 4, "sequence_steps": 8, "burn_in_steps": 2}
RESUME, OPEN = ["train", "--resume", "runs/r"], ["explain", "runs/r", "--update", "50"]
ESTIMATE, NAMED = ["evaluate", "runs/r", "--fqe"], ["--dataset", "data/x"]


@pytest.mark.parametrize(
    ("observations", "changes", "data", "expected"),
    [
        (BOX, {}, "data/x", [[*RESUME, *NAMED], [*ESTIMATE, *NAMED], OPEN]),
        (BOX, {}, "", [RESUME, OPEN]),
        (BOX, RECURRENT, "data/x", [RESUME, OPEN]),
        (NUMBERED, {"q_function": "table"}, "", [RESUME, OPEN]),
        (NUMBERED, {"algorithm": "bc"}, "data/x", [[*RESUME, *NAMED], [*ESTIMATE, *NAMED], OPEN]),
    ],
    ids=["network", "data not read", "memory", "table", "cloning"],
)
def test_without_an_environment_nothing_is_offered_that_needs_one(
    observations, changes, data, expected, monkeypatch
):
    """A network with memory cannot be estimated from data either, and nobody knows the folder of
    data that were not read."""
    experiment = of_data(observations, **changes)
    commands = offered(ended(stopped=True), experiment, monkeypatch, installed=False, data=data)
    assert commands == expected


def test_a_cloned_policy_of_numbered_states_has_no_table_to_show(monkeypatch):
    settings = Settings().with_changes(dataset="data/x", algorithm="bc").resolved()
    experiment = Experiment.of(settings, describe("frankrl/NineSquares-v0", {}), 0, DATA)
    assert ["explain", "runs/r"] not in offered(ended(), experiment, monkeypatch)


@pytest.mark.parametrize(
    ("best", "is_clear"), [(500.0, True), (81.0, True), (79.0, False), (64.0, False)]
)
def test_a_clearly_better_agent_of_before_is_what_comes_next(best, is_clear, monkeypatch):
    """The final interval ends at 70, and one standard deviation more is 80."""
    final = {"episodes": 20, "mean_return": 65.0, "std_return": 10.0, "interval_95": [60.0, 70.0]}
    final |= {"min_return": 1.0, "median_return": 64.0, "max_return": 99.0, "mean_length": 65.0}
    earlier = {"env_steps": 10_000, "mean_return": best}
    result = dataclasses.replace(ended(), env_steps=20_000, best=earlier, evaluation=final)
    experiment, added = of_environment("CartPole-v1"), ["--best"] * is_clear
    commands = offered(result, experiment, monkeypatch)
    assert commands[:2] == [["evaluate", "runs/r", *added], ["film", "runs/r", *added]]
    line = f"The agent at env step 10,000 was better, its mean return was {best:.0f}: --best takes"
    assert is_clear == any(one.startswith(line) for one in ending_lines(result, experiment))
    newest = dataclasses.replace(result, env_steps=10_000)
    assert offered(newest, experiment, monkeypatch)[0] == ["evaluate", "runs/r"]


def test_one_step_is_singular():
    lines = ending_lines(ended(updates=1), of_environment("CartPole-v1"))
    assert any("after 1 env step and 1 update," in line for line in lines)


def rows(display, seconds_each):
    """How many of 250 rows of metrics a display prints; a row is 1,000 of 250,000 env steps."""
    display.log = lambda text, printed=[]: (
        printed.append(text) or display.__dict__.update(n=printed)
    )
    for row in range(1, 251):
        display.show(
            PROGRESS._replace(
                env_steps=1_000 * row, total_env_steps=250_000, seconds=seconds_each * row
            )
        )
    return len(display.n)


def test_in_a_pipe_a_fast_run_has_a_line_for_each_twentieth():
    assert rows(PlainDisplay(io.StringIO()), 0.1) == 20


def test_in_a_pipe_a_slow_run_has_a_line_every_half_minute():
    assert rows(PlainDisplay(io.StringIO()), 10.0) == 84


def test_verbose_prints_each_row_even_on_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    assert rows(make_display(Terminal(), verbose=True), 0.1) == 250


def test_quiet_shows_what_went_wrong_and_the_result_alone():
    stream = io.StringIO()
    display = make_display(stream, quiet=True)
    display.show(PROGRESS)
    display.show(evaluated([1.0, 2.0]))
    display.show(SavingFailed(1_000, "a checkpoint", "no space is left", None))
    display.end(["the result"])
    first, second = stream.getvalue().splitlines()
    assert "writing failed" in first
    assert second == "the result"


def test_the_age_of_the_target_network_has_its_unit():
    for updates, words in ((0, "(target 0 updates old)"), (1, "(target 1 update old)")):
        event = PROGRESS._replace(updates_since_refresh=updates)
        for clock in Clock:
            assert words in event_line(event, clock)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"dataset": "data/x", "total_updates": 1},
            "1 update, rounded up to 50: a round has updates_per_round = 50",
        ),
        ({"dataset": "data/x", "total_updates": 100}, "100 updates"),
        ({"total_env_steps": 1}, "1 env step"),
    ],
)
def test_updates_that_whole_rounds_add_are_told_at_the_start(changes, words):
    assert budget_in_words(Settings().with_changes(**changes)) == words
