"""Names of actions, of states and of their components in well-known environments."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from frankrl.environments.leaves import Leaf


class _Part(NamedTuple):
    """A numbered part of a state."""

    name: str
    values: tuple[str, ...] = ()
    """What each of its numbers means; empty: it is a number."""


_ACTIONS = {
    "LunarLander": ("do nothing", "fire left", "fire main", "fire right"),
    "CartPole": ("push left", "push right"),
    "Acrobot": ("torque -1", "no torque", "torque +1"),
    "MountainCar": ("accelerate left", "do nothing", "accelerate right"),
    "NineSquares": ("up", "right", "down", "left"),
    "FrozenLake": ("left", "down", "right", "up"),
    "FrozenLake8x8": ("left", "down", "right", "up"),
    "CliffWalking": ("up", "right", "down", "left"),
    "Taxi": ("south", "north", "east", "west", "pick up", "drop off"),
}
_COMPONENTS = {
    ("LunarLander", 8): (
        "x",
        "y",
        "speed in x",
        "speed in y",
        "angle",
        "angular speed",
        "left leg down",
        "right leg down",
    ),
    ("CartPole", 4): ("position", "speed", "angle", "angular speed"),
    ("CartPole", 2): ("position", "angle"),
    ("Acrobot", 6): ("cos θ₁", "sin θ₁", "cos θ₂", "sin θ₂", "speed of θ₁", "speed of θ₂"),
    ("MountainCar", 2): ("position", "speed"),
}
"""Names by the environment's name and the number of components."""
_PARTS = {
    "Blackjack": {
        "0": _Part("player"),
        "1": _Part("dealer"),
        "2": _Part("ace", ("no ace", "usable ace")),
    },
}
"""Numbered parts by their path in the observation."""
_COLUMNS = {
    ("NineSquares", 9): 3,
    ("FrozenLake", 16): 4,
    ("FrozenLake", 64): 8,
    ("FrozenLake8x8", 64): 8,
    ("CliffWalking", 48): 12,
}
"""Columns of grids whose squares are numbered by row, by name and number of squares."""
_TAXI_STATES, _TAXI_SIDE = 500, 5
_TAXI_STOPS = ("red", "green", "yellow", "blue")


def action_names(env_id: str, num_actions: int) -> tuple[str, ...]:
    """Names of the actions if known, else their numbers."""
    names = _ACTIONS.get(_family(env_id), ())
    if len(names) == num_actions:
        return names
    return tuple(f"action {number}" for number in range(num_actions))


def component_names(env_id: str, leaf: Leaf) -> tuple[str, ...]:
    """Names of a leaf's components if known, else their numbers."""
    if leaf.name:
        part = _PARTS.get(_family(env_id), {}).get(leaf.name, _Part(leaf.name))
        if leaf.shape == ():
            return (part.name,)
        return tuple(f"{part.name}[{number}]" for number in range(leaf.size))
    if leaf.num_values is not None and leaf.shape == ():
        return ("state",)
    names = _COMPONENTS.get((_family(env_id), leaf.size))
    return names or tuple(f"s[{number}]" for number in range(leaf.size))


def value_name(env_id: str, env_kwargs: Mapping[str, Any], leaf: Leaf, number: int) -> str:
    """What a number of a `Discrete` part of a state means; empty if it is not known.

    Args:
        env_id: name of the environment.
        env_kwargs: how it was made; a map of the user's own has no names.
        leaf: the part, which may be the whole state.
        number: the environment's own number.
    """
    if leaf.name:
        part = _PARTS.get(_family(env_id), {}).get(leaf.name, _Part(leaf.name))
        return part.values[number] if 0 <= number < len(part.values) else ""
    count = leaf.num_values[0] if leaf.num_values else 0
    if (_family(env_id), count) == ("Taxi", _TAXI_STATES):
        return _taxi_state(number)
    columns = _COLUMNS.get((_family(env_id), count))
    if columns is None or env_kwargs.get("desc") is not None:
        return ""
    row, column = divmod(number, columns)
    return f"row {row}, column {column}"


def _taxi_state(number: int) -> str:
    place, goal = divmod(number, len(_TAXI_STOPS))
    place, passenger = divmod(place, len(_TAXI_STOPS) + 1)
    row, column = divmod(place, _TAXI_SIDE)
    waits = "in the taxi" if passenger == len(_TAXI_STOPS) else f"at {_TAXI_STOPS[passenger]}"
    return f"row {row}, column {column}, passenger {waits}, to {_TAXI_STOPS[goal]}"


def _family(env_id: str) -> str:
    return env_id.rsplit(":")[-1].rsplit("/")[-1].split("-")[0]
