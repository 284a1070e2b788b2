"""The clock of a run: what it counts, in words and in the names of settings.

A tick is one unit of what the clock counts: an env step, or an update of a run that does not act.
A number of either is called `ticks`; where it can only be env steps or updates, it is called so.
"""

from enum import StrEnum
from typing import Literal


class Clock(StrEnum):
    """What a run counts: the unit of its budget, and of what its records call `env_steps`."""

    ENV_STEPS = "env steps"
    UPDATES = "updates"
    """Of a run that learns from a data set without acting."""

    @property
    def unit(self) -> Literal["env step", "update"]:
        """One tick."""
        return "env step" if self is Clock.ENV_STEPS else "update"

    def at(self, ticks: int) -> str:
        """A moment in words: `env step 1,200`."""
        return f"{self.unit} {ticks:,}"

    def beside_update(self, ticks: int) -> str | None:
        """A moment in words beside the number of an update; None if that says it already."""
        return None if self is Clock.UPDATES else self.at(ticks)

    def named(self, duration: str) -> str:
        """The name of the setting of a duration by this clock: `total` is `total_updates`."""
        return f"{duration}_{self.value.replace(' ', '_')}"
