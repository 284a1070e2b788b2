"""The engine against a Ray that does nothing by itself: what it asks for, and when."""

import sys
import types
from pathlib import Path

import pytest

from frankrl.cluster import ray_engine
from frankrl.cluster.nodes import Node
from frankrl.cluster.ray_engine import RayEngine
from frankrl.config import Settings
from frankrl.core.errors import FrankError, FrankWarning
from frankrl.jobs import Job, run_jobs

EPYC, XEON = Node("a", "10.0.0.1", 2, "cpu:epyc"), Node("b", "10.0.0.2", 1, "cpu:xeon")
CANCELLED, DIED = object(), object()


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

    def remote(self, **options):
        class Submitted:
            @staticmethod
            def remote(*arguments, function=None):
                self.given.append((options, arguments))
                return len(self.given) - 1

        return lambda function: Submitted

    def wait(self, references, *, num_returns, timeout):
        done = [each for each in references if each in self.answers][:num_returns]
        return done, [each for each in references if each not in done]

    def get(self, reference):
        answer = self.answers[reference]
        if answer is CANCELLED:
            raise self.exceptions.TaskCancelledError
        if answer is DIED:
            raise self.exceptions.RayError("the node died")
        return answer

    def cancel(self, reference, *, force):
        self.cancelled.append((reference, force))
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
    monkeypatch.setattr(ray_engine, "connect", lambda address, shared: list(fake.nodes))
    monkeypatch.setattr(ray_engine, "living_nodes", lambda: list(fake.nodes))
    monkeypatch.setattr(ray_engine, "software", dict)
    monkeypatch.setattr(ray_engine, "disconnect", lambda: None)
    monkeypatch.setattr(ray_engine, "_LOOK_SECONDS", 0.0)
    fake.fetched = []
    monkeypatch.setattr(
        ray_engine, "fetch", lambda address, run, overwrite: fake.fetched.append(run)
    )
    return fake


@pytest.fixture
def engine(ray, tmp_path):
    return RayEngine("h:1", tmp_path / "published", patience_seconds=0.0)


def job(number=0):
    settings = Settings().resolved()
    return Job("CartPole-v1", "default", settings, number, Path(f"/none/runs/s{number}"))


def answer(is_done, error=""):
    return {"is_done": is_done, "error": error, "fails_again": False, "fault": ""}


def test_there_is_a_slot_for_each_cpu_of_the_nodes_that_live(engine, ray, tmp_path):
    assert engine.slots == 3
    ray.nodes = [XEON]
    engine.ended(0.0)
    assert engine.slots == 1
    ray.nodes = []
    engine.ended(0.0)
    assert engine.slots == 1
    assert RayEngine("h:1", tmp_path, processes=7).slots == 7


def test_jobs_spread_over_the_cpu_models_and_say_on_which_they_stay(engine, ray):
    for number in range(3):
        engine.begin(job(number))
    names = [next(iter(resources)) for resources in ray.resources()]
    assert sorted(names) == ["cpu:epyc", "cpu:epyc", "cpu:xeon"]
    assert all(options["num_cpus"] == 1 for options, _ in ray.given)


def test_a_job_that_is_done_is_fetched_and_others_say_how_they_ended(engine, ray):
    for number in range(3):
        engine.begin(job(number))
    ray.answers = {0: answer(True), 1: answer(False, "no such thing"), 2: answer(False)}
    found = {end.job.seed: end for end in engine.ended(0.0)}
    assert ray.fetched == [job(0).run]
    assert (found[0].is_done, found[0].error) == (True, "")
    assert (found[1].is_done, found[1].error) == (False, "no such thing")
    assert (found[2].is_done, found[2].error) == (False, "")


def test_a_job_whose_cpu_model_has_gone_goes_on_on_another_one_and_says_so(engine, ray):
    for number in range(3):
        engine.begin(job(number))
    lost = next(n for n, wanted in enumerate(ray.resources()) if "cpu:xeon" in wanted)
    ray.nodes = [EPYC]
    with pytest.warns(FrankWarning, match="no node of the CPU model cpu:xeon is left"):
        engine.ended(0.0)
    assert ray.cancelled == [(lost, True)]
    assert len(ray.given) == 4
    assert ray.resources()[3] == {}


def test_a_job_waits_as_long_as_there_is_no_node_at_all(engine, ray):
    engine.begin(job())
    ray.nodes = []
    engine.ended(0.0)
    assert len(ray.given) == 1


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


def test_a_task_that_dies_again_and_again_without_a_checkpoint_is_given_up(engine, ray):
    engine.begin(job())
    ray.answers = {0: DIED, 1: DIED, 2: DIED}
    assert engine.ended(0.0) == engine.ended(0.0) == []
    with pytest.raises(FrankError, match=r"has died again and again.*the node died"):
        engine.ended(0.0)
    assert len(ray.given) == 3


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
