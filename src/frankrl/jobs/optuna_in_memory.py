"""Optuna's studies in memory: how its samplers and pruners are asked."""

import contextlib
import importlib
import importlib.util
import warnings
from collections.abc import Iterator
from typing import Any, Literal

from frankrl.core.errors import MissingExtraError


def check_optuna() -> None:
    """Check that Optuna is installed.

    Raises:
        MissingExtraError: it is not.
    """
    if importlib.util.find_spec("optuna") is None:
        raise MissingExtraError("frank sweep", "optuna", "sweep")


@contextlib.contextmanager
def quiet_optuna() -> Iterator[Any]:
    """Optuna, which within the block says nothing of its own.

    Raises:
        MissingExtraError: it is not installed.
    """
    check_optuna()
    optuna: Any = importlib.import_module("optuna")
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Samplers and pruners that Optuna calls experimental; their versions are recorded.
            warnings.simplefilter("ignore")
            yield optuna
    finally:
        optuna.logging.set_verbosity(before)


def memory_study(
    optuna: Any,
    direction: Literal["maximize", "minimize"],
    *,
    sampler: Any = None,
    pruner: Any = None,
) -> Any:
    """A study that is kept nowhere. Its name is fixed, because Hyperband's brackets follow it."""
    return optuna.create_study(
        study_name="frank",
        direction=direction,
        # Optuna's default sampler would draw from the clock.
        sampler=sampler or optuna.samplers.RandomSampler(seed=0),
        pruner=pruner or optuna.pruners.NopPruner(),
    )
