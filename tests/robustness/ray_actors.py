"""Actors on the nodes of a real Ray cluster, of which one is lost: the same bits."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ray_nodes import environment, ray_cluster, wait_for

from frankrl.runs import list_checkpoints
from robustness.outcome import Outcome
from robustness.runs import contents

_FLAGS = {
    "LunarLander-v3": ["--n-step", "3"],
    "MinAtar/Breakout-v1": ["--frame-stack", "2", "--no-overlap"],
}
_COMMON: dict[str, Any] = {
    "--preset": "default",
    "--num-envs": 4,
    "--hidden-widths": 32,
    "--learning-starts-env-steps": 200,
    "--checkpoint-every-env-steps": 1_000,
    "--log-every-env-steps": 500,
    "--evaluate-every-env-steps": 4_000,
    "--evaluation-episodes": 1,
    "--final-evaluation-episodes": 1,
}


def study(
    work: Path, env_ids: Sequence[str] = tuple(_FLAGS), *, total_env_steps: int = 12_000
) -> Outcome:
    """Kill the node that holds most of a run's actors as soon as there are two checkpoints.

    Args:
        work: a folder for the runs.
        env_ids: what to train on; one run each.
        total_env_steps: how long.
    """
    outcome = Outcome("actors' nodes", "a node with actors of a run is killed: the same bits")
    for number, env_id in enumerate(env_ids):
        folder = work / f"run-{number}"
        whole = folder / "alone"
        status, errors = _ended(_train(env_id, whole, total_env_steps))
        assert status == 0, errors
        with ray_cluster(folder / "ray", nodes=2) as cluster:
            out = folder / "run"
            words = ("--actors", "2", "--ray", cluster.address)
            training = _train(env_id, out, total_env_steps, *words)
            try:
                _wait_for_the_second_checkpoint(training, out)
                # Ray tries to spread the actors, and may put both on one node.
                actors = [len(node.processes("Served")) for node in cluster.nodes]
                assert sum(actors) == 2
                cluster.nodes[actors.index(max(actors))].kill()
                status, errors = _ended(training)
            finally:
                training.kill()
                training.wait()
        same = status == 0 and contents(out) == contents(whole)
        outcome.note(same, f"{env_id}: exit {status}, or other bits: {errors[-500:]}")
        if same:
            shutil.rmtree(folder)
    return outcome


def _train(env_id: str, out: Path, total: int, *words: str) -> subprocess.Popen[str]:
    common = [str(word) for pair in _COMMON.items() for word in pair]
    command = [sys.executable, "-m", "frankrl", "train", env_id, "--out", str(out), *common]
    return subprocess.Popen(
        [*command, "--total-env-steps", str(total), *_FLAGS[env_id], *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment() | {"XLA_FLAGS": os.environ.get("XLA_FLAGS", "")},
    )


def _wait_for_the_second_checkpoint(training: subprocess.Popen[str], out: Path) -> None:
    wait_for(
        lambda: training.poll() is not None or len(list_checkpoints(out / "checkpoints")) > 1,
        "the second checkpoint",
    )
    assert training.poll() is None, training.communicate()


def _ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate()
    return process.returncode, errors
