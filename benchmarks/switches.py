"""What each switch of the family adds to an update.

`python -m benchmarks.switches` times, as `benchmarks.update` does and with its cases, an
update with each switch alone beside a plain one, in turns on one thread, and tells the
quotient of each turn: its median and quartiles. Making the draws is the other half's work.
The plain update is timed a second time, as the control: its quotient shows how exact all this is.
"""

import re
import sys
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import tyro

from benchmarks.update import Case, timed
from frankrl.core.backend import start_backend
from frankrl.experiments.family import RAINBOW, SWITCHES

NAMES = {":".join(RAINBOW): "Rainbow"}
CONTROL = "plain again (the control)"


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
    unknown = {part for switch in options.switches for part in switch.split(":")} - set(SWITCHES)
    if unknown:
        _refuse(f"no such switch: {', '.join(sorted(unknown))}; there are {', '.join(SWITCHES)}")
    if odd := [size for size in options.sizes if not re.fullmatch(r"\d+(x\d+)*:\d+", size)]:
        _refuse(f"a size is WIDTHS:BATCH, such as 64x64:64, got {', '.join(odd)}")
    print(
        f"XLA's threads: {start_backend()}, updates in a call: {options.updates_per_call}, "
        f"buffer: {options.capacity:,}"
    )
    for size in options.sizes:
        names = [size, size, *(f"{size}:{switch}" for switch in options.switches)]
        cases = [Case.parse(name, options.capacity) for name in names]
        calls = [case.call(options.updates_per_call) for case in cases]
        plain, *rest = timed(calls, options.turns)
        each = np.median(plain) / options.updates_per_call * 1e6
        print(f"\n| {size.replace(':', ', batch ')} | µs an update | ÷ plain | quartiles |")
        print(f"|---|---|---|---|\n| plain | {each:.0f} | 1 | |")
        told = [NAMES.get(switch, switch.replace(":", " + ")) for switch in options.switches]
        for name, seconds in zip([CONTROL, *told], rest, strict=True):
            each = np.median(seconds) / options.updates_per_call * 1e6
            low, middle, high = np.percentile(seconds / plain, [25, 50, 75])
            print(f"| {name} | {each:.0f} | {middle:.2f} | {low:.2f}–{high:.2f} |")


def _refuse(sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
