"""Published runs as the page gets them."""

import json

import pytest
from dashboard_published import publish
from dashboard_runs import make_run

from frankrl.dashboard import published_jobs
from frankrl.dashboard.run_table import RunTable


def jobs(run_table):
    """The published runs by name."""
    run_table.refresh()
    return {job["name"]: job for job in json.loads(run_table.published.payload())["jobs"]}


def test_a_job_has_its_node_its_lease_and_its_newest_checkpoint(tmp_path):
    publish(tmp_path / "sweep" / "published" / "a", pid=7, env_steps=(100, 200))
    make_run(tmp_path / "run")
    run_table = RunTable(tmp_path)
    (job,) = jobs(run_table).values()
    assert (job["name"], job["env_id"]) == ("sweep/published/a", "CartPole-v1")
    assert (job["host"], job["pid"], job["cpu"], job["fence"]) == ("node-1", 7, "CPU A", 1)
    assert (job["lease"], job["finished"], job["env_steps"]) == ("held", False, 200)
    assert 1 <= job["renewed_seconds"] < 20
    assert 0 <= job["published_seconds"] < 20
    assert job["differences"] == []
    event = json.loads(run_table.rows_since(-1)[1])
    assert event["jobs"] == 1
    assert [row["name"] for row in event["rows"]] == ["run"]


@pytest.mark.parametrize(
    ("renewed", "lease"), [(0, "held"), (60, "unknown"), (1_000, "expired"), (-500, "held")]
)
def test_a_lease_is_told_by_its_age(tmp_path, renewed, lease):
    publish(tmp_path / "a", renewed=renewed)
    (job,) = jobs(RunTable(tmp_path)).values()
    assert job["lease"] == lease
    assert job["env_steps"] is None
    assert job["published_seconds"] is None
    assert job["renewed_seconds"] >= 0


def test_a_run_that_was_taken_over_has_the_new_owner_and_says_whether_it_is_exact(tmp_path):
    for name, cpus in {
        "same": ("A", "A"),
        "other": ("A", "B"),
        "nothing_saved": ("B", "A"),
    }.items():
        first = () if name == "nothing_saved" else (100,)
        publish(tmp_path / name, cpu=cpus[0], env_steps=first, renewed=999)
        publish(tmp_path / name, host="node-2", cpu=cpus[1], env_steps=(200, 300), finished=True)
    found = jobs(RunTable(tmp_path))
    assert {job["host"] for job in found.values()} == {"node-2"}
    assert {name: job["fence"] for name, job in found.items()} == {
        "same": 3,
        "other": 3,
        "nothing_saved": 2,
    }
    assert all(job["finished"] and job["env_steps"] == 300 for job in found.values())
    assert found["other"]["differences"] == ["cpu was 'A' and is 'B'"]
    assert found["same"]["differences"] == found["nothing_saved"]["differences"] == []


@pytest.mark.parametrize(
    "record", [b"{", b"[]", b'{"format": 1}', b"[" * 100_000, b'{"format": 1, "after": [1]}']
)
def test_a_damaged_record_is_told_and_hides_no_other_job(tmp_path, record):
    publish(tmp_path / "good", env_steps=(100,))
    (tmp_path / "bad" / "lease").mkdir(parents=True)
    (tmp_path / "bad" / "log").mkdir()
    (tmp_path / "bad" / "log" / "000001.json").write_bytes(record)
    found = jobs(RunTable(tmp_path))
    assert found["bad"]["error"]
    assert found["good"]["env_steps"] == 100


def test_links_are_not_followed(tmp_path):
    publish(tmp_path / "outside" / "secret")
    root = tmp_path / "root"
    (root / "linked").mkdir(parents=True)
    (root / "whole").symlink_to(tmp_path / "outside" / "secret")
    for name in ("log", "lease"):
        (root / "linked" / name).symlink_to(tmp_path / "outside" / "secret" / name)
    assert jobs(RunTable(root)) == {}


def test_a_job_is_read_again_only_when_it_can_have_changed(tmp_path, monkeypatch):
    read = []
    original = published_jobs.published_status
    monkeypatch.setattr(
        published_jobs, "published_status", lambda path: read.append(path.name) or original(path)
    )
    publish(tmp_path / "a", env_steps=(100,), finished=True)
    run_table = RunTable(tmp_path)
    for _ in range(3):
        assert jobs(run_table)["a"]["finished"]
    assert read == ["a"]
    publish(tmp_path / "b")
    assert jobs(run_table)["b"]["fence"] == 1
    publish(tmp_path / "b", env_steps=(100,))
    assert jobs(run_table)["b"]["env_steps"] == 100
    assert read == ["a", "b", "b"]
    # Without a new file its lease may expire.
    monkeypatch.setattr(published_jobs, "_AGAIN_SECONDS", 0.0)
    jobs(run_table)
    assert read == ["a", "b", "b", "b"]


def test_at_most_so_many_jobs_are_read(tmp_path, monkeypatch):
    for name in "abc":
        publish(tmp_path / name)
    monkeypatch.setattr(published_jobs, "MAX_JOBS", 2)
    run_table = RunTable(tmp_path)
    assert set(jobs(run_table)) == {"a", "b"}
    assert json.loads(run_table.published.payload())["limit"] == 2
