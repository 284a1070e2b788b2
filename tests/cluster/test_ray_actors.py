"""An actor on a Ray cluster, with the functions of Ray that it calls replaced."""

from types import SimpleNamespace

import pytest

from frankrl.cluster.ray_actors import RayActor
from frankrl.experience.remote.replacing import ReplacedActors


class Plan:
    def make(self):
        return None


class Actors:
    def __init__(self):
        self.is_closed = False

    def start(self, plan):
        return RayActor(plan)

    def shared(self, value):
        return value

    def close(self):
        self.is_closed = True


def test_an_actor_that_ray_cannot_end_keeps_nobody_from_being_ended(monkeypatch):
    ray = pytest.importorskip("ray")
    killed = []

    def kill(actor):
        killed.append(actor)
        raise RuntimeError("the cluster is gone")

    actor = SimpleNamespace(call=None)
    made = SimpleNamespace(remote=lambda plan: actor)
    monkeypatch.setattr(ray, "remote", lambda **options: lambda kind: made)
    monkeypatch.setattr(ray, "kill", kill)
    actors = Actors()
    ReplacedActors(actors, [range(1), range(1, 2)], lambda part: Plan()).close()
    assert killed == [actor, actor]
    assert actors.is_closed
