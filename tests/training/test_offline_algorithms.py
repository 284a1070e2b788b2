"""Cloning and CQL on data of the nine squares: closed forms, and what an opened update says."""

import jax
import numpy as np
import pytest
from nine_squares_data import SQUARES, write_squares

import frankrl
from frankrl.explaining import reopen
from frankrl.explaining.html import as_html
from frankrl.opening import open_network
from frankrl.runs import MetricsReader, RunFolder

pytest.importorskip("h5py")
ALPHA = 0.5
CHANCES = (0.1, 0.4, 0.3, 0.2)
LEARNED = {
    "q_function": "table",
    "total_updates": 3_000,
    "updates_per_round": 500,
    "batch_size": 256,
    "learning_rate": 0.05,
    "learning_rate_end": 1e-4,
    "evaluate_every_updates": None,
    "final_evaluation_episodes": None,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return frankrl.open_dataset(write_squares(tmp_path_factory.mktemp("data"), 200, CHANCES))


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    """A run of each algorithm, by its name."""
    place, found = tmp_path_factory.mktemp("runs"), {}
    own = {
        "bc": {"algorithm": "bc"},
        "cql": {"cql_weight": ALPHA, "gamma": 0.0, "target_period_updates": 100},
    }
    for name, changes in own.items():
        chosen = LEARNED | changes | {"dataset": str(data.folder)}
        frankrl.train(SQUARES, out=place / name, preset="default", progress=False, **chosen)
        found[name] = RunFolder.open(place / name)
    return found


def counts_of(data):
    """How often each action was taken in each square, and with which mean reward."""
    counts, rewards = np.zeros((2, 9, 4))
    for episode in data.episodes():
        np.add.at(counts, (episode.observations[:-1], episode.actions), 1)
        np.add.at(rewards, (episode.observations[:-1], episode.actions), episode.rewards)
    seen = counts.sum(axis=1) > 0
    return counts[seen], rewards[seen] / counts[seen], seen


def table_of(run):
    return np.asarray(open_network(run).params.output, np.float64)


def test_a_cloned_table_has_the_frequencies_of_the_data(data, runs):
    counts, _, seen = counts_of(data)
    policy = np.asarray(jax.nn.softmax(table_of(runs["bc"])[seen]))
    frequencies = counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(policy, frequencies, atol=0.03)


def test_a_table_of_cql_is_where_both_parts_of_the_gradient_cancel(data, runs):
    """With γ = 0 the target is r: 2 f(a) (Q - r) + α (softmax(Q)(a) - f(a)) = 0 for each a."""
    counts, rewards, seen = counts_of(data)
    q_values = table_of(runs["cql"])[seen]
    frequency = counts / counts.sum(axis=1, keepdims=True)
    softmax = np.asarray(jax.nn.softmax(q_values))
    parts = 2 * frequency * (q_values - rewards), ALPHA * (softmax - frequency)
    np.testing.assert_allclose(sum(parts), 0, atol=0.015)
    assert np.abs(parts[0]).max() > 0.05


def test_an_opened_update_of_cql_says_both_terms(runs):
    record = reopen(runs["cql"], 1_034).record
    rows = np.arange(len(record.losses))
    q_values = record.q_values.astype(np.float64)
    terms = np.log(np.exp(q_values).sum(axis=1)) - q_values[rows, record.batch.action]
    np.testing.assert_allclose(record.conservative_losses, ALPHA * terms, rtol=1e-4, atol=1e-6)
    whole = record.losses + record.conservative_losses
    assert record.loss == pytest.approx(whole.mean(), rel=1e-5)
    np.testing.assert_allclose(record.loss_shares, whole / whole.sum(), rtol=1e-4)
    assert record.loss_shares.sum() == pytest.approx(1, rel=1e-5)


def test_an_opened_update_of_cloning_has_a_policy_and_no_q_values(runs):
    told = frankrl.explain(runs["bc"].path, update=700, transition=3, progress=False)
    rows = np.arange(len(told.losses))
    policy = np.exp(told.logits) / np.exp(told.logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(told.policy, policy, rtol=1e-5)
    losses = -np.log(policy[rows, told.batch.action])
    np.testing.assert_allclose(told.losses, losses, rtol=1e-4, atol=1e-6)
    assert told.loss == pytest.approx(losses.mean(), rel=1e-5)
    assert not hasattr(told, "q_values")
    assert told._repr_html_().startswith("<iframe sandbox")
    titles = [section.title for section in told.document.sections]
    assert titles[1:3] == [
        "2. The network's policy in s",
        "3. The loss: how surprising the action of the data is",
    ]
    assert not any("target" in title for title in titles)
    page = as_html(told.document)
    assert "logit − max logit" in page
    assert "max Q" not in page


def test_the_metrics_of_cloning_name_no_q_values_and_its_agent_says_logit(runs):
    reader = MetricsReader(runs["bc"].metrics)
    try:
        columns = reader.columns("training")
    finally:
        reader.close()
    assert np.isfinite(columns["loss"].astype(float)).all()
    assert np.isfinite(columns["gradient_norm"].astype(float)).all()
    missing = ("mean_q", "mean_max_q", "mean_target", "mean_abs_td_error", "td_error_p50")
    for name in (*missing, "epsilon"):
        assert np.isnan(columns[name].astype(float)).all()
    assert frankrl.load(runs["bc"].path).output_name == "logit"
    assert frankrl.load(runs["cql"].path).output_name == "Q-value"
