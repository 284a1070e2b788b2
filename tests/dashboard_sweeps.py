"""Sweeps with made-up trials, whose value follows from two of their three settings."""

import math
import random
from pathlib import Path

from frankrl.sweeps.records import Dimension, SweepDefinition, Trial, write_definition, write_trial

SPACE = {
    "learning_rate": Dimension(1e-5, 1e-1, log=True),
    "epsilon_decay_env_steps": Dimension(1_000, 9_000, step=1_000),
    "double": Dimension(choices=(True, False)),
}


def make_sweep(path: Path, *, trials=20, made=None, **changes) -> SweepDefinition:
    """A sweep's folder with the first of its trials."""
    definition = SweepDefinition(
        env_id="CartPole-v1",
        preset="default",
        settings={"num_envs": 2},
        space=SPACE,
        objective="final_mean",
        direction="maximize",
        trials=trials,
        seeds=(100, 101),
        seed=0,
        sampler="tpe",
        pruner="median",
        lag=2,
        versions={"optuna": "5.0.0"},
    )
    definition = SweepDefinition(**(vars(definition) | changes))
    write_definition(path, definition)
    for number in range(trials if made is None else made):
        write_trial(path, made_up_trial(number))
    return definition


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
    if number % 10 == 7:
        reason = "its mean return at env step 1,000 is below the median"
        return Trial(number, settings, "pruned", None, (value / 2,), runs[:1], (), reason)
    if number % 10 == 8:
        return Trial(number, settings, "failed", None, (), runs, (), "the loss became NaN")
    return Trial(number, settings, "complete", value, (value - 10, value + 10), runs)
