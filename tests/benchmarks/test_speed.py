"""Which jobs the comparisons of speed give, and what their tables say."""

import json
import platform
import subprocess
import sys
from collections import Counter
from datetime import date
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from benchmarks import compare, minatar, read_rows
from benchmarks.peers import running, venvs
from benchmarks.peers.protocol import Job, made
from benchmarks.peers.tables import speed_table, tables


def job_of(**changes) -> Job:
    return Job("speed", "MinAtar/Breakout-v1", 0, 1.0, (128,), 32, **changes)


def test_every_library_gets_the_same_jobs_except_several_environments_for_cleanrl():
    given = minatar.jobs(minatar.Options(), seed=3)
    of_frank = [job for peer, job in given if peer == "frank"]
    assert len({json.dumps(job) for job in of_frank}) == len(of_frank) == 8
    assert [job for peer, job in given if peer == "sb3"] == of_frank
    assert [job for peer, job in given if peer == "cleanrl"] == [
        job for job in of_frank if job["num_envs"] == 1
    ]


def test_what_was_measured_before_is_still_what_the_comparison_asks_for():
    options = compare.Options(seconds=0.0, limit=0.0)
    asked = [given for seed in range(options.seeds) for given in compare.jobs(options, seed)]
    files = sorted((Path(compare.__file__).parent / "results").glob("compare*.jsonl"))
    assert files
    for row in (row for file in files for row in read_rows(file)):
        assert (row["peer"], row["job"] | {"seconds": 0.0}) in asked


def test_cleanrl_takes_part_in_the_comparison_of_speed_alone():
    given = compare.jobs(compare.Options(), seed=0)
    assert {job["task"] for peer, job in given if peer == "cleanrl"} == {"speed"}


@pytest.mark.parametrize(
    ("num_envs", "ratio", "vector_steps", "updates"),
    [(1, 0.25, 4, 1), (1, 1.0, 4, 4), (8, 0.25, 1, 2), (8, 1.0, 1, 8)],
)
def test_a_round_has_four_env_steps_or_one_of_each_environment(
    num_envs, ratio, vector_steps, updates
):
    job = job_of(num_envs=num_envs, replay_ratio=ratio)
    assert job.vector_steps_per_round == vector_steps
    assert job.updates_per_round == updates


def test_the_target_network_is_as_old_in_updates_at_any_ratio():
    assert job_of(replay_ratio=0.25).target_period_env_steps == 1_000
    assert job_of(replay_ratio=1.0).target_period_env_steps == 250


@pytest.mark.parametrize("game", minatar.Options().games)
def test_stable_baselines3_has_the_weights_of_minatars_network(game):
    pytest.importorskip("stable_baselines3", exc_type=ImportError)
    from stable_baselines3 import DQN

    from benchmarks.peers.sb3 import policy_for

    env = made(game)
    policy, network = policy_for(env.observation_space, (128,))
    model = DQN(policy, env, buffer_size=1, policy_kwargs=network)
    planes, actions = env.observation_space.shape[-1], env.action_space.n
    # As tests/networks/test_picture_torsos.py counts Frank's own.
    expected = (9 * planes + 1) * 16 + (8 * 8 * 16 + 1) * 128 + 129 * actions
    assert sum(weight.numel() for weight in model.q_net.parameters()) == expected
    env.close()


def test_stable_baselines3_has_dense_layers_alone_where_there_is_no_picture():
    pytest.importorskip("stable_baselines3", exc_type=ImportError)
    from benchmarks.peers.sb3 import policy_for

    space = gymnasium.spaces.Box(-1, 1, (8,), np.float32)
    assert policy_for(space, (64, 64)) == ("MlpPolicy", {"net_arch": [64, 64]})


def test_a_job_is_done_once_and_one_that_failed_again(tmp_path, monkeypatch):
    done = Counter()

    def measured(python, peer, job):
        done[peer] += 1
        return {"failed": "no reason"} if peer == "sb3" else {"env_steps_per_second": 1.0}

    monkeypatch.setattr(running, "measured", measured)
    monkeypatch.setattr(running, "python_of", lambda *_: tmp_path)
    monkeypatch.setattr(running, "versions_of", lambda *_: {"numpy": "2.4.6"})
    wanted = [(peer, {"task": "speed", "seed": 0}) for peer in ("frank", "sb3")]
    for _ in range(2):
        rows = running.rows_of(wanted, tmp_path, (), tmp_path / "results.jsonl")
    assert done == {"frank": 1, "sb3": 2}
    assert [row["peer"] for row in rows] == ["frank", "sb3"]
    assert all(row["versions"] == {"numpy": "2.4.6"} for row in rows)
    assert all(date.fromisoformat(row["date"]) for row in rows)


def test_what_is_installed_is_not_asked_for_again(tmp_path, monkeypatch):
    asked = []

    def run(command, **_):
        asked.append(command[4:])
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(venvs.subprocess, "run", run)
    monkeypatch.setattr(venvs.venv, "create", lambda *_, **__: (tmp_path / "sb3").mkdir())
    for packages in (["gymnasium>=1"], ["gymnasium>=1"], ["minatar"]):
        (tmp_path / "sb3" / "bin").mkdir(parents=True, exist_ok=True)
        (tmp_path / "sb3" / "bin" / "python").touch()
        assert venvs.python_of("sb3", tmp_path, packages) == tmp_path / "sb3" / "bin" / "python"
    torch, sb3 = venvs.PEERS["sb3"]
    assert asked == [
        *(["--quiet", torch], ["--quiet", torch, sb3, "gymnasium>=1"]),
        *(["--quiet", torch], ["--quiet", torch, sb3, "minatar"]),
    ]


def test_the_versions_are_those_of_the_interpreter_that_is_asked():
    found = venvs.versions_of("frank", Path(sys.executable), ())
    assert found["python"] == platform.python_version()
    assert found["numpy"] == np.__version__


def test_a_library_that_cannot_be_installed_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "python_of", lambda *_: None)
    wanted = [("sb3", {"task": "speed"})]
    assert running.rows_of(wanted, tmp_path, (), tmp_path / "results.jsonl") == []


def row(peer: str, speed: float, **job) -> dict:
    given = {"task": "speed", "seed": 0, "env_id": "MinAtar/Breakout-v1", "num_envs": 1} | job
    measured = {"env_steps_per_second": speed, "startup_seconds": 1.0, "peak_memory_mib": 100}
    return {"peer": peer, "job": given} | measured


def test_a_row_of_the_table_has_the_median_each_turn_and_how_much_faster_frank_is():
    labels = {"env_id": "game", "num_envs": "environments"}
    rows = [
        *(row("frank", speed) for speed in (900, 3_000, 1_000)),
        row("frank", 4_000, num_envs=8),
        *(row("cleanrl", speed) for speed in (400, 500, 800)),
    ]
    assert speed_table(rows, labels).splitlines() == [
        "| game · environments | frank | cleanrl |",
        "|---|---|---|",
        "| MinAtar/Breakout-v1 · 1 | 1,000 (900, 3,000, 1,000) | 500 (400, 500, 800), 2.0× |",
        "| MinAtar/Breakout-v1 · 8 | 4,000 (4,000) | – |",
    ]


def test_the_tables_name_machine_days_load_and_versions():
    about = {"cpu": "A Processor", "cpus": 2}
    rows = [
        row("frank", 900)
        | about
        | {"load": 0.1, "date": "2026-11-28", "versions": {"jax": "1", "commit": "abc"}},
        row("sb3", 300) | about | {"load": 0.7, "date": "2026-11-29", "versions": {"torch": "2"}},
    ]
    assert tables(rows, {"env_id": "game"}).split("\n\n")[:2] == [
        "Measured 2026-11-28 to 2026-11-29 on A Processor, 2 CPUs. Load average before a job: 0.4, "
        "at most 0.7.",
        "| library | versions |\n|---|---|\n| frank | jax 1, commit abc |\n| sb3 | torch 2 |",
    ]


def test_the_tables_name_what_failed():
    failed = {"peer": "sb3", "job": {"task": "speed", "seed": 2}, "failed": "no torch"}
    assert tables([failed]) == "- sb3 failed (speed, seed 2): no torch"


def test_adapters_import_nothing_that_other_libraries_environments_lack():
    code = "import benchmarks.peers.protocol, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0
    imported = set(done.stdout.split())
    assert "gymnasium" in imported
    assert not imported & {"jax", "jaxtyping", "optax", "tyro", "frankrl.config"}
