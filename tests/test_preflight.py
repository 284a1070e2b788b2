import pytest

from frankrl.backend import start_backend
from frankrl.config import Settings
from frankrl.environments import describe
from frankrl.errors import SettingError
from frankrl.preflight import belongs_on_cpu, check_device
from frankrl.presets import load_preset

SPEC = describe("LunarLander-v3", {})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"num_envs": 32, "hidden_widths": [64, 64], "batch_size": 64}, True),
        ({"num_envs": 32, "hidden_widths": [64, 64], "batch_size": 128}, False),
        ({"num_envs": 32, "hidden_widths": [128, 128], "batch_size": 32}, False),
        ({"num_envs": 1, "hidden_widths": [256, 256], "batch_size": 128}, True),
        ({"num_envs": 1, "hidden_widths": [1024, 1024], "batch_size": 128}, False),
        (
            {"num_envs": 8, "hidden_widths": [64, 64], "batch_size": 32, "distribution": "iqn"},
            False,
        ),
        ({"hidden_widths": [1024, 1024], "batch_size": 128, "device": "cpu"}, True),
        ({"hidden_widths": [64, 64], "batch_size": 64, "device": "gpu"}, False),
    ],
)
def test_small_updates_belong_on_the_cpu_unless_another_device_is_asked_for(changes, expected):
    assert belongs_on_cpu(Settings().with_changes(**changes), SPEC) == expected


@pytest.mark.parametrize("preset", ["LunarLander-v3", "LunarLander-v3-best", "CartPole-v1"])
def test_the_presets_do_not_wait_for_a_gpu(preset):
    assert belongs_on_cpu(load_preset(preset), SPEC)


def test_a_device_that_jax_does_not_compute_on_is_refused():
    start_backend(on_cpu=True)
    check_device(Settings().with_changes(device="auto"))
    check_device(Settings().with_changes(device="cpu"))
    with pytest.raises(SettingError, match=r"'gpu', but JAX computes on 'cpu'.*jax\[cuda13\]"):
        check_device(Settings().with_changes(device="gpu"))
