"""A replay buffer in the host's memory beside a learner on another device."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import in_memory
import jax
import pytest
from offline_data import random_episodes, write

from frankrl.config import Settings
from frankrl.core.errors import MachineError, SettingError
from frankrl.environments import describe
from frankrl.training import estimate, replay_place
from frankrl.training.memory import check_memory
from frankrl.training.replay_place import (
    check_place,
    machine_facts_of,
    placed_memory_line,
    replay_host,
    with_place,
)
from frankrl.training.where import with_source

SCRIPT = Path(__file__).parent / "on_two_devices.py"
OF_DATA = ("demonstrations", "data alone")
CPU = SimpleNamespace(platform="cpu")
MIB = 2**20


def experiment_of(**changes):
    """That of the lander, whose buffer of 100,000 transitions takes 4.2 MiB."""
    settings = Settings().with_changes(total_env_steps=200_000, **changes).resolved()
    return in_memory.experiment_of("LunarLander-v3", settings, seed=0)


def gpu_of(mebibytes):
    return SimpleNamespace(
        platform="gpu", memory_stats=lambda: {"bytes_limit": int(mebibytes * MIB)}
    )


@pytest.fixture
def machine(monkeypatch):
    """Sets what there is: a GPU's memory, and the host's. [MiB]"""

    def there_are(gpu, host=1024.0, *, has_cpu=True):
        learner = gpu_of(gpu)
        monkeypatch.setattr(replay_place, "learning_device", lambda: learner)
        monkeypatch.setattr(replay_place, "host_device", lambda: CPU if has_cpu else None)
        monkeypatch.setattr(replay_place, "available_memory", lambda: int(host * MIB))
        for name in ("learning_device", "host_device"):
            monkeypatch.setattr(f"frankrl.training.memory.{name}", getattr(replay_place, name))

    return there_are


def begun(**changes):
    """The experiment of a run that begins, and the note on where its buffer lies."""
    experiment = experiment_of(**changes)
    check_place(experiment)
    experiment, note = with_place(experiment)
    check_memory(experiment)
    return experiment, note


def test_it_lies_beside_the_learner_as_long_as_there_is_room(machine):
    machine(gpu=9.5)
    experiment, note = begun()
    assert replay_host(experiment) is None
    assert note == ""
    assert placed_memory_line(experiment).endswith("= 4.2 MiB")
    assert machine_facts_of(experiment)["batches_drawn_by"] == "the device that learns"


def test_a_run_that_begins_without_room_there_has_it_in_host_memory(machine):
    machine(gpu=9)
    experiment, note = begun()
    assert replay_host(experiment) is CPU
    # That is stored, so that it stays there.
    assert experiment.settings.training.replay_device == "cpu"
    assert placed_memory_line(experiment).endswith("= 4.2 MiB, in host memory")
    assert "in the 9 MiB that JAX may take of the device that learns there is room for 96,5" in note
    assert re.fullmatch(r"the CPU in \d+ threads", machine_facts_of(experiment)["batches_drawn_by"])


@pytest.mark.parametrize(
    ("gpu", "host", "wanted", "words"),
    [
        # Whether it began on a larger GPU, or with a smaller budget.
        (9, 1_000, "auto", r"into the GPU's memory: 9 .* at most, or in host memory 10,7.*: give"),
        (9, 8, "cpu", r"into host memory: 8 MiB .* be 85,7.. at most; in the GPU's memory 96,5"),
    ],
)
def test_a_buffer_that_does_not_fit_says_where_more_fits(machine, gpu, host, wanted, words):
    machine(gpu=gpu, host=host)
    with pytest.raises(MachineError, match=words):
        check_memory(experiment_of(replay_device=wanted))


def test_it_lies_in_host_memory_where_that_is_wanted(machine):
    machine(gpu=1_000)
    experiment, note = begun(replay_device="cpu")
    assert replay_host(experiment) is CPU
    assert note == ""
    machine(gpu=1_000, has_cpu=False)
    with pytest.raises(MachineError, match="JAX_PLATFORMS keeps JAX from the CPU: unset it, or"):
        begun(replay_device="cpu")
    # What only reads such a run takes the place that there is.
    assert replay_host(experiment) is None


def test_where_jax_is_kept_from_the_cpu_the_reason_is_told(machine):
    machine(gpu=9, has_cpu=False)
    with pytest.raises(
        MachineError, match=r"96,5.. at most; JAX_PLATFORMS keeps JAX from host mem"
    ):
        begun()


def test_a_loop_on_the_device_has_its_buffer_there(machine):
    settings = Settings().with_changes(source="device", replay_capacity=1_000).resolved()
    experiment = in_memory.experiment_of("frankrl/CartPole-functional-v0", settings, seed=0)
    machine(gpu=0.01)
    assert with_place(experiment).note == ""
    with pytest.raises(MachineError, match="with source host the buffer lies in host memory"):
        check_memory(experiment)
    settings = settings.with_changes(replay_device="cpu")
    with pytest.raises(SettingError, match="one program on the device that learns: give"):
        check_place(dataclasses.replace(experiment, settings=settings))


def test_the_data_of_an_estimate_lie_where_its_updates_are_done():
    run = Settings().with_changes(replay_device="cpu").resolved()
    fitted = estimate._settings(run, SimpleNamespace(folder="data/some-v0"), 100)
    assert fitted.training.replay_device == "auto"


def test_where_the_cpu_learns_there_is_one_place():
    for wanted in ("auto", "cpu"):
        experiment, note = begun(replay_device=wanted)
        assert replay_host(experiment) is None
        assert experiment.settings.training.replay_device == wanted
        assert note == ""
        assert "batches_drawn_by" not in machine_facts_of(experiment)
    assert replay_place.host_device() == jax.devices()[0]
    settings = Settings().with_changes(replay_device="cpu").resolved()
    spec = describe("frankrl/CartPole-functional-v0", {})
    assert with_source(settings, spec, in_actors=False).environment.source == "device"


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("prioritised", marks=pytest.mark.as_compiled_for_users),
        *(
            pytest.param(kind, marks=pytest.mark.slow)
            for kind in ("uniform", "memory", "frames", *OF_DATA)
        ),
    ],
)
def test_on_two_devices_everything_is_as_on_one(kind, tmp_path):
    dataset = []
    if kind in OF_DATA:
        dataset.append(
            write("some/data-v0", tmp_path, "CartPole-v1", random_episodes("CartPole-v1", 12))
        )
    command = [sys.executable, SCRIPT, tmp_path, kind, *dataset]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    beside, elsewhere = told["beside"], told["elsewhere"]
    assert beside.pop("devices") == {name: ["cpu:0"] for name in ("learner", "replay", "params")}
    assert elsewhere.pop("devices") == {
        "learner": ["cpu:0"],
        "replay": ["cpu:1"],
        "params": ["cpu:0"],
    }
    # The files of the last checkpoint, and the TD errors of an update that was opened.
    assert len(beside["files"]) >= 5
    assert len(beside["td_errors"]) > 1
    assert elsewhere == beside
    assert beside["warned"] == []
    first = told["first"]
    assert first["warned"] == []
    assert told["resumed"] == {"files": beside["files"], "marks": []} | first
    # A processor of another kind may draw other bits; this one does not, but that is not known.
    mark = r"batches_drawn_by was 'the CPU in \d+ threads' and is 'the device that learns'"
    (told_mark,) = told["moved"].pop("marks")
    assert re.fullmatch(mark, told_mark)
    assert told["moved"] == {"files": beside["files"]} | first
