"""Runs that move between processes of their own: killed, or frozen and woken up again."""

import signal
import time

import pytest
from hanging import HANGS_AFTER_SECONDS
from robustness.runs import Case, contents, finished, frank, small_chunks, train

from frankrl.runs.publishing import Log, fetch, open_storage, published_status

CASE = Case("CartPole-v1", 8, True, 0, 2_000)
LEASE = ("--lease-seconds", "2")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    path = tmp_path_factory.mktemp("undisturbed") / "run"
    assert train(CASE, path)[0] == 0
    return contents(path)


def begun(address, out):
    """A process that has published a few states."""
    process = frank("train", *CASE.flags(), "--publish", address, *LEASE, "--out", out)
    until = time.monotonic() + HANGS_AFTER_SECONDS
    while (status := published_status(address)) is None or (status.env_steps or 0) < 400:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)
    return process


def taken_over(address, out):
    status, errors = finished(
        frank("train", *CASE.flags(), "--publish", address, *LEASE, "--out", out)
    )
    assert status == 0, errors
    return errors


def test_a_run_whose_process_was_killed_is_taken_over_to_the_same_bits(undisturbed, tmp_path):
    address = tmp_path / "shared"
    process = begun(address, tmp_path / "first")
    process.kill()
    process.communicate()
    assert not published_status(address).finished
    errors = taken_over(address, tmp_path / "second")
    assert f"is held by process {process.pid} on" in errors
    assert "not bit-exact" not in errors
    with small_chunks():
        assert contents(tmp_path / "second") == undisturbed
        assert contents(fetch(address, tmp_path / "fetched")) == undisturbed


def test_a_frozen_process_that_wakes_up_is_refused_by_name(undisturbed, tmp_path):
    address = tmp_path / "shared"
    process = begun(address, tmp_path / "first")
    process.send_signal(signal.SIGSTOP)
    try:
        taken_over(address, tmp_path / "second")
        before = [record.sha256 for record in Log(open_storage(address)).history()]
    finally:
        process.send_signal(signal.SIGCONT)
    status, errors = finished(process)
    assert status == 2
    line = errors.splitlines()[-1]
    second = published_status(address)
    assert f"was taken over by process {second.pid} on {second.host} with fencing number" in line
    assert f"process {process.pid} on {second.host}, number 1)" in line
    assert [record.sha256 for record in Log(open_storage(address)).history()] == before
    with small_chunks():
        assert contents(tmp_path / "second") == undisturbed
        assert contents(fetch(address, tmp_path / "fetched")) == undisturbed
