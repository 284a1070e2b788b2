"""A replay buffer in the host's memory beside a learner on another device."""

import json
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
from frankrl.training import replay_place
from frankrl.training.preflight import check_memory
from frankrl.training.replay_place import (
    machine_facts_of,
    placed_memory_line,
    replay_host,
)

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
        monkeypatch.setattr(replay_place, "learning_device", lambda: gpu_of(gpu))
        monkeypatch.setattr(replay_place, "host_device", lambda: CPU if has_cpu else None)
        monkeypatch.setattr(replay_place, "available_memory", lambda: int(host * MIB))
        monkeypatch.setattr("frankrl.training.preflight.learning_device", lambda: gpu_of(gpu))

    return there_are


def test_it_lies_beside_the_learner_as_long_as_there_is_room(machine):
    experiment = experiment_of()
    machine(gpu=9.5)
    assert replay_host(experiment) is None
    assert placed_memory_line(experiment).endswith("= 4.2 MiB")
    check_memory(experiment)
    machine(gpu=9)
    assert replay_host(experiment) is CPU
    check_memory(experiment)
    words = "= 4.2 MiB, in host memory: the 9 MiB of the device that learns have room for 96,5"
    assert words in placed_memory_line(experiment)
    machine(gpu=9, host=9)
    with pytest.raises(MachineError, match=r"does not fit into memory: 9 MiB are available"):
        check_memory(experiment)


def test_it_lies_in_the_host_s_memory_where_that_is_wanted(machine):
    experiment = experiment_of(replay_device="cpu")
    machine(gpu=1_000)
    assert replay_host(experiment) is CPU
    assert placed_memory_line(experiment).endswith("= 4.2 MiB, in host memory")
    assert machine_facts_of(experiment)["replay_device"] == "cpu"
    machine(gpu=1_000, has_cpu=False)
    with pytest.raises(SettingError, match="JAX_PLATFORMS keeps JAX from the CPU: unset it, or"):
        replay_host(experiment)


def test_without_the_cpu_a_buffer_that_is_too_large_is_refused(machine):
    machine(gpu=9, has_cpu=False)
    with pytest.raises(MachineError, match="replay_capacity can be 96,5"):
        check_memory(experiment_of())


def test_where_the_cpu_learns_there_is_one_place(monkeypatch):
    for wanted in ("auto", "cpu"):
        experiment = experiment_of(replay_device=wanted)
        assert replay_host(experiment) is None
        assert "replay_device" not in machine_facts_of(experiment)
    assert replay_place.host_device() == jax.devices()[0]


@pytest.mark.parametrize(
    "kind",
    [
        "prioritised",
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
    assert told["resumed"] == {"files": beside["files"], "marks": []}
    # A processor of another kind may draw other bits; this one does not, but that is not known.
    assert told["moved"]["marks"] == ["replay_device was 'cpu' and is not there"]
