"""What each switch of the family adds to an update.

`python -m benchmarks.switches` times, as `benchmarks.update` does and with its cases, an
update with each switch alone beside a plain one, in turns on one thread, and tells the
quotient of each turn: its median and quartiles. Each call finds the same draws, whose
making is the other half's work.
"""

from dataclasses import dataclass

import numpy as np
import tyro

from benchmarks.update import Case, timed
from frankrl.backend import start_backend
from frankrl.experiments.family import RAINBOW, SWITCHES


@dataclass(frozen=True)
class Options:
    """What to measure."""

    updates_per_call: int = 16
    """Updates in one compiled call."""
    turns: int = 15
    """Turns; in each, every case is timed once."""
    sizes: tuple[str, ...] = ("64x64:64", "256x256:128")
    """WIDTHS:BATCH."""
    capacity: int = 100_000
    """Of the buffer. [transitions]"""
    switches: tuple[str, ...] = (*SWITCHES, ":".join(RAINBOW))
    """Which: names of the family's switches, several at once with colons between them."""


def main(options: Options) -> None:
    """Measure and print a table for each size."""
    print(
        f"XLA's threads: {start_backend()}, updates in a call: {options.updates_per_call}, "
        f"buffer: {options.capacity:,}"
    )
    for size in options.sizes:
        names = [size, *(f"{size}:{switch}" for switch in options.switches)]
        cases = [Case.parse(name, options.capacity) for name in names]
        calls = [case.call(options.updates_per_call) for case in cases]
        plain, *rest = timed(calls, options.turns)
        each = np.median(plain) / options.updates_per_call * 1e6
        print(f"\n| {size.replace(':', ', batch ')} | µs an update | ÷ plain | quartiles |")
        print(f"|---|---|---|---|\n| plain | {each:.0f} | 1 | |")
        for switch, seconds in zip(options.switches, rest, strict=True):
            name = "Rainbow" if switch == ":".join(RAINBOW) else switch.replace(":", " + ")
            each = np.median(seconds) / options.updates_per_call * 1e6
            low, middle, high = np.percentile(seconds / plain, [25, 50, 75])
            print(f"| {name} | {each:.0f} | {middle:.2f} | {low:.2f}–{high:.2f} |")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
