"""The studies of memory: what they train, how errors are measured, and what their table says."""

import numpy as np
import pytest

from benchmarks.memory import STUDIES, q_value_errors, table, training_words
from frankrl.cli.train_options import changed_from
from frankrl.config.presets import load_preset


@pytest.mark.parametrize("name", STUDIES)
def test_the_command_of_a_run_means_the_settings_of_its_study(name, tmp_path):
    study = STUDIES[name]
    _, *words = training_words(study, 3, str(tmp_path / "run"))
    options, settings = changed_from(load_preset("recurrent"), words, {})
    assert (options.env, options.preset, options.seed) == (study.env_id, "recurrent", 3)
    assert settings == study.settings()


def test_without_a_memory_an_update_learns_from_as_many_steps():
    with_memory = STUDIES["cart-pole"].settings()
    replay = with_memory.replay
    steps = replay.batch_size * (replay.sequence_steps - replay.burn_in_steps)
    for name in ("cart-pole-without-memory", "cart-pole-frame-stack"):
        without = STUDIES[name].settings()
        assert without.network.memory == "none"
        assert without.replay.batch_size == steps
        assert without.network.hidden_widths == with_memory.network.hidden_widths
        assert without.training == with_memory.training


class Counting:
    """Knows an action's Q-value up to a known error, by the symbols that it has been shown."""

    def __init__(self, delay, gamma):
        self._delay, self._future = delay, gamma / (1 - gamma)

    def q_values(self, observation, state):
        seen = [*(state or [0] * self._delay), int(observation)]
        return (np.arange(2) == seen[-1 - self._delay]) + self._future + np.array([0.5, -0.25])

    def predict(self, observation, state):
        return 0, [*(state or [0] * self._delay), int(observation)]


def test_errors_are_those_of_every_action_in_every_step():
    study = STUDIES["repeat-4"]
    settings = study.settings()
    agent = Counting(settings.environment.env_kwargs["delay"], settings.learning.gamma)
    errors = q_value_errors(agent, study)
    assert errors.shape == (20, 64, 2)
    np.testing.assert_allclose(errors[..., 0], 0.5)
    np.testing.assert_allclose(errors[..., 1], 0.25)


def test_the_table_has_a_row_for_each_study():
    row = {"env_steps": 5_000, "updates": 100, "seconds": 7.4, "largest_q_value_error": None}
    rows = [
        row | {"study": "cart-pole", "seed": seed, "mean_return": mean}
        for seed, mean in enumerate((400.0, 500.0))
    ]
    rows.append(
        row | {"study": "repeat-1", "seed": 0, "mean_return": 64.0, "largest_q_value_error": 0.0123}
    )
    _, _, first, second = table(rows).splitlines()
    assert first.startswith("| cart-pole | 5,000 | 100 | 400, 500 | 450 ± 50 |  | 7 |")
    assert second.startswith("| repeat-1 | 5,000 | 100 | 64 | 64 ± 0 | 0.012 | 7 |")
