"""Where a run learns, and whether it fits there."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import jax
import pytest

from frankrl.config import Settings
from frankrl.config.presets import load_preset, preset_names
from frankrl.core.errors import SettingError
from frankrl.environments import describe, describe_for
from frankrl.training import (
    Experiment,
    init_train_state,
    memory,
    preflight,
    preparing,
    replay_place,
)
from frankrl.training.memory import check_copy, check_memory
from frankrl.training.noise import noise_shapes, update_noise
from frankrl.training.preflight import check_device
from frankrl.training.sizes import memory_line
from frankrl.training.update_time import belongs_on_cpu, duration_line, updates_in_round

SPEC = describe("LunarLander-v3", {})


def experiment_of(settings):
    return Experiment.of(settings.resolved(), SPEC, seed=0)


@dataclass
class Device:
    platform: str
    stats: dict = field(default_factory=dict)

    def memory_stats(self):
        return self.stats


# Trained with the LunarLander-v3 preset on an H200 and on the CPUs beside it; env steps a second
# are in docs/benchmarks/gpu.md.
MEASURED = [
    ({"hidden_widths": [32, 32]}, True),
    ({"batch_size": 32}, True),
    ({"batch_size": 64}, True),
    ({"hidden_widths": [256, 256]}, False),
    ({"hidden_widths": [1024, 1024]}, False),
    ({"batch_size": 256}, False),
    ({"batch_size": 1024}, False),
    ({"num_envs": 1}, True),
    ({"replay_ratio": 4.0}, True),
]


@pytest.mark.parametrize(("changes", "expected"), MEASURED)
def test_auto_chooses_what_was_measured_to_be_faster(changes, expected):
    settings = load_preset("LunarLander-v3").with_changes(**changes)
    assert belongs_on_cpu(experiment_of(settings)) == expected


@pytest.mark.parametrize("symmetry", [True, "auto"])
def test_where_a_run_learns_is_chosen_before_its_symmetry_is_checked(symmetry, monkeypatch):
    """The check computes, and JAX takes a GPU if it is not told otherwise before."""
    done = []
    start, check = preparing.start_backend, preparing.with_symmetry

    def chosen(*, on_cpu):
        done.append(("chosen", on_cpu))
        return start(on_cpu=on_cpu)

    def checked(*given):
        done.append(("checked",))
        return check(*given)

    monkeypatch.setattr(preparing, "start_backend", chosen)
    monkeypatch.setattr(preparing, "with_symmetry", checked)
    settings = load_preset("CartPole-functional-v0").with_changes(symmetry=symmetry)
    found = preparing.checked_experiment("frankrl/CartPole-functional-v0", settings.resolved(), 0)
    assert done == [("chosen", True), ("checked",)]
    assert found.settings.network.symmetry is True


@pytest.mark.parametrize(("device", "expected"), [("cpu", True), ("gpu", False)])
def test_a_device_that_is_asked_for_is_taken(device, expected):
    for widths in ([8], [2048, 2048]):
        settings = Settings().with_changes(hidden_widths=widths, num_envs=32, device=device)
        assert belongs_on_cpu(experiment_of(settings)) == expected


LARGE = {"rainbow", "atari", "nature", "dopamine-dqn", "dopamine-rainbow"}


@pytest.mark.parametrize("preset", sorted(set(preset_names()) - LARGE))
def test_presets_of_small_networks_do_not_wait_for_a_gpu(preset):
    assert belongs_on_cpu(experiment_of(load_preset(preset)))
    assert not belongs_on_cpu(experiment_of(load_preset("rainbow")))


def test_a_memory_goes_to_a_gpu_where_its_products_outweigh_its_steps():
    changes = {"memory": "gru", "num_envs": 32, "batch_size": 64, "sequence_steps": 40}
    for units, expected in ((32, True), (1_024, False)):
        settings = Settings().with_changes(memory_units=units, **changes)
        assert belongs_on_cpu(experiment_of(settings)) == expected


def atari(preset, **changes):
    settings = load_preset(preset).with_changes(**changes).resolved()
    return Experiment.of(settings, describe_for("ALE/Pong-v5", settings), seed=0)


def test_an_update_of_the_nature_network_belongs_on_a_gpu_where_many_are_due():
    assert not belongs_on_cpu(atari("atari"))
    assert not belongs_on_cpu(atari("dopamine-dqn"))


def test_products_of_the_nature_network_are_those_of_its_layers():
    convolutions = 20 * 20 * 32 * 8 * 8 * 4 + 9 * 9 * 64 * 4 * 4 * 32 + 7 * 7 * 64 * 3 * 3 * 64
    dense = (7 * 7 * 64 + 1) * 512 + 513 * 6
    assert atari("nature").network.num_products == convolutions + dense


def test_a_run_on_the_cpu_says_beforehand_how_many_hours_it_takes():
    # 12.5 million updates of 32 rows, and as many seconds for 50 million steps of 1 ms.
    line = duration_line(atari("nature"), 0.001)
    assert line.startswith("50,000,000 env steps and their updates take about ")
    hours = int(line.split("about ")[1].split(" ")[0])
    # An update was measured at 52 ms on two cores of an Intel Xeon, without other work.
    assert 0.7 < hours / ((12.5e6 * 0.052 + 50e6 * 0.001) / 3600) < 1.4
    assert duration_line(atari("nature", total_env_steps=10_000), 0.001) == ""


GPU, CPU = Settings().with_changes(device="gpu"), Settings().with_changes(device="cpu")
REFUSED = {
    "no_gpu": (GPU, "cpu", None, False, "finds no GPU.*jax.cuda13"),
    "told_otherwise": (GPU, "cpu", "cpu", False, "JAX_PLATFORMS is 'cpu': unset it"),
    "chosen_before": (GPU, "cpu", "cpu", True, "a process of its own"),
    "in_use": (CPU, "gpu", None, False, "in use before Frank: set JAX_PLATFORMS=cpu"),
    "told_gpu": (CPU, "gpu", "cuda", False, "JAX_PLATFORMS is 'cuda': unset it"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_device_that_jax_does_not_compute_on_is_refused_with_the_reason(case, monkeypatch):
    settings, found, told, held, message = REFUSED[case]
    config = SimpleNamespace(jax_platforms=told)
    monkeypatch.setattr(
        preflight, "jax", SimpleNamespace(devices=lambda: [Device(found)], config=config)
    )
    monkeypatch.setattr(preflight, "held_to_cpu", lambda: held)
    with pytest.raises(SettingError, match=f"but JAX computes on '{found}', since .*{message}"):
        check_device(settings)
    check_device(Settings())


def test_a_buffer_has_to_fit(monkeypatch):
    check_memory(experiment_of(Settings()))
    monkeypatch.setattr(replay_place, "available_memory", lambda: 5 * 2**20)
    with pytest.raises(SettingError, match="does not fit into memory: 5 MiB are available"):
        check_memory(experiment_of(Settings()))


@pytest.mark.parametrize("changes", [{}, {"replay_sampling": "prioritised", "n_step": 3}])
def test_the_memory_told_of_is_what_the_buffer_takes(changes):
    experiment = experiment_of(Settings().with_changes(replay_capacity=20_000, **changes))
    taken = sum(leaf.nbytes for leaf in jax.tree.leaves(experiment.empty_replay()))
    each = -(-taken // 20_000)
    assert f"20,000 transitions × {each} bytes" in memory_line(experiment)
    # Of which eight numbers of four bytes are the observation, and another eight would be s′.
    assert 8 * 4 < each < 2 * 8 * 4


def test_with_memory_the_memory_told_of_holds_what_was_remembered():
    sizes = {"replay_capacity": 20_000, "memory_units": 100, "replay_sampling": "prioritised"}
    experiment = experiment_of(Settings().with_changes(memory="gru", **sizes))
    taken = sum(leaf.nbytes for leaf in jax.tree.leaves(experiment.empty_replay()))
    each = -(-taken // 20_000)
    assert f"20,000 transitions × {each} bytes" in memory_line(experiment)
    assert 100 * 4 + 8 * 4 < each < 100 * 4 + 2 * 8 * 4
    check_memory(experiment)


def test_a_round_without_acting_has_the_updates_of_its_one_call():
    settings = Settings().with_changes(dataset="some/data-v0", updates_per_round=70)
    assert updates_in_round(settings) == 70


def test_the_sequences_of_an_update_have_to_fit(monkeypatch):
    changes = {"memory": "gru", "batch_size": 20_000, "replay_capacity": 20_000}
    large = experiment_of(Settings().with_changes(**changes))
    monkeypatch.setattr(replay_place, "available_memory", lambda: 200 * 2**20)
    with pytest.raises(SettingError, match=r"an update of 600,000 transitions .* takes about"):
        check_memory(large)


@pytest.mark.parametrize(
    ("capacity", "total_env_steps", "expected"),
    [
        (100_000, 200, 4_096),
        (10**9, 50_000, 65_536),
        (10**9, 65_537, 73_728),
        (10**9, 1_100_000, 1_179_648),
        (60_000, 50_000, 60_000),
        (500, 200, 500),
    ],
)
def test_memory_is_counted_of_what_can_be_filled(capacity, total_env_steps, expected):
    settings = Settings().with_changes(
        replay_capacity=capacity, total_env_steps=total_env_steps, num_envs=1, batch_size=64
    )
    experiment = experiment_of(settings)
    assert experiment.replay.most_transitions == expected
    rows = jax.eval_shape(experiment.empty_replay).num_rows
    assert total_env_steps < rows or capacity < rows
    assert rows <= expected + 1


@pytest.mark.parametrize("changes", [{}, {"noisy": True}, {"distribution": "iqn"}])
def test_the_shapes_of_an_updates_noise_are_those_of_what_is_drawn_for_it(changes):
    network = experiment_of(Settings().with_changes(**changes)).network
    drawn = update_noise(network, 16, seed=0, first_update=0, count=3)
    wanted = [(leaf.shape[1:], leaf.dtype) for leaf in jax.tree.leaves(drawn)]
    told = [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(noise_shapes(network, 16))]
    assert told == wanted


@pytest.fixture
def screens():
    """A run on screens, with 1,000,000 of them in its buffer."""
    spec = describe("probe_envs:FrankSpace-v0", {"observation": "screen"})
    settings = Settings().with_changes(
        replay_capacity=1_000_000, total_env_steps=10**7, checkpoint_every_env_steps=100_000
    )
    return Experiment.of(settings.resolved(), spec, seed=0)


def free_at_least(experiment, tmp_path, monkeypatch):
    """The smallest disk, in bytes, that is taken to hold the run's checkpoints."""
    usage = preflight.shutil.disk_usage(tmp_path)

    def fits(free):
        monkeypatch.setattr(preflight.shutil, "disk_usage", lambda path: usage._replace(free=free))
        try:
            preflight.check_disk(tmp_path, experiment)
        except SettingError:
            return False
        return True

    low, high = 0, 1 << 40
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle + 1, high)
    return low


def test_checkpoints_of_screens_need_room_for_one_buffer_that_shrinks(
    screens, tmp_path, monkeypatch
):
    rows = 84 * 84 * 1_000_000
    needed = free_at_least(screens, tmp_path, monkeypatch)
    assert 0.1 * rows < needed < 0.3 * rows


def test_checkpoints_without_the_buffer_need_no_room_for_it(screens, tmp_path, monkeypatch):
    settings = screens.settings.with_changes(checkpoint_replay="none")
    without = Experiment.of(settings, screens.spec, seed=0)
    assert free_at_least(without, tmp_path, monkeypatch) == 0


def test_an_update_is_not_opened_where_a_copy_of_the_state_does_not_fit(monkeypatch):
    settings = Settings().with_changes(replay_capacity=2_000, hidden_widths=[8])
    state = init_train_state(experiment_of(settings))
    needed = sum(leaf.nbytes for leaf in jax.tree.leaves((state.learner, state.replay)))
    monkeypatch.setattr(replay_place, "available_memory", lambda: needed)
    check_copy(state)
    monkeypatch.setattr(replay_place, "available_memory", lambda: needed - 1)
    words = r"a copy of the replay buffer .* takes ([\d.]+) KiB, and \1 KiB of memory are free: end"
    with pytest.raises(SettingError, match=words):
        check_copy(state)
    monkeypatch.setattr(replay_place, "available_memory", lambda: None)
    check_copy(state)


@pytest.mark.parametrize(
    ("device", "free"),
    [
        (Device("gpu", {"bytes_limit": 100, "bytes_in_use": 30}), 70),
        (Device("gpu", {}), None),
        (Device("cpu", {"bytes_limit": 100}), 5),
    ],
)
def test_a_gpus_memory_is_free_as_far_as_it_is_not_in_use(device, free, monkeypatch):
    monkeypatch.setattr(replay_place, "available_memory", lambda: 5)
    assert memory._free_memory(device) == free


def test_a_million_transitions_of_an_atari_game_take_at_most_7_2_gigabytes():
    line = memory_line(atari("atari"))
    assert line.startswith("replay buffer: 1,000,000 transitions × 7,")
    each = int(line.split(" × ")[1].split(" ")[0].replace(",", ""))
    assert 84 * 84 < each <= 7_200
