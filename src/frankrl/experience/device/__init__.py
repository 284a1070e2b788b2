"""Experience on the device: functional environments and acting as parts of one program."""

from frankrl.experience.device.acting import (
    ActingDraws,
    acting_draws,
    epsilon_greedy,
    greedy_values,
)
from frankrl.experience.device.environments import (
    LANES,
    DeviceEnvironments,
    DeviceStep,
    EnvironmentStates,
)
from frankrl.experience.device.source import DeviceSource

__all__ = [
    "LANES",
    "ActingDraws",
    "DeviceEnvironments",
    "DeviceSource",
    "DeviceStep",
    "EnvironmentStates",
    "acting_draws",
    "epsilon_greedy",
    "greedy_values",
]
