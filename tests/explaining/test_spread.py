"""Percentiles of the return distribution in `frank explain`."""

import numpy as np
import pytest

import frankrl
from frankrl.cli.main import main as frank
from frankrl.explaining.spread import PERCENTS
from frankrl.learning import make_head
from frankrl.learning.heads import CategoricalHead, QuantileHead

SHORT = {
    "preset": "default",
    "hidden_widths": (8,),
    "learning_starts_env_steps": 40,
    "evaluate_every_env_steps": 10_000,
    "final_evaluation_episodes": 1,
    "checkpoint_every_env_steps": 100,
    "total_env_steps": 160,
}


def test_the_percentiles_of_fixed_returns_are_where_their_shares_add_up():
    head = CategoricalHead(num_atoms=5, low=0, high=4)
    shares = np.array([0.1, 0.2, 0.4, 0.2, 0.1], np.float32)
    np.testing.assert_array_equal(head.percentiles(shares, PERCENTS), [0, 1, 2, 3, 3])


def test_the_percentiles_of_quantiles_are_their_own():
    head = QuantileHead(num_quantiles=100)
    quantiles = np.random.default_rng(0).permutation(100).astype(np.float32)
    np.testing.assert_array_equal(head.percentiles(quantiles, PERCENTS), [9, 24, 49, 74, 89])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"distribution": "c51", "value_max": 50.0}, "cross-entropy of the two distributions = "),
        pytest.param(
            {"distribution": "qr", "noisy": True},
            "quantile regression, linear beyond 1, = ",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"distribution": "iqn"},
            "quantile regression, linear beyond 1, = ",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_an_update_shows_the_predicted_distribution_and_its_target(
    changes, words, tmp_path, capsys
):
    run = tmp_path / "run"
    frankrl.train("CartPole-v1", out=run, **SHORT, **changes)
    assert frank(["explain", str(run), "--update", "50", "--transition", "3"]) == 0
    printed = capsys.readouterr().out
    record = frankrl.explain(run, update=50)
    assert f"{words}{record.losses[3]:.4g}" in printed
    head = make_head(frankrl.Settings().with_changes(**changes))
    for label, outputs, mean in (
        ("predicted", record.chosen_outputs, record.chosen_q),
        ("target", record.target_outputs, record.targets),
    ):
        numbers = [*head.percentiles(outputs[3], PERCENTS), mean[3]]
        (line,) = (line for line in printed.splitlines() if line.strip().startswith(f"{label} "))
        assert line.split()[-6:] == [f"{number:.4g}" for number in numbers]
    assert ("sample of the noise in its weights" in printed) == ("noisy" in changes)
