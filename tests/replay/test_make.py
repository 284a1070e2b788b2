import pytest

from frankrl.config import ReplaySettings, Settings
from frankrl.replay import (
    NewestSampler,
    PrioritisedSampler,
    ReplayBuffer,
    UniformSampler,
    make_replay,
)


def made(**changes):
    return make_replay(Settings().with_changes(**changes).resolved())


def test_a_buffer_is_made_of_the_settings_and_compares_by_value():
    changes = {
        "replay_capacity": 5_000,
        "num_envs": 4,
        "n_step": 3,
        "gamma": 0.9,
        "batch_size": 16,
    }
    expected = ReplayBuffer(5_000, 4, 3, 0.9, UniformSampler(16))
    assert made(**changes) == expected
    assert hash(made(**changes)) == hash(expected)
    assert made(**changes | {"gamma": 0.8}) != expected


def test_the_setting_names_the_sampler():
    assert made(replay_sampling="newest", batch_size=16).sampler == NewestSampler(16)
    prioritised = made(
        replay_sampling="prioritised", priority_exponent=0.7, priority_beta=0.2, batch_size=16
    )
    assert prioritised.sampler == PrioritisedSampler(
        batch_size=16, exponent=0.7, epsilon=1e-6, beta=0.2, beta_ticks=100_000
    )


def test_a_rise_of_beta_without_a_duration_is_refused():
    unresolved = Settings(replay=ReplaySettings(replay_sampling="prioritised"))
    with pytest.raises(ValueError, match=r"Settings\.resolved"):
        make_replay(unresolved)


def test_a_later_budget_does_not_bend_the_rise_of_beta():
    settings = Settings().with_changes(replay_sampling="prioritised", total_env_steps=500)
    longer = settings.resolved().with_changes(total_env_steps=5_000).resolved()
    assert make_replay(longer).sampler.beta_ticks == 500
