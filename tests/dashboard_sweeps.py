"""Sweeps with made-up trials, whose value follows from two of their three settings."""

import dataclasses
import json
import math
import random
from pathlib import Path

from frankrl.config.presets import load_preset
from frankrl.sweeps.definition import Definition
from frankrl.sweeps.objectives import objective_named
from frankrl.sweeps.space import Choices, Range
from frankrl.sweeps.trial import Trial, write_trial

SPACE = {
    "learning_rate": Range(1e-5, 1e-1, log=True),
    "epsilon_decay_env_steps": Range(1_000, 9_000, step=1_000),
    "double": Choices((True, False)),
}


def make_sweep(path: Path, *, trials=20, made=None, objective="final_return", **changes):
    """A sweep's folder with the first of its trials."""
    definition = Definition(
        env_id="CartPole-v1",
        preset="default",
        settings=load_preset("default").resolved(),
        fixed={"num_envs": 2},
        space=SPACE,
        objective=objective_named(objective),
        seeds=(100, 101),
        sampler="tpe",
        pruner="racing",
        lag=2,
        versions={"optuna": "5.0.0"},
    )
    (path / "trials").mkdir(parents=True)
    plain = dataclasses.replace(definition, **changes).to_plain() | {"trials": trials}
    (path / "sweep.json").write_text(json.dumps(plain))
    for number in range(trials if made is None else made):
        add_trial(path, made_up_trial(number))


def add_trial(sweep: Path, trial: Trial):
    """Write the record of a trial, or replace it."""
    write_trial(sweep / "trials", trial)


def made_up_trial(number: int) -> Trial:
    """Of ten trials one is pruned and one has failed; the others are complete.

    The value is best at a learning rate of 1e-3, and higher with double; it does not depend on the
    decay of ε.
    """
    draw = random.Random(number)
    settings = {
        "learning_rate": 10 ** draw.uniform(-5, -1),
        "epsilon_decay_env_steps": draw.randrange(1_000, 10_000, 1_000),
        "double": draw.random() < 0.5,
    }
    value = 400 - 80 * (math.log10(settings["learning_rate"]) + 3) ** 2 + 60 * settings["double"]
    runs = tuple(f"runs/{number:04d}-s{seed}" for seed in (100, 101))
    curves = (((1_000, value / 3),), ((1_000, value / 2),))
    if number % 10 == 7:
        reason = "its first seed is below the median of the others"
        return Trial(number, settings, "pruned", value / 2, (value / 2,), runs[:1], (), reason)
    if number % 10 == 8:
        return Trial(number, settings, "failed", None, (), runs, (), "the loss became NaN")
    return Trial(number, settings, "complete", value, (value - 10, value + 10), runs, curves)
