"""`scripts/robustness`: try to break Frank's promises, and say how often they held.

With no names every study is done, in its long form, and its figures are written to
`--results`; `docs/reliability.md` shows them.
"""

import json
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import tyro

from frankrl.runs import machine_facts
from frankrl.runs.machine import versions
from robustness import (
    cluster,
    damage,
    environments,
    faults,
    fuzz,
    games,
    kills,
    numbers,
    ray_actors,
    signals,
    snapshots,
    sweep_kills,
    sweep_steps,
)
from robustness.outcome import Outcome, joined

LONG: dict[str, Callable[[Path], list[Outcome]]] = {
    "kills": lambda work: [kills.study(work, 200)],
    "kills-of-games": lambda work: [
        kills.study(work / "atari", 20, cases=[kills.ATARI], of="Atari games"),
        kills.study(work / "minatar", 20, cases=[kills.MINATAR], of="MinAtar's games"),
    ],
    "kills-with-memory": lambda work: [
        kills.study(work / "host", 20, cases=[kills.RECURRENT], of="networks with a memory"),
        kills.study(work / "device", 20, cases=[kills.REMEMBERING], of="networks with a memory"),
    ],
    "kills-on-device": lambda work: [
        kills.study(work, 20, cases=[kills.ON_DEVICE], of="runs that are one program"),
    ],
    "sweeps": lambda work: [sweep_kills.study(work, 20, 3)],
    "sweep-steps": lambda work: [sweep_steps.study(work)],
    "snapshots": lambda work: snapshots.study(1_000),
    "damage": lambda work: damage.study(work, 10_000, 20),
    "faults": lambda work: [faults.study(work)],
    "signals": lambda work: [signals.study(work, 100)],
    "fuzz": lambda work: [fuzz.study(work, 100_000)],
    "numbers": lambda work: [numbers.study(work, 25)],
    "environments": lambda work: [environments.study(work)],
    "games": lambda work: [games.study()],
    "cluster": lambda work: [
        cluster.node_kills(work / "nodes", 10),
        cluster.cut_links(work / "links", 5),
        cluster.frozen_nodes(work / "frozen", 5),
        cluster.driver_kills(work / "driver", 5),
        ray_actors.study(work / "actors"),
    ],
}


@dataclass(frozen=True)
class Options:
    """What to do."""

    studies: tuple[str, ...] = tuple(LONG)
    """Names of studies."""
    results: Path = Path("benchmarks/results/robustness.json")
    """Where the figures go; those of other studies in it are kept."""


def main(options: Options) -> int:
    """Do the studies; returns the exit status: 1 if any try did not hold."""
    unknown = sorted(set(options.studies) - set(LONG))
    if unknown:
        print(f"no such study: {', '.join(unknown)} (studies: {', '.join(LONG)})", file=sys.stderr)
        return 2
    rows: dict[str, dict] = {}
    if options.results.is_file():
        rows = json.loads(options.results.read_text("utf-8"))
    failed = False
    for name in options.studies:
        work = Path(tempfile.mkdtemp(prefix=f"robustness-{name}-"))
        begun = time.monotonic()
        outcomes = joined(LONG[name](work))
        seconds = round(time.monotonic() - begun)
        if all(outcome.held == outcome.tried for outcome in outcomes):
            shutil.rmtree(work, ignore_errors=True)
        else:
            print(f"what did not hold is left in {work}", file=sys.stderr)
        for outcome in outcomes:
            print(f"{outcome.row()} {seconds} s |", flush=True)
            for failure in outcome.failures[:20]:
                print(f"    {failure}", file=sys.stderr, flush=True)
            failed |= outcome.held < outcome.tried
            rows[outcome.name] = {
                "claim": outcome.claim,
                "tried": outcome.tried,
                "held": outcome.held,
                "notes": outcome.notes,
                "seconds": seconds,
                "date": date.today().isoformat(),
                "versions": versions(),
                "machine": machine_facts() | {"python": platform.python_version()},
            }
        options.results.parent.mkdir(parents=True, exist_ok=True)
        options.results.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
