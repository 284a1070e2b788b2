"""Environments that cannot be had many times, for ever, or the same twice."""

import numpy as np
import odd_envs
import pytest
from robustness.runs import contents

import frankrl
from frankrl.core.errors import EnvironmentFailedError, EnvironmentUnusableError, SettingError
from frankrl.environments import GymnasiumVector, describe, try_out
from frankrl.training import Evaluated

QUICK = {
    "preset": "default",
    "worker_processes": 0,
    "hidden_widths": (8,),
    "num_envs": 1,
    "learning_starts_env_steps": 20,
    "log_every_env_steps": 30,
    "evaluate_every_env_steps": 50,
    "evaluation_episodes": 3,
    "final_evaluation_episodes": 4,
    "total_env_steps": 130,
}


@pytest.fixture(autouse=True)
def _none_there():
    odd_envs.OnlyOne.there = 0


def train(env_id, out, **changes):
    chosen = {name: value for name, value in (QUICK | changes).items() if value != ()}
    events = []
    return frankrl.train(env_id, out=out, on_event=events.append, **chosen), events


@pytest.mark.parametrize("binds_at", ["init", "reset"])
def test_without_settings_for_it_an_only_environment_is_refused_with_their_names(
    tmp_path, binds_at
):
    with pytest.raises(EnvironmentUnusableError) as caught:
        train("OddOnlyOne-v0", tmp_path / "run", env_kwargs={"binds_at": binds_at})
    for words in ("Address already in use", "evaluation_on to training", "evaluation_envs"):
        assert caught.match(words)
    assert caught.match("evaluate_every_env_steps and final_evaluation_episodes to none")
    assert list(tmp_path.iterdir()) == []
    assert odd_envs.OnlyOne.there == 0


def test_several_training_environments_are_refused_with_the_setting_for_that(tmp_path):
    with pytest.raises(EnvironmentUnusableError, match=r"in use.* set num_envs \(2\) to 1"):
        train("OddOnlyOne-v0", tmp_path / "run", num_envs=2)


@pytest.mark.parametrize("binds_at", ["init", "reset"])
def test_an_only_environment_trains_with_evaluations_in_it(tmp_path, binds_at):
    result, events = train(
        "OddOnlyOne-v0",
        tmp_path / "run",
        evaluation_on="training",
        env_kwargs={"binds_at": binds_at},
    )
    assert [len(e.evaluation.returns) for e in events if isinstance(e, Evaluated)] == [3, 3]
    assert result.evaluation["lengths"] == [4] * 4
    assert odd_envs.OnlyOne.there == 0


def test_an_only_environment_trains_without_any_evaluation(tmp_path):
    result, events = train(
        "OddOnlyOne-v0",
        tmp_path / "run",
        evaluate_every_env_steps=None,
        evaluation_episodes=(),
        final_evaluation_episodes=None,
    )
    assert not [e for e in events if isinstance(e, Evaluated)]
    assert (result.evaluation, result.best, result.stopped) == (None, None, False)
    assert result.env_steps == 130


@pytest.mark.parametrize("env_id", ["CartPole-v1", "LunarLander-v3"])
def test_evaluations_in_the_training_environment_change_no_bit_of_the_run(tmp_path, env_id):
    found, stack = [], 3 if env_id == "CartPole-v1" else 1
    for place in ("own", "training"):
        out = tmp_path / place
        result, events = train(env_id, out, evaluation_on=place, frame_stack=stack)
        looks = [e.evaluation.returns.tolist() for e in events if isinstance(e, Evaluated)]
        found.append((looks, result.evaluation, contents(tmp_path / place)))
    assert found[0] == found[1]


def test_an_environment_that_cannot_be_restored_is_not_lent(tmp_path):
    with pytest.raises(SettingError, match=r"evaluation_on training .*something else .*own"):
        train("OddRemembering-v0", tmp_path / "run", evaluation_on="training")
    assert list(tmp_path.iterdir()) == []
    vector = GymnasiumVector(describe("OddRemembering-v0", {}), 1, seed=0)
    vector.step(np.array([0]), 0)
    with pytest.raises(EnvironmentFailedError, match="did not come back"), vector.lent() as envs:
        envs.reset([0], [0], [0])
    vector.close()


@pytest.mark.parametrize(
    ("env_id", "expected"),
    [
        ("CartPole-v1", True),
        ("FrozenLake-v1", True),
        ("OddRemembering-v0", False),
        ("OddNormalised-v0", False),
    ],
)
def test_a_trial_shows_whether_an_environment_repeats_itself(env_id, expected):
    assert try_out(describe(env_id, {})).repeats is expected


@pytest.mark.parametrize(
    ("env_id", "env_kwargs"),
    [
        ("OddNormalised-v0", {"wrapper": "NormalizeReward"}),
        ("OddNormalised-v0", {"wrapper": "NormalizeObservation"}),
        ("OddRemembering-v0", {}),
    ],
)
def test_equal_policies_score_equally_whenever_they_are_evaluated(tmp_path, env_id, env_kwargs):
    # A learning rate of 0 is not allowed; this one changes no action.
    result, events = train(
        env_id,
        tmp_path / "run",
        env_kwargs=env_kwargs,
        learning_rate=1e-30,
        evaluation_episodes=4,
        total_env_steps=200,
    )
    looks = [e.evaluation.returns.tolist() for e in events if isinstance(e, Evaluated)]
    assert len(looks) == 4
    assert looks == [result.evaluation["returns"]] * 4


def test_every_seed_is_one_that_an_environment_can_put_into_32_bits(tmp_path):
    result, events = train("OddSmallSeed-v0", tmp_path / "run")
    assert result.evaluation["lengths"] == [4] * 4
    assert len([e for e in events if isinstance(e, Evaluated)]) == 2


def test_an_evaluation_cuts_off_what_never_ends(tmp_path):
    result, events = train("OddEndless-v0", tmp_path / "run", evaluation_max_episode_steps=7)
    lengths = [e.evaluation.lengths.tolist() for e in events if isinstance(e, Evaluated)]
    assert lengths == [[7] * 3] * 2
    assert result.evaluation["lengths"] == [7] * 4


@pytest.mark.slow
def test_an_answer_in_one_pixel_beside_a_vector_is_learned(tmp_path):
    result, _ = train(
        "OddPixelAnswer-v0",
        tmp_path / "run",
        hidden_widths=(32,),
        learning_rate=3e-3,
        total_env_steps=1_000,
        evaluate_every_env_steps=1_000,
        final_evaluation_episodes=50,
    )
    assert result.evaluation["mean_return"] == 1.0
    (image, vector) = describe("OddPixelAnswer-v0", {}).leaves
    assert (image.dtype, vector.dtype) == (np.uint8, np.float32)
    assert image.scaling(to_bounds=False).factor == (1 / 255,)
