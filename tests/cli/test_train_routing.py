"""What `frank train` does with --ray: jobs of a cluster, or one run whose actors are there."""

from typing import Any, NamedTuple

import pytest

import frankrl.api  # noqa: F401 - so that no module first takes what is replaced here
from frankrl.cli import train
from frankrl.cli.main import main as frank
from frankrl.config import Settings
from frankrl.runs import RunDescription, RunFolder, all_versions, machine_facts

ACTORS = ["--asynchronous-actors", "2", "--num-envs", "4", "--vector-steps-per-round", "10"]
RAY = ["--ray", "10.0.0.5:6379"]


class Begun(NamedTuple):
    """What would have been done, with the arguments that say where."""

    what: str
    out: str | None = None
    ray: str | None = None


@pytest.fixture
def begun(monkeypatch):
    """What the command has begun; nothing of it is done."""
    found: list[Begun] = []
    rays: dict[Any, str | None] = {}

    def source_in_actors(settings, actors, ray):
        made = object()
        rays[made] = ray
        return made

    def several(options, preset, settings, arguments):
        found.append(Begun("jobs", options.out, options.ray))
        return 0

    def prepare(env_id, preset, settings, seed, out, *, make_source, **how):
        found.append(Begun("run", out, rays[make_source]))

    def prepare_resume(folder, settings, *, make_source, **how):
        found.append(Begun("resumed", str(folder.path), rays[make_source]))

    monkeypatch.setattr("frankrl.actors.source_in_actors", source_in_actors)
    monkeypatch.setattr("frankrl.training.preparing.prepare", prepare)
    monkeypatch.setattr("frankrl.training.preparing.prepare_resume", prepare_resume)
    monkeypatch.setattr(train, "train_several", several)
    monkeypatch.setattr(train, "shown", lambda training, options, signals: 0)
    return found


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([*ACTORS, *RAY], Begun("run", "out", RAY[1])),
        (["--actors", "2", *RAY], Begun("run", "out", RAY[1])),
        (ACTORS, Begun("run", "out")),
        ([], Begun("run", "out")),
        (RAY, Begun("jobs", "out", RAY[1])),
        (["--seeds", "2", *RAY], Begun("jobs", "out", RAY[1])),
        (["--print"], Begun("jobs", "out", "")),
    ],
)
def test_the_cluster_has_the_actors_of_one_run_or_whole_runs(words, expected, begun):
    assert frank(["train", "CartPole-v1", "--preset", "default", "--out", "out", *words]) == 0
    assert begun == [expected]


@pytest.mark.parametrize("words", [RAY, []])
def test_a_run_of_free_actors_goes_on_with_its_actors_on_a_cluster_or_here(words, begun, tmp_path):
    chosen = {"asynchronous_actors": 2, "num_envs": 4, "vector_steps_per_round": 10}
    settings = Settings().with_changes(**chosen).resolved()
    description = RunDescription(
        "CartPole-v1", "default", 0, settings, all_versions(settings), machine_facts()
    )
    folder = RunFolder.create(tmp_path / "run", description)
    assert frank(["train", "--resume", str(folder.path), *words]) == 0
    assert begun == [Begun("resumed", str(folder.path), RAY[1] if words else None)]
