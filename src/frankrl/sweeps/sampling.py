"""The settings of a trial, drawn from the results of earlier ones.

They are a pure function of the sweep's seed, the trial's number and those results. A sampler of
Optuna has a random state of its own, so each trial has a sampler of its own.
"""

import hashlib
import json
import math
from collections.abc import Iterable
from typing import Any, Literal

from frankrl.jobs.optuna_in_memory import memory_study, quiet_optuna
from frankrl.sweeps.space import Axis, Choices, Space
from frankrl.sweeps.trial import Trial

SAMPLERS = ("tpe", "random", "grid")
_PRIMITIVE = (type(None), bool, int, float, str)


def num_points(space: Space) -> tuple[int | None, list[str]]:
    """The number of points of the grid, and the settings that have endlessly many values."""
    counts = {name: axis.count() for name, axis in space.items()}
    endless = [name for name, count in counts.items() if count is None]
    return None if endless else math.prod(c for c in counts.values() if c is not None), endless


def grid_point(space: Space, number: int) -> dict[str, Any]:
    """A point of the grid, from 0; the last setting of the space changes fastest."""
    point = {}
    for name in reversed(space):
        axis = space[name]
        number, index = divmod(number, axis.count() or 1)
        point[name] = axis.at(index)
    return {name: point[name] for name in space}


def drawn(
    sampler: str,
    space: Space,
    direction: Literal["maximize", "minimize"],
    seed: int,
    number: int,
    earlier: Iterable[Trial],
) -> dict[str, Any]:
    """The searched settings of a trial.

    Args:
        sampler: one of `SAMPLERS`.
        space: what is searched.
        direction: of the objective.
        seed: the sweep's seed.
        number: the trial's number.
        earlier: the trials whose results may be used, in order.
    """
    if sampler == "grid":
        return grid_point(space, number)
    with quiet_optuna() as optuna:
        own_seed = sampler_seed(seed, number)
        if sampler == "random":
            chosen = optuna.samplers.RandomSampler(seed=own_seed)
        else:
            chosen = optuna.samplers.TPESampler(seed=own_seed, multivariate=True)
        distributions = distributions_of(optuna, space)
        study = memory_study(optuna, direction, sampler=chosen)
        if sampler == "tpe":
            for trial in earlier:
                study.add_trial(frozen(optuna, trial, space, distributions))
        params = study.ask(distributions).params
    return {name: _value(axis, params[name]) for name, axis in space.items()}


def sampler_seed(seed: int, number: int) -> int:
    """The seed of the sampler of one trial."""
    digest = hashlib.sha256(f"{seed}:{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def distributions_of(optuna: Any, space: Space) -> dict[str, Any]:
    """The space in Optuna's terms."""
    made = optuna.distributions
    found = {}
    for name, axis in space.items():
        if isinstance(axis, Choices):
            found[name] = made.CategoricalDistribution([label(v) for v in axis.values])
        elif axis.is_whole:
            step = axis.step or 1
            found[name] = made.IntDistribution(axis.low, axis.high, log=axis.log, step=step)
        else:
            found[name] = made.FloatDistribution(axis.low, axis.high, log=axis.log, step=axis.step)
    return found


def frozen(optuna: Any, trial: Trial, space: Space, distributions: dict[str, Any]) -> Any:
    """A trial that is over, as Optuna's samplers see it."""
    states = optuna.trial.TrialState
    state = {"complete": states.COMPLETE, "pruned": states.PRUNED, "failed": states.FAIL}
    return optuna.trial.create_trial(
        state=state[trial.state],
        value=trial.value,
        params=params_of(trial, space),
        distributions=distributions,
        # By these a pruned trial is compared: the more seeds, the better.
        intermediate_values=dict(enumerate(trial.values)),
    )


def params_of(trial: Trial, space: Space) -> dict[str, Any]:
    """The settings of a trial in Optuna's terms."""
    return {name: label(trial.settings[name]) for name in space}


def label(value: Any) -> Any:
    """A value in a form that Optuna can keep: a list as text."""
    return value if isinstance(value, _PRIMITIVE) else json.dumps(value)


def _value(axis: Axis, param: Any) -> Any:
    """The value of a setting from Optuna's."""
    if isinstance(axis, Choices):
        return next(v for v in axis.values if label(v) == param and type(label(v)) is type(param))
    return int(param) if axis.is_whole else float(param)
