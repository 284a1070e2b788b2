"""A trial's settings: a pure function of the seed, the number and earlier results."""

import itertools
import json
import random

import optuna
import pytest

from frankrl.sweeps.sampling import drawn, grid_point, num_points, sampler_seed
from frankrl.sweeps.space import space_of
from frankrl.sweeps.trial import Trial

SPACE = space_of(
    {
        "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
        "batch_size": {"low": 16, "high": 128, "step": 16},
        "hidden_widths": {"choices": [[64, 64], [256]]},
        "max_gradient_norm": {"choices": [10, "none", 1]},
        "gamma": {"low": 0.9, "high": 0.99, "step": 0.01},
        "double": {"choices": [True, False]},
    }
)


def trials_of(count, seed=0):
    draw, found = random.Random(seed), []
    for number in range(count):
        settings = drawn("random", SPACE, "maximize", seed, number, [])
        settings = json.loads(json.dumps(settings))
        value = -abs(settings["learning_rate"] - 0.003) * 1e4 + draw.random()
        values = (value, value)
        state = "complete" if number % 5 else "pruned"
        trial = Trial(number, settings, state, value, values)
        if number % 7 == 6:
            trial = Trial(number, settings, "failed", reason="diverged")
        found.append(trial)
    return found


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_every_setting_is_one_that_the_space_allows(sampler):
    earlier = trials_of(30)
    for number in range(30, 45):
        settings = drawn(sampler, SPACE, "maximize", 1, number, earlier)
        assert list(settings) == list(SPACE)
        assert 1e-4 <= settings["learning_rate"] <= 1e-2
        assert settings["batch_size"] in range(16, 129, 16)
        assert type(settings["batch_size"]) is int
        assert settings["hidden_widths"] in ((64, 64), (256,))
        assert settings["max_gradient_norm"] in (10.0, None, 1.0)
        assert settings["double"] in (True, False)
        assert round(settings["gamma"] * 100) in range(90, 100)


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_the_same_results_give_the_same_settings(sampler):
    earlier = trials_of(20)
    again = [Trial.from_plain(json.loads(json.dumps(trial.to_plain()))) for trial in earlier]
    ours = drawn(sampler, SPACE, "maximize", 3, 20, earlier)
    assert drawn(sampler, SPACE, "maximize", 3, 20, again) == ours
    assert drawn(sampler, SPACE, "maximize", 3, 21, earlier) != ours
    assert drawn(sampler, SPACE, "maximize", 4, 20, earlier) != ours


def test_tpe_learns_from_earlier_results_and_knows_the_direction():
    earlier = trials_of(60)

    def distance(direction):
        rates = [
            drawn("tpe", SPACE, direction, 0, number, earlier)["learning_rate"]
            for number in range(60, 72)
        ]
        return sum(abs(rate - 0.003) for rate in rates) / len(rates)

    assert distance("maximize") < 0.002 < distance("minimize")


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_tpe_draws_what_optunas_own_study_draws():
    earlier = trials_of(25)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=sampler_seed(9, 25), multivariate=True),
    )
    made = optuna.distributions
    distributions = {
        "learning_rate": made.FloatDistribution(1e-4, 1e-2, log=True),
        "batch_size": made.IntDistribution(16, 128, step=16),
        "hidden_widths": made.CategoricalDistribution(["[64, 64]", "[256]"]),
        "max_gradient_norm": made.CategoricalDistribution([10.0, None, 1.0]),
        "gamma": made.FloatDistribution(0.9, 0.99, step=0.01),
        "double": made.CategoricalDistribution([True, False]),
    }
    states = optuna.trial.TrialState
    for trial in earlier:
        params = trial.settings | {"hidden_widths": str(trial.settings["hidden_widths"])}
        study.add_trial(
            optuna.trial.create_trial(
                state={"complete": states.COMPLETE, "pruned": states.PRUNED}.get(
                    trial.state, states.FAIL
                ),
                value=trial.value,
                params=params,
                distributions=distributions,
                intermediate_values=dict(enumerate(trial.values)),
            )
        )
    theirs = study.ask(distributions).params
    ours = drawn("tpe", SPACE, "maximize", 9, 25, earlier)
    assert ours | {"hidden_widths": str(list(ours["hidden_widths"]))} == theirs


def test_a_grid_has_every_combination_once_and_the_last_setting_changes_fastest():
    space = space_of(
        {
            "n_step": {"low": 1, "high": 3},
            "gamma": {"low": 0.9, "high": 0.99, "step": 0.03},
            "loss": {"choices": ["mse", "huber"]},
        }
    )
    product = itertools.product((1, 2, 3), (0.9, 0.93, 0.96, 0.99), ("mse", "huber"))
    wanted = [dict(zip(space, point, strict=True)) for point in product]
    assert num_points(space) == (24, [])
    assert [grid_point(space, number) for number in range(24)] == wanted
    assert drawn("grid", space, "minimize", 5, 7, []) == wanted[7]
    assert num_points(SPACE) == (None, ["learning_rate"])


def test_seeds_of_samplers_do_not_repeat():
    seeds = {sampler_seed(sweep, number) for sweep in range(3) for number in range(1_000)}
    assert len(seeds) == 3_000
