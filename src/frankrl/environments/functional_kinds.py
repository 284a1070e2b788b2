"""Kinds of functional environments, told by what they have; no package of theirs is imported."""

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
    return next(kinds, "")
