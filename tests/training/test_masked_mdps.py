"""Actions that are not allowed: never taken, never counted, in any way of training."""

import contextlib
import json

import numpy as np
import pytest
from in_memory import experiment_of, greedy_policy, round_number
from long_forms import some_of
from robustness.runs import contents
from training import masked_mdps

import frankrl
from frankrl.cli.main import main as frank
from frankrl.config import Settings
from frankrl.core.random import Use
from frankrl.tabular import q_table
from frankrl.training.evaluator import Evaluator

ENV = "MaskedMDP-v0"
GAMMA = 0.5
NOT = -np.inf
# V(2) = -½, V(1) = ½ + γ V(2), V(0) = -½ + γ V(1).
TERMINATED = [[-0.875, -0.375, NOT], [NOT, -0.75, 0.25], [-1, -0.5, NOT]]
# V(0) = -½ + γ V(1), V(1) = ½ + γ V(2), V(2) = -½ + γ V(0): -3/7, 1/7 and -5/7.
TRUNCATED = [[-13 / 14, -3 / 7, NOT], [NOT, -6 / 7, 1 / 7], [-17 / 14, -5 / 7, NOT]]
# Three rewards of which the later two are those of random actions: means 0 and -¾.
THREE_STEPS = [[-1.1875, -0.6875, NOT], [NOT, -0.875, 0.125], [-1, -0.5, NOT]]
# Every pair of choices occurs.
WAYS = [
    # where, num_envs, n_step, overlap, double, end
    ("info", 1, 1, True, False, "terminated"),
    ("info", 1, 3, False, True, "terminated"),
    ("info", 4, 1, False, True, "truncated"),
    ("info", 4, 3, True, False, "terminated"),
    ("observation", 1, 1, False, False, "truncated"),
    ("observation", 1, 3, True, True, "terminated"),
    ("observation", 4, 1, True, True, "terminated"),
    ("observation", 4, 3, False, False, "terminated"),
]
# Every choice occurs.
QUICK_WAYS = [WAYS[number] for number in (0, 2, 5, 7)]


STATES = np.eye(3, 4, dtype=np.float32).reshape(3, 2, 2)


@pytest.mark.parametrize(
    ("where", "num_envs", "n_step", "overlap", "double", "end"), some_of(WAYS, QUICK_WAYS)
)
def test_a_masked_world_is_learned_and_nothing_forbidden_is_ever_done(
    where, num_envs, n_step, overlap, double, end
):
    settings = Settings().with_changes(
        env_kwargs={"where": where, "end": end},
        num_envs=num_envs,
        vector_steps_per_round=48 // num_envs,
        overlap=overlap,
        n_step=n_step,
        double=double,
        hidden_widths=(32,),
        gamma=GAMMA,
        learning_rate=5e-3,
        polyak_window_updates=100,
        target_period_updates=20,
        epsilon_start=1.0 if n_step > 1 else 0.5,
        epsilon_end=1.0 if n_step > 1 else 0.5,
        # So that the learner is compiled once: it learns from the first round on, and what short
        # episodes arrived at fits into the buffer as it begins.
        replay_capacity=100,
        batch_size=64,
        learning_starts_env_steps=48,
    )
    experiment = experiment_of(ENV, settings, seed=3)
    last = round_number(experiment, 18)
    policy = greedy_policy(experiment, last)
    expected = {"terminated": TERMINATED, "truncated": TRUNCATED}[end]
    expected = THREE_STEPS if n_step == 3 else expected
    found = policy.q_values(STATES, masked_mdps.ALLOWED == 1).q_values
    np.testing.assert_array_equal(np.isinf(found), np.isinf(expected))
    np.testing.assert_allclose(found, expected, atol=0.1)
    stored = last.state().replay
    newest = np.arange(last.ticks - 100, last.ticks) % stored.num_rows
    assert np.asarray(stored.mask)[newest, np.asarray(stored.action)[newest]].all()
    assert np.isfinite(last.output().metrics).all()
    with contextlib.closing(Evaluator(experiment.spec)) as evaluator:
        played = evaluator.evaluate(policy.q_values, 30, Use.EVALUATION_RESET, 1)
    np.testing.assert_array_equal(played.returns, [-0.5 + 0.5 - 0.5] * 30)


QUICK = {
    "preset": "default",
    "worker_processes": 0,
    "hidden_widths": (8,),
    "num_envs": 2,
    "n_step": 2,
    "dueling": True,
    "layer_norm": True,
    "loss": "huber",
    "learning_starts_env_steps": 60,
    "log_every_env_steps": 100,
    "evaluate_every_env_steps": 200,
    "evaluation_episodes": 2,
    "final_evaluation_episodes": 5,
    "checkpoint_every_env_steps": 100,
    "total_env_steps": 400,
}
TABLE = {
    "preset": "table",
    "worker_processes": 0,
    "evaluate_every_env_steps": 1_000,
    "final_evaluation_episodes": 5,
    "total_env_steps": 1_500,
}


@pytest.fixture(scope="module", params=some_of(["info", "observation"], ["observation"]))
def run(request, tmp_path_factory):
    """Where its masks come from, and its folder."""
    path = tmp_path_factory.mktemp("masked") / "run"
    chosen = QUICK | {"env_kwargs": {"where": request.param}}
    frankrl.train(ENV, out=path, **chosen)
    return request.param, path


def test_a_run_that_continues_comes_to_the_same_bits(run, tmp_path):
    where, path = run
    chosen = QUICK | {"env_kwargs": {"where": where}, "total_env_steps": 200}
    frankrl.train(ENV, out=tmp_path / "halves", **chosen)
    frankrl.resume(tmp_path / "halves", total_env_steps=400)
    assert contents(tmp_path / "halves") == contents(path)


def test_an_update_tells_what_was_not_allowed(run, tmp_path, capsys):
    _, path = run
    record = frankrl.explain(path, update=100)
    chosen = int(np.argmax(~record.terminated))
    told = ["explain", str(path), "--update", "100", "--transition", str(chosen)]
    assert frank(told) == 0
    lines = capsys.readouterr().out.splitlines()
    states = np.argmax(record.batch.observation.reshape(-1, 4), axis=1)
    (forbidden,) = np.flatnonzero(masked_mdps.ALLOWED[states[chosen]] == 0)
    assert f"   not allowed in s: action {forbidden}" in lines
    assert [line for line in lines if " = s[0] " in line and "s[4]" not in line]
    first = lines.index("2. The Q-network evaluates s") + 1
    values = record.q_values[chosen]
    for number, (line, value) in enumerate(zip(lines[first:], values, strict=False)):
        shown = "not allowed" if number == forbidden else f"{value:.4g}"
        assert line.removesuffix("  ← taken").endswith(f" {shown}")
    assert frank([*told, "--html", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page.count('<td class="number">not allowed</td><td></td>') == 3
    assert "inf" not in page.split("</style>")[1]


def test_as_json_what_is_not_allowed_has_no_value(run, capsys):
    _, path = run
    assert frank(["explain", str(path), "--update", "100", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    record = frankrl.explain(path, update=100)
    for name in ("q_values", "target_q_values"):
        for told, values in zip(data[name], getattr(record, name), strict=True):
            assert told == [None if value == NOT else value for value in values.tolist()]
    assert list(record.gradient_norms) == ["hidden[0]", "output", "all"]


def test_after_an_end_without_allowed_actions_all_count_as_allowed(run):
    _, path = run
    record = frankrl.explain(path, update=100)
    ended = record.terminated
    assert ended.any()
    assert record.batch.next_mask[ended].all()
    np.testing.assert_array_equal(record.targets[ended], record.batch.reward[ended])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "q_function"),
    [("info", "table"), ("observation", "network")],
)
def test_the_whole_table_has_a_value_in_every_cell(where, q_function, tmp_path, capsys):
    path, chosen = tmp_path / "run", QUICK if q_function == "network" else TABLE
    env_kwargs = {"where": where, "numbered": True}
    frankrl.train(ENV, out=path, env_kwargs=env_kwargs, gamma=GAMMA, **chosen)
    assert frank(["explain", str(path), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    loaded = frankrl.load(path)
    values = q_table(loaded.spec, lambda states: loaded.batch_q_values(states)[0])
    assert data["q_table"] == values.tolist()
    assert np.isfinite(data["q_table"]).all()
    if q_function == "table":
        # A cell that is never allowed stays as it began.
        expected = np.where(np.isinf(TERMINATED), 0, TERMINATED)
        np.testing.assert_allclose(data["q_table"], expected, atol=1e-3)
    assert frank(["explain", str(path)]) == 0
    told = capsys.readouterr().out
    assert "Q-values of actions that are not allowed are never learned" in told
    assert "best" not in told
    assert frank(["explain", str(path), "--update", "5"]) == 0
    assert "not allowed in s: action " in capsys.readouterr().out
