"""Actors that run freely in real processes, and on a Ray cluster; slow, because these start slowly.

The clock decides what arrives when. Whatever it was, the run repeats from its record.
"""

import os
import subprocess
import sys

import numpy as np
import pytest
from ray_nodes import environment, ray_cluster, wait_for

from frankrl.explaining import cost_of, reopen
from frankrl.runs import MetricsReader, RunFolder, list_checkpoints

pytestmark = pytest.mark.slow

COMMON = {
    "--preset": "default",
    "--num-envs": 4,
    "--asynchronous-actors": 2,
    "--vector-steps-per-round": 10,
    "--n-step": 3,
    "--replay-sampling": "prioritised",
    "--hidden-widths": 32,
    "--learning-starts-env-steps": 200,
    "--checkpoint-every-env-steps": 1_000,
    "--keep-checkpoints": 20,
    "--log-every-env-steps": 500,
    "--evaluate-every-env-steps": 4_000,
    "--evaluation-episodes": 1,
    "--final-evaluation-episodes": 1,
    "--total-env-steps": 4_000,
}


def train(out, *words):
    common = [str(word) for pair in COMMON.items() for word in pair]
    command = [sys.executable, "-m", "frankrl", "train", "LunarLander-v3", "--out", str(out)]
    return subprocess.Popen(
        [*command, *common, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment() | {"XLA_FLAGS": os.environ.get("XLA_FLAGS", "")},
    )


def second_checkpoint(training, out):
    wait_for(
        lambda: training.poll() is not None or len(list_checkpoints(out / "checkpoints")) > 1,
        "the second checkpoint",
    )
    assert training.poll() is None, training.communicate()


def ended(training):
    _, errors = training.communicate()
    assert training.returncode == 0, errors


def assert_repeats(out):
    """Every stretch between two checkpoints comes to the state at the end of it; this process holds
    it against digests, metrics and weights that the run has recorded."""
    folder = RunFolder.open(out)
    reader = MetricsReader(folder.metrics)
    arrivals = reader.columns("arrivals")
    reader.close()
    assert len(arrivals["env_steps"]) == 4_000 // 20
    for actor in range(2):
        chunks = arrivals["chunk"][arrivals["actor"] == actor]
        np.testing.assert_array_equal(chunks, np.arange(len(chunks)))
    for update in (1, 1_501, 3_781):
        assert reopen(folder, update, cost=cost_of(folder, update)).record.update == update


def test_a_run_whose_actors_are_processes_is_killed_and_repeats_with_what_came_after(tmp_path):
    out = tmp_path / "run"
    training = train(out)
    second_checkpoint(training, out)
    training.kill()
    training.communicate()
    resumed = subprocess.run(
        [sys.executable, "-m", "frankrl", "train", "--resume", str(out)],
        capture_output=True,
        env=environment(),
        check=False,
        text=True,
    )
    assert resumed.returncode == 0, resumed.stderr
    assert_repeats(out)


def test_a_run_on_a_cluster_that_loses_a_node_repeats(tmp_path):
    pytest.importorskip("ray")
    with ray_cluster(tmp_path / "ray", nodes=2) as cluster:
        out = tmp_path / "run"
        training = train(out, "--ray", cluster.address)
        try:
            second_checkpoint(training, out)
            cluster.nodes[0].kill()
            ended(training)
        finally:
            training.kill()
            training.wait()
    assert_repeats(out)
