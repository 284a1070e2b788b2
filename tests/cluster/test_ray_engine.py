"""The engine against a Ray that does nothing by itself: what it asks for, and when."""

import sys
import types
from pathlib import Path

import pytest

from frankrl.cluster import ray_engine
from frankrl.cluster.nodes import Node
from frankrl.cluster.ray_engine import RayEngine
from frankrl.config import Settings
from frankrl.core.errors import FrankError, FrankWarning, StorageError
from frankrl.jobs import Answer, Job, PruningRule, run_jobs
from frankrl.runs import RunDescription
from frankrl.runs.publishing import Log, Ownership, open_storage, records

EPYC, XEON = Node("a", "10.0.0.1", 2, "cpu:epyc"), Node("b", "10.0.0.2", 1, "cpu:xeon")
CANCELLED, DIED, NO_FRANK = object(), object(), object()
LEASE_SECONDS = 30.0


class FakeRay(types.ModuleType):
    """Keeps what it was given; a test says what comes of it."""

    def __init__(self):
        super().__init__("ray")
        errors = types.ModuleType("ray.exceptions")
        for name, base in (
            ("RayError", Exception),
            ("RayTaskError", None),
            ("TaskCancelledError", None),
        ):
            setattr(errors, name, type(name, (base or errors.RayError,), {}))
        self.exceptions = errors
        self.given, self.answers, self.cancelled = [], {}, []
        self.now, self.is_frozen = 0.0, False

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds

    def remote(self, **options):
        class Submitted:
            @staticmethod
            def remote(*arguments, function=None):
                self.given.append((options, arguments))
                return len(self.given) - 1

        return lambda function: Submitted

    def wait(self, references, *, num_returns, timeout):
        done = [each for each in references if each in self.answers][:num_returns]
        if not done:
            self.now += timeout
            assert self.now < 100_000, "it waits for ever"
        return done, [each for each in references if each not in done]

    def get(self, reference):
        answer = self.answers[reference]
        if answer is CANCELLED:
            raise self.exceptions.TaskCancelledError
        if answer is NO_FRANK:
            raise self.exceptions.RayTaskError("Traceback …\nNo module named 'frankrl'")
        if answer is DIED:
            raise self.exceptions.RayError("the node died")
        return answer

    def cancel(self, reference, *, force):
        self.cancelled.append((reference, force))
        if not self.is_frozen:
            self.answers.setdefault(reference, CANCELLED)

    def resources(self):
        """What each task has asked for besides its CPU."""
        return [options.get("resources", {}) for options, _ in self.given]


@pytest.fixture
def ray(monkeypatch):
    fake = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setitem(sys.modules, "ray.exceptions", fake.exceptions)
    fake.nodes = [EPYC, XEON]
    fake.connected = []

    def connect(*arguments, **more):
        fake.connected.append((*arguments, more))
        return list(fake.nodes)

    monkeypatch.setattr(ray_engine, "connect", connect)
    monkeypatch.setattr(ray_engine, "living_nodes", lambda: list(fake.nodes))
    monkeypatch.setattr(ray_engine, "software", lambda prunes: {"prunes": prunes})
    monkeypatch.setattr(ray_engine, "disconnect", lambda: None)
    monkeypatch.setattr(ray_engine, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(ray_engine, "time", fake)
    fake.fetched = []
    monkeypatch.setattr(
        ray_engine, "fetch", lambda address, run, overwrite: fake.fetched.append(run)
    )
    return fake


@pytest.fixture
def engine(ray, tmp_path):
    return RayEngine("h:1", tmp_path / "published", lease_seconds=LEASE_SECONDS)


def job(number=0, pruning=None):
    run = Path(f"/none/runs/s{number}")
    return Job("CartPole-v1", "default", Settings().resolved(), number, run, pruning)


def answer(is_done, error="", *, fails_again=True, node_id="a"):
    return {"answer": Answer(is_done, error, fails_again).to_plain(), "node_id": node_id}


def begun(engine, ray, number, cpu=None, seconds=LEASE_SECONDS):
    """The process of a task claims its run."""
    log = Log(open_storage(ray.given[number][1][1]))
    head, last = log.head()
    run = RunDescription("CartPole-v1", "default", 0, Settings().resolved())
    with pytest.MonkeyPatch.context() as patch:
        if cpu:
            patch.setattr(records, "cpu_model", lambda: cpu)
        owned = Ownership.claimed(log, head, last, run, seconds)
    assert owned is not None
    return owned


def test_there_is_a_slot_for_each_cpu_of_the_nodes_that_live(engine, ray, tmp_path):
    assert engine.slots == 3
    ray.nodes = [XEON]
    engine.ended(0.0)
    assert engine.slots == 1
    ray.nodes = []
    engine.ended(0.0)
    assert engine.slots == 1
    assert RayEngine("h:1", tmp_path, processes=7).slots == 7


def test_runs_are_published_in_a_folder_that_all_see_or_at_an_address(ray, tmp_path):
    pytest.importorskip("fsspec")
    engines = [RayEngine("h:1", place) for place in (tmp_path, "memory://bucket/folder/")]
    for engine in engines:
        engine.begin(job())
    assert [shared for _, shared, _ in ray.connected] == [tmp_path, None]
    found = [arguments[1] for _, arguments in ray.given]
    assert found == [f"{tmp_path}/runs-s0", "memory://bucket/folder/runs-s0"]


def test_jobs_spread_over_the_cpu_models_and_say_on_which_they_stay(engine, ray):
    for number in range(3):
        engine.begin(job(number))
    names = [next(iter(resources)) for resources in ray.resources()]
    assert sorted(names) == ["cpu:epyc", "cpu:epyc", "cpu:xeon"]
    assert all(options["num_cpus"] == 1 for options, _ in ray.given)


def test_a_job_that_is_done_is_fetched_and_others_say_how_they_ended(engine, ray):
    for number in range(3):
        engine.begin(job(number))
    ray.answers = {0: answer(True), 1: answer(False, "no such thing")}
    found = {end.job.seed: end for end in engine.ended(0.0)}
    assert ray.fetched == [job(0).run]
    assert (found[0].is_done, found[0].error) == (True, "")
    assert (found[1].is_done, found[1].error) == (False, "no such thing")
    assert len(found) == 2


def test_a_run_whose_cpu_model_has_gone_waits_for_it_longer_than_its_lease_and_then_moves(
    engine, ray, recwarn
):
    ray.nodes = [XEON]
    engine.ended(0.0)
    engine.begin(job())
    begun(engine, ray, 0, "xeon")
    engine.ended(0.0)
    ray.nodes = [EPYC]
    engine.ended(0.0)
    ray.now = LEASE_SECONDS + 1
    engine.ended(0.0)
    assert ray.cancelled == [(0, True)]
    ray.now = 59.0
    engine.ended(0.0)
    assert list(map(list, ray.resources())) == [["cpu:xeon"], ["cpu:xeon"]]
    assert not any("CPU model" in str(each.message) for each in recwarn)
    ray.now = 60.0
    with pytest.warns(FrankWarning, match="no node of the CPU model cpu:xeon is left"):
        engine.ended(0.0)
    assert ray.cancelled == [(0, True), (1, True)]
    assert list(ray.resources()[2]) == ["cpu:epyc"]


def test_a_run_that_is_continued_waits_for_its_cpu_model(engine, ray):
    ray.nodes = [XEON]
    engine.begin(job())
    begun(engine, ray, 0, "other")
    engine.begin(job())
    assert list(ray.resources()[1]) == ["cpu:other"]


def test_a_run_that_no_process_has_begun_moves_without_a_word(engine, ray, recwarn):
    ray.nodes = [XEON]
    engine.ended(0.0)
    engine.begin(job())
    ray.nodes = [EPYC]
    engine.ended(0.0)
    ray.now = 60.0
    engine.ended(0.0)
    assert list(map(list, ray.resources())) == [["cpu:xeon"], ["cpu:epyc"]]
    assert len(recwarn) == 0


def test_a_job_waits_as_long_as_there_is_no_node_at_all(engine, ray):
    engine.begin(job())
    ray.nodes = []
    engine.ended(0.0)
    assert len(ray.given) == 1


@pytest.mark.filterwarnings("ignore:.*has broken off")
@pytest.mark.parametrize(("state", "again"), [("lost", True), ("finished", False)])
def test_what_storage_says_of_a_run_counts_even_if_ray_says_nothing(
    engine, ray, monkeypatch, state, again
):
    monkeypatch.setattr(ray_engine.RunWatch, "state", lambda self, now: state)
    engine.begin(job())
    found = engine.ended(0.0)
    if not again:
        # Its answer may still be on its way.
        assert (found, ray.cancelled) == ([], [])
        found = engine.ended(0.0)
    assert ray.cancelled == [(0, True)]
    assert len(ray.given) == (2 if again else 1)
    assert [end.is_done for end in found] == ([] if again else [True])


@pytest.mark.filterwarnings("ignore:.*has broken off")
def test_a_task_that_dies_again_and_again_without_a_checkpoint_is_given_up(engine, ray):
    engine.begin(job())
    ray.answers = {0: DIED, 1: DIED, 2: DIED}
    assert engine.ended(0.0) == engine.ended(0.0) == []
    with pytest.raises(FrankError, match=r"has broken off 3 times without.*the node died"):
        engine.ended(0.0)
    assert len(ray.given) == 3


@pytest.mark.filterwarnings("ignore:.*has broken off")
def test_a_run_that_is_lost_again_and_again_without_a_checkpoint_is_given_up(engine, ray):
    engine.begin(job())
    for number in range(2):
        begun(engine, ray, number)
        engine.ended(0.0)
        ray.now += LEASE_SECONDS
        engine.ended(0.0)
    assert len(ray.given) == 3
    begun(engine, ray, 2)
    engine.ended(0.0)
    ray.now += LEASE_SECONDS
    with pytest.raises(FrankError, match=r"has broken off 3 times without.*renewed its lease"):
        engine.ended(0.0)


@pytest.mark.parametrize(
    "stopped", [answer(False, fails_again=False), CANCELLED], ids=["answers", "cancelled"]
)
def test_a_run_that_others_have_stopped_goes_on(engine, ray, stopped):
    engine.begin(job())
    ray.answers = {0: stopped}
    with pytest.warns(FrankWarning, match="was stopped by others; it goes on elsewhere"):
        assert engine.ended(0.0) == []
    ray.answers[1] = answer(True)
    assert [end.is_done for end in engine.ended(0.0)] == [True]


def test_a_node_without_frank_does_not_end_the_others(engine, ray):
    engine.begin(job())
    ray.answers = {0: NO_FRANK}
    with pytest.warns(FrankWarning, match=r"cannot run Frank \(No module named 'frankrl'\)"):
        assert engine.ended(0.0) == []
    assert len(ray.given) == 2


def test_a_fault_of_the_program_ends_everything(engine, ray):
    engine.begin(job())
    ray.answers = {0: {"answer": Answer(False, fault="a bug").to_plain(), "node_id": "a"}}
    with pytest.raises(RuntimeError, match="failed:\na bug"):
        engine.ended(0.0)


def test_an_error_of_a_node_sends_the_run_to_another_one(engine, ray):
    engine.begin(job())
    ray.answers = {0: answer(False, "the disk is full", fails_again=False, node_id="a")}
    with pytest.warns(FrankWarning, match="the disk is full; it goes on elsewhere"):
        assert engine.ended(0.0) == []
    assert ray.given[1][0]["label_selector"] == {"ray.io/node-id": "!in(a)"}
    ray.answers[1] = answer(False, "the disk is full", fails_again=False, node_id="b")
    with pytest.warns(FrankWarning):
        engine.ended(0.0)
    # No node is left that has not tried.
    assert "label_selector" not in ray.given[2][0]
    ray.answers[2] = answer(False, "the disk is full", fails_again=False)
    with pytest.raises(FrankError, match=r"has broken off 3 times without.*the disk is full"):
        engine.ended(0.0)


def test_a_task_that_never_claims_its_run_is_given_to_another_node(engine, ray):
    """It was frozen before that; one that only waits loses nothing."""
    engine.begin(job())
    for now, tasks in ((299, 1), (300, 2), (899, 2), (900, 3), (2099, 3), (2100, 4), (4500, 5)):
        ray.now = float(now)
        engine.ended(0.0)
        assert len(ray.given) == tasks


@pytest.mark.filterwarnings("ignore:.*has broken off")
def test_storage_that_cannot_be_reached_is_waited_for(engine, ray, monkeypatch):
    def fails(*_, **__):
        raise StorageError("the storage is away")

    engine.begin(job())
    ray.answers = {0: DIED}
    with monkeypatch.context() as patch:
        patch.setattr(ray_engine.RunWatch, "begin", fails)
        with pytest.warns(FrankWarning, match="the storage is away; Frank tries again"):
            engine.ended(0.0)
        assert len(ray.given) == 1
    engine.ended(0.0)
    ray.answers[1] = answer(True)
    with monkeypatch.context() as patch:
        patch.setattr(ray_engine, "fetch", fails)
        assert engine.ended(0.0) == []
    ray.answers[2] = answer(True)
    assert [end.is_done for end in engine.ended(0.0)] == [True]


def test_a_stop_waits_for_a_frozen_task_as_long_as_its_lease(engine, ray):
    engine.begin(job(0))
    begun(engine, ray, 0)
    engine.begin(job(1))
    ray.is_frozen = True
    engine.stop()
    engine.close()
    assert (0, True) in ray.cancelled
    assert (1, True) in ray.cancelled
    assert LEASE_SECONDS <= ray.now < LEASE_SECONDS + 5


def test_a_node_is_compared_in_optuna_if_it_prunes(engine, ray):
    engine.begin(job(0))
    engine.begin(job(1, PruningRule("median", 0, 5, ())))
    assert [arguments[2] for _, arguments in ray.given] == [{"prunes": False}, {"prunes": True}]


def test_a_stop_asks_and_a_kill_does_not(engine, ray):
    engine.begin(job(0))
    engine.stop()
    assert ray.cancelled == [(0, False)]
    engine.close()
    engine.begin(job(1))
    engine.kill()
    assert ray.cancelled[1:] == [(1, True)]
    engine.close()


def test_the_loop_of_jobs_ends_when_the_engine_has_done_them_all(engine, ray):
    left, seen = [job(n) for n in range(5)], []

    def next_job():
        if left:
            ray.answers[len(ray.given)] = answer(True)
            return left.pop(0)
        return None

    run_jobs(engine, next_job, seen.append)
    assert sorted(end.job.seed for end in seen) == [0, 1, 2, 3, 4]
