"""Names of actions and of components of observations in well-known environments."""

from frankrl.environments.leaves import Leaf

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
    "LunarLander": (
        "x",
        "y",
        "speed in x",
        "speed in y",
        "angle",
        "angular speed",
        "left leg down",
        "right leg down",
    ),
    "CartPole": ("position", "speed", "angle", "angular speed"),
    "Acrobot": ("cos θ₁", "sin θ₁", "cos θ₂", "sin θ₂", "speed of θ₁", "speed of θ₂"),
    "MountainCar": ("position", "speed"),
}


def action_names(env_id: str, num_actions: int) -> tuple[str, ...]:
    """Names of the actions if known, else their numbers."""
    names = _ACTIONS.get(_family(env_id), ())
    if len(names) == num_actions:
        return names
    return tuple(f"action {number}" for number in range(num_actions))


def component_names(env_id: str, leaf: Leaf) -> tuple[str, ...]:
    """Names of a leaf's components if known, else their numbers."""
    if leaf.name:
        if leaf.shape == ():
            return (leaf.name,)
        return tuple(f"{leaf.name}[{number}]" for number in range(leaf.size))
    names = _COMPONENTS.get(_family(env_id), ())
    if len(names) == leaf.size:
        return names
    return tuple(f"s[{number}]" for number in range(leaf.size))


def _family(env_id: str) -> str:
    return env_id.rsplit(":")[-1].rsplit("/")[-1].split("-")[0]
