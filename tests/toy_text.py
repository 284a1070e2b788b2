"""The names of Gymnasium's small worlds, whose versions differ between its releases."""

import gymnasium


def newest(family: str) -> str:
    """The newest environment of a family, such as `Taxi-v4` of `Taxi`."""
    return max(name for name in gymnasium.registry if name.startswith(f"{family}-v"))


TAXI, CLIFF_WALKING = newest("Taxi"), newest("CliffWalking")
