"""Kinds of functional environments, told by what they have; no package of theirs is imported."""

import inspect
from typing import Any

import gymnasium

_KINDS = {
    "navix": ("reset", "step", "observation_fn", "termination_fn"),
    "gymnax": ("reset_env", "step_env", "default_params"),
    "pgx": ("init", "step", "observe", "num_players"),
    "gymnasium": ("initial", "transition", "observation", "reward", "terminal"),
    "frank": ("reset", "step", "action_space", "observation_space"),
}
"""What each kind has, in the order in which they are tried."""


def functional_kind(given: Any) -> str:
    """The kind of a functional environment, or of a class of them; empty for anything else."""
    if isinstance(given, gymnasium.Env | str) or (
        isinstance(given, type) and issubclass(given, gymnasium.Env)
    ):
        return ""
    kinds = (kind for kind, names in _KINDS.items() if all(hasattr(given, name) for name in names))
    kind = next(kinds, "")
    # Classes in the form of Gymnasium's that do not follow it have the same names.
    return "" if kind == "frank" and not _takes_a_state(given.step) else kind


def _takes_a_state(step: Any) -> bool:
    """Whether a step takes a state, an action and a key, and not an action alone."""
    try:
        parameters = inspect.signature(step).parameters.values()
    except (TypeError, ValueError):
        return False
    kinds = [parameter.kind for parameter in parameters]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    takes_any = inspect.Parameter.VAR_POSITIONAL in kinds
    return takes_any or sum(kind in positional for kind in kinds) >= 3
