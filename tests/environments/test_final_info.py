"""Numbers by name from the info of an episode's last step."""

import contextlib

import numpy as np
import pytest
from failing_envs import LENGTH, Failing

from frankrl.config import Settings
from frankrl.core.errors import SettingError
from frankrl.core.random import Use, reset_seed
from frankrl.core.types import FinalInfo
from frankrl.environments import GymnasiumVector, describe, finite_number
from frankrl.environments.env_group import start_workers
from frankrl.environments.final_info import final_info


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3.0),
        (0.25, 0.25),
        (True, 1.0),
        (np.True_, 1.0),
        (np.float32(0.5), 0.5),
        (np.array(7, np.int8), 7.0),
        ("3", None),
        (np.str_("3"), None),
        (None, None),
        ([1.0], None),
        (np.zeros(1), None),
        ({"r": 1.0}, None),
        (1j, None),
        (float("nan"), None),
        (np.inf, None),
        (10**400, None),
    ],
)
def test_bools_and_finite_numbers_are_numbers(value, number):
    assert finite_number(value) == number


def test_what_is_not_there_is_told_with_the_entries_that_are():
    found = final_info({"a": 1, "b": "x", 5: 2}, ["a", "b", "c"])
    assert found is not None
    assert found.values == {"a": 1.0}
    assert found.missing == {
        "b": "it is 'x', which is no finite number",
        "c": "the last step's info has only a, b, 5",
    }
    assert final_info(None, ["c"]) == FinalInfo(
        {}, {"c": "the last step's info has no entry at all"}
    )


@pytest.mark.parametrize("info", [{}, {"a": 1}, {"is_success": "yes"}, None, 3])
def test_without_a_name_only_success_is_read_and_not_missed(info):
    assert final_info(info, []) is None
    assert final_info({"is_success": np.False_}, []) == FinalInfo({"is_success": 0.0}, {})


def test_a_vector_gives_the_numbers_of_every_episode_wherever_it_is_stepped():
    num_envs, names = 5, ["reward", "words"]
    workers, spec = start_workers(2), describe("failing_envs:Failing-v0", {"share": 0.0})
    actions = np.random.default_rng(0).integers(0, 3, (2 * LENGTH, num_envs))
    expected = {}
    for i in range(num_envs):
        env = Failing(share=0.0)
        for t, action in enumerate(actions[:, i]):
            if t % LENGTH == 0:
                env.reset(seed=reset_seed(3, Use.TRAINING_RESET, i, t // LENGTH))
            _, reward, _, ended, _ = env.step(action)
            if ended:
                expected[num_envs * t + i + 1] = {"reward": reward, "is_success": env.token > 0.5}
    for some in ([], workers):
        with contextlib.closing(
            GymnasiumVector(spec, num_envs, 3, some, info_metrics=names)
        ) as vector:
            found = {}
            for t, taken in enumerate(actions):
                found |= vector.step(taken, num_envs * t)[0].final_infos
        assert {at: info.values for at, info in found.items()} == expected
        assert {str(info.missing) for info in found.values()} == {
            "{'words': \"it is 'no number', which is no finite number\"}"
        }
    for worker in workers:
        worker.close()


def test_envpool_gives_no_info():
    with pytest.raises(SettingError, match="EnvPool's environments give no info"):
        Settings().with_changes(backend="envpool", info_metrics=["a"])
