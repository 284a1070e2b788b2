import json

import pytest

from frankrl.cluster.run_watch import RunWatch
from frankrl.config import Settings
from frankrl.runs import RunDescription
from frankrl.runs.publishing import FINISHED, LeaseKeeper, Log, Ownership, open_storage
from frankrl.runs.publishing.records import saved_content

RUN = RunDescription("CartPole-v1", "default", 0, Settings().resolved())
LEASE_SECONDS = 600.0


def claimed(folder):
    """Another process takes the run."""
    log = Log(open_storage(folder))
    head, last = log.head()
    owned = Ownership.claimed(log, head, last, RUN, LEASE_SECONDS)
    assert owned is not None
    return owned


@pytest.fixture
def watch(tmp_path):
    return RunWatch(tmp_path)


def test_a_run_that_nobody_has_claimed_is_not_begun(watch):
    assert watch.begin() == ""
    assert watch.state(0.0) == "not begun"
    assert watch.env_steps == 0


def test_a_run_is_lost_when_its_lease_was_watched_unchanged_for_its_length(watch, tmp_path):
    watch.begin()
    claimed(tmp_path)
    assert watch.state(1_000.0) == "under way"
    assert watch.state(1_000.0 + LEASE_SECONDS - 1) == "under way"
    assert watch.state(1_000.0 + LEASE_SECONDS) == "lost"


def test_a_lease_that_is_renewed_or_given_up_is_told(watch, tmp_path):
    watch.begin()
    keeper = LeaseKeeper(claimed(tmp_path))
    assert watch.state(0.0) == "under way"
    keeper.stop(give_up=True)
    assert watch.state(0.0) == "lost"


def test_an_expired_lease_of_an_earlier_process_is_not_the_tasks_own(watch, tmp_path):
    claimed(tmp_path)
    assert watch.begin() != ""
    watch.state(0.0)
    assert watch.state(10 * LEASE_SECONDS) == "not begun"
    claimed(tmp_path)
    watch.state(10 * LEASE_SECONDS)
    assert watch.state(11 * LEASE_SECONDS) == "lost"


def test_a_run_that_has_come_to_its_end_is_finished_whoever_wrote_it(watch, tmp_path):
    watch.begin()
    claimed(tmp_path).append(FINISHED, saved_content(700, {}, {"stopped": False}))
    assert watch.state(0.0) == "finished"
    assert watch.env_steps == 700


def test_a_clock_that_is_wrong_loses_no_run_whose_lease_is_renewed(watch, tmp_path, monkeypatch):
    watch.begin()
    claim = claimed(tmp_path).claim
    # The watcher's clock is ahead of the owner's by two leases and more.
    monkeypatch.setattr("time.time", lambda: claim.time + 3 * LEASE_SECONDS)
    for renewal in range(1, 5):
        assert watch.state(renewal * LEASE_SECONDS / 3) == "under way"
        data = {"counter": renewal, "time": claim.time, "lease_seconds": LEASE_SECONDS}
        open_storage(tmp_path).put("lease/000001.json", json.dumps(data).encode())
    assert watch.state(2 * LEASE_SECONDS) == "under way"
    assert watch.state(3 * LEASE_SECONDS) == "lost"
