"""Actors on the nodes of a real Ray cluster on this machine; slow, because Ray starts slowly."""

import os
import subprocess
import sys

import pytest
from ray_nodes import environment, ray_cluster, wait_for
from robustness.runs import contents

from frankrl.runs import list_checkpoints

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

FLAGS = {
    "LunarLander-v3": ["--n-step", "3"],
    "MinAtar/Breakout-v1": ["--frame-stack", "2", "--no-overlap"],
}
COMMON = {
    "--preset": "default",
    "--num-envs": 4,
    "--hidden-widths": 32,
    "--learning-starts-env-steps": 200,
    "--checkpoint-every-env-steps": 1_000,
    "--log-every-env-steps": 500,
    "--evaluate-every-env-steps": 4_000,
    "--evaluation-episodes": 1,
    "--final-evaluation-episodes": 1,
    "--total-env-steps": 12_000,
}


def train(env_id, out, *words):
    common = [str(word) for pair in COMMON.items() for word in pair]
    command = [sys.executable, "-m", "frankrl", "train", env_id, "--out", str(out), *common]
    return subprocess.Popen(
        [*command, *FLAGS[env_id], *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment() | {"XLA_FLAGS": os.environ.get("XLA_FLAGS", "")},
    )


def ended(process):
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return errors


@pytest.mark.parametrize("env_id", FLAGS)
def test_a_node_is_lost_in_the_middle_and_the_bits_stay(env_id, tmp_path):
    alone = tmp_path / "alone"
    ended(train(env_id, alone))
    with ray_cluster(tmp_path / "ray", nodes=2) as cluster:
        out = tmp_path / "run"
        training = train(env_id, out, "--actors", "2", "--ray", cluster.address)
        try:
            wait_for(
                lambda: (
                    training.poll() is not None or len(list_checkpoints(out / "checkpoints")) > 1
                ),
                "the second checkpoint",
            )
            assert training.poll() is None, training.communicate()
            # Ray tries to spread the actors, and may put both on one node.
            actors = [len(node.processes("Served")) for node in cluster.nodes]
            assert sum(actors) == 2
            cluster.nodes[actors.index(max(actors))].kill()
            ended(training)
        finally:
            training.kill()
            training.wait()
        found = contents(out)
    assert found == contents(alone)
