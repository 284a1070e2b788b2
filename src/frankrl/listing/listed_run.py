"""A run in a list, or a group of runs that differ in their seeds alone."""

from dataclasses import dataclass
from pathlib import Path

from frankrl.config import Settings
from frankrl.listing.run_status import STATES

UNREADABLE = "unreadable"
ALL_STATES = (*STATES, UNREADABLE)


@dataclass(frozen=True)
class ListedRun:
    """A run in a list.

    Of a group, counts are those of the run that has gone the least far, and returns are
    interquartile means over the seeds, with half the width of their 95 % bootstrap intervals.
    """

    path: Path
    name: str
    """Its path below the folder that was listed."""
    env_id: str
    preset: str
    seed: int | None
    state: str
    """One of `not started`, `running`, `finished`, `stopped`, `pruned`, `broken off`,
    `unreadable`."""
    clock: str
    """What the next two numbers and `solved_at` count: `env steps`, or `updates` of a run that does
    not act; empty if that is not known."""
    env_steps: int
    total_env_steps: int
    updates: int
    mean_return: float | None
    """Of the last 100 training episodes."""
    mean_return_spread: float
    """Half the width of its 95 % interval; 0: not known."""
    best_return: float | None
    """Highest mean return of an evaluation during training."""
    final_return: float | None
    """Mean return of the final evaluation."""
    final_return_spread: float
    """Half the width of its 95 % interval; 0: not known."""
    solved_at: int | None
    """Env step of the first passed solved check; of a group, of its last run that was solved, if
    all were. [env steps]"""
    size_bytes: int
    """What its folder takes on the disk. [bytes]"""
    written_at: float | None
    """When it was last written. [seconds since 1970]"""
    settings: Settings | None
    """None if they cannot be read."""
    seeds: tuple[int, ...]
    """The seeds of a group's runs; none of a run."""
    error: str
    """What could not be read; empty: all could."""
