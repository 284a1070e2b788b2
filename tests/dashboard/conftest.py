import contextlib
import io
import json

import pytest
from dashboard_runs import served

import frankrl
from frankrl.cli.main import main as frank
from frankrl.runs import RunFolder

UPDATE = 123
"""The update that the tests open; opening one takes seconds."""

TRAINED = [
    *("train", "CartPole-v1", "--preset=default", "--hidden-widths", "16", "8"),
    *("--num-envs=2", "--n-step=3", "--double", "--total-env-steps=600"),
    *("--learning-starts-env-steps=100", "--target-period-updates=50", "--batch-size=32"),
    *("--log-every-env-steps=100", "--checkpoint-every-env-steps=300"),
    *("--evaluation-episodes=2", "--final-evaluation-episodes=2"),
]


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """A folder with two trained runs that differ only in their seed."""
    root = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        words = [*TRAINED, f"--seed={seed}", "--out", str(root / "cart" / f"s{seed}")]
        assert frank(words) == 0
    return root


@pytest.fixture(scope="session")
def port(root):
    """The port of a dashboard that serves these runs."""
    with served(root) as port:
        yield port


@pytest.fixture(scope="session")
def explained(root):
    """The output of `frank explain --json` for an update of the first run."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        words = ["explain", str(root / "cart" / "s0"), "--update", str(UPDATE), "--json"]
        assert frank(words) == 0
    return json.loads(printed.getvalue())


@pytest.fixture(scope="session")
def seeing(tmp_path_factory):
    """A run whose network sees two pictures at a time, alone below its folder."""
    path = tmp_path_factory.mktemp("seeing") / "run"
    frankrl.train(
        "MinAtar/Breakout-v1",
        preset="default",
        out=path,
        frame_stack=2,
        hidden_widths=(8,),
        batch_size=3,
        total_env_steps=60,
        learning_starts_env_steps=20,
        final_evaluation_episodes=None,
    )
    return RunFolder.open(path)
