"""A short trial of an environment before training."""

import contextlib
import hashlib
import math
import time
from typing import NamedTuple

import numpy as np

from frankrl.core.errors import FrankError
from frankrl.environments.checked_env import CheckedEnv
from frankrl.environments.functional import is_functional
from frankrl.environments.spec import EnvironmentSpec

_MAX_STEPS, _MAX_SECONDS = 50, 0.02


class Trial(NamedTuple):
    """What a few steps of an environment show."""

    step_seconds: float
    """Median time of a step; 0 if the environment failed. [s]"""
    repeats: bool
    """Whether it gave the same again for the same seed and actions, as far as it was tried."""


def try_out(spec: EnvironmentSpec) -> Trial:
    """Play a few steps twice, in an environment that is closed again.

    Failures of the environment are ignored here; the run reports them. A functional one is known
    to repeat, and its trial would have to be compiled.
    """
    if is_functional(spec):
        return Trial(0.0, repeats=True)
    taken: list[float] = []
    with contextlib.suppress(FrankError), contextlib.closing(CheckedEnv(spec)) as env:
        first = _played(env, _MAX_STEPS, time.perf_counter() + _MAX_SECONDS, taken)
        again = _played(env, len(taken), math.inf, [])
        return Trial(float(np.median(taken)) if taken else 0.0, first == again)
    return Trial(float(np.median(taken)) if taken else 0.0, repeats=True)


def _played(env: CheckedEnv, most_steps: int, end: float, taken: list[float]) -> bytes:
    """Play from seed 0 with the first allowed action, and note the time of each step.

    Args:
        env: the environment.
        most_steps: most steps to play.
        end: no step but the first begins after this. [s]
        taken: gets the time of each step. [s]

    Returns:
        A hash of everything that the environment returned.
    """
    row = env.reset(0, 0)
    seen = hashlib.blake2b(row.tobytes())
    # One step at least, however long the machine is busy with something else.
    while len(taken) < most_steps and ((start := time.perf_counter()) < end or not taken):
        row, *rest = env.step(_first_allowed(env.spec, row))
        taken.append(time.perf_counter() - start)
        seen.update(row.tobytes() + repr(rest).encode())
        if rest[1] or rest[2]:
            row = env.reset(0, 0)
            seen.update(row.tobytes())
    return seen.digest()


def _first_allowed(spec: EnvironmentSpec, row: np.ndarray) -> int:
    allowed = spec.action_mask(row)
    return 0 if allowed is None else int(np.argmax(allowed))
