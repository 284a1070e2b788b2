"""The whole Q-table of a run with numbered states, and the exact one."""

import json

import gymnasium
import numpy as np
import pytest
from long_forms import some_of
from nine_squares_data import write_squares

import frankrl
from frankrl.cli.main import main as frank
from frankrl.environments import describe
from frankrl.explaining.text import as_text
from frankrl.explaining.whole_table import WholeTable, table_document, whole_table
from frankrl.tabular import exact, model_of, optimal_q_values

ENV = "frankrl/NineSquares-v0"
SHORT = {"evaluate_every_env_steps": 10**6, "final_evaluation_episodes": 5}


@pytest.fixture(scope="module", params=some_of(["table", "network"], ["network"]))
def run(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "run"
    changes = {} if request.param == "table" else {"hidden_widths": (16,), "num_envs": 4}
    frankrl.train(
        ENV, q_function=request.param, out=path, total_env_steps=1_500, **changes, **SHORT
    )
    return request.param, path


def test_the_agents_table_is_shown_with_the_exact_one_below(run, capsys):
    holder, path = run
    assert frank(["explain", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"The Q-{holder}" in lines
    agent = frankrl.load(path)
    values = agent.q_values(np.arange(9))
    exact = optimal_q_values(model_of(agent.spec), 0.99)
    rows = [line.split() for line in lines if line.split()[:1] and line.split()[0].isdigit()]
    assert len(rows) == 2 * 9
    for state, (row, exact_row) in enumerate(zip(rows[:9], rows[9:], strict=True)):
        place = [str(state), "(row", f"{state // 3},", "column", f"{state % 3})"]
        assert row[:9] == [*place, *(f"{value:.4g}" for value in values[state])]
        assert exact_row[:9] == [*place, *(f"{value:.4g}" for value in exact[state])]
    largest = np.abs(values - exact)[[0, 1, 2, 3, 5, 6, 7]].max()
    assert lines[-1].endswith(f": {largest:.4g}")


def test_as_json_it_is_the_same_numbers(run, capsys):
    _, path = run
    assert frank(["explain", str(path), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    agent = frankrl.load(path)
    assert data["q_table"] == agent.q_values(np.arange(9)).tolist()
    assert np.shape(data["exact"]) == (9, 4)


def test_as_a_page_it_has_a_row_for_each_state(run, tmp_path, capsys):
    _, path = run
    assert frank(["explain", str(path), "--html", str(tmp_path / "table.html")]) == 0
    page = (tmp_path / "table.html").read_text("utf-8")
    assert page.count('<th scope="row">') == 2 * 9


def test_an_update_of_it_names_states_by_their_number(run, capsys):
    holder, path = run
    assert frank(["explain", str(path), "--update", "100"]) == 0
    printed = capsys.readouterr().out
    record = frankrl.explain(path, update=100)
    row, column = divmod(int(record.batch.observation[0]), 3)
    assert f"   s = {record.batch.observation[0]} (row {row}, column {column})\n" in printed
    assert f"2. The Q-{holder} evaluates s" in printed
    assert f"3. The target {holder} evaluates s′" in printed
    assert ("plain gradient descent, learning rate" in printed) == (holder == "table")


class Numbered(gymnasium.Env):
    """Three states, numbered from 5."""

    observation_space = gymnasium.spaces.Discrete(3, start=5)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = 5
        return self.state, {}

    def step(self, action):
        self.state = min(self.state + 1, 7)
        return self.state, 1.0, self.state == 7, False, {}


def test_states_have_the_environments_own_numbers(tmp_path, capsys):
    gymnasium.register("Numbered-v0", Numbered)
    try:
        frankrl.train(
            "Numbered-v0", q_function="table", out=tmp_path / "run", total_env_steps=50, **SHORT
        )
        assert frank(["explain", str(tmp_path / "run")]) == 0
        rows = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert [row[0] for row in rows if row and row[0].isdigit()] == ["5", "6", "7"]
        assert frank(["explain", str(tmp_path / "run"), "--update", "2"]) == 0
        printed = capsys.readouterr().out
        assert "   s = 6\n   s′ = 7\n" in printed
    finally:
        del gymnasium.registry["Numbered-v0"]


@pytest.mark.filterwarnings("default::frankrl.core.errors.FrankWarning")
def test_exact_values_that_do_not_converge_are_left_out(run, capsys, monkeypatch):
    monkeypatch.setattr(exact, "_MAX_SWEEPS", 1)
    assert frank(["explain", str(run[1])]) == 0
    printed = capsys.readouterr()
    assert "the exact values are left out: with γ = 0.99" in printed.err
    assert "exact" not in printed.out


def test_without_a_model_there_is_the_agents_table_alone():
    table = WholeTable(np.zeros((9, 4)), None)
    lines = as_text(table_document(table, describe(ENV, {}), "Q-table", "a test's"))
    assert table.error is None
    assert not any("exact" in line for line in lines)
    assert lines[-1].endswith("–")  # no action of state 8 is better than another


def test_of_a_run_without_an_environment_the_agents_table_is_shown(tmp_path, capsys):
    pytest.importorskip("h5py")
    path, data = tmp_path / "run", write_squares(tmp_path, 5)
    short = {"preset": "default", "total_updates": 40, "final_estimate_updates": None}
    frankrl.train(None, dataset=str(data), q_function="table", out=path, progress=False, **short)
    assert frank(["explain", str(path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["q_table"] == frankrl.load(path).q_values(np.arange(9)).tolist()
    assert shown["exact"] is None


def test_a_perfect_rescaled_table_has_no_error():
    spec = describe(ENV, {})
    exact = optimal_q_values(model_of(spec), 0.9)
    perfect = np.sign(exact) * (np.sqrt(np.abs(exact) + 1) - 1) + exact / 1000

    def q_values(states):
        return perfect[np.asarray(states).reshape(-1)], None

    table = whole_table(spec, q_values, 0.9, is_rescaled=True)
    assert table.error < 1e-12
    assert whole_table(spec, q_values, 0.9).error > 0.1
    lines = as_text(table_document(table, spec, "Q-table", ""))
    assert any("Q-values are on the scale h of value_rescaling" in line for line in lines)
    assert any(line.strip().startswith("on the scale h, too") for line in lines)


def test_the_command_says_that_a_table_is_rescaled(tmp_path, capsys):
    path = tmp_path / "run"
    frankrl.train(
        ENV, q_function="table", value_rescaling=True, out=path, total_env_steps=100, **SHORT
    )
    capsys.readouterr()
    assert frank(["explain", str(path)]) == 0
    assert "Q-values are on the scale h of value_rescaling" in capsys.readouterr().out
