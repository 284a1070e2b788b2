"""Frank beside other DQN libraries: the same work, in one run.

`python -m benchmarks compare --peers sb3 sbx tianshou torchrl rllib --seeds 3` installs each
library from its published package into a virtual environment of its own, then measures
in turns, one process at a time:

- env steps per second at settings that all share, and with it start-up (from the start
  of the process to the first env step; for Frank to the end of its first round) and the
  peak memory of the process and its children;
- seconds until LunarLander-v3 is solved, each library with its own best published
  recipe, given up after `--limit` seconds.

PyTorch gets one thread; Frank's learner has one too, beside the thread that acts. No
library is kept from a second core.

Results are kept in a JSON-lines file; what is in it and has not failed is not measured
again. `--plot FILE` draws greedy return against seconds.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from benchmarks.peers.running import FRANK, rows_of
from benchmarks.peers.tables import ENVS, plot, tables

_PACKAGES = ("gymnasium>=1", "Box2D>=2.3.10", "pygame-ce")
_SETTINGS = ((256, 128, 1.0), (64, 64, 1.0), (64, 64, 0.25))
"""Width of both hidden layers, batch size, updates per env step."""


@dataclass(frozen=True)
class Options:
    """What to measure."""

    peers: tuple[str, ...] = ("sb3", "sbx", "tianshou", "torchrl", "rllib")
    """Libraries, beside Frank."""
    seeds: int = 3
    """Turns: in each, every library does every job once, with its own seed."""
    tasks: tuple[str, ...] = ("speed", "solve")
    """Kinds of job."""
    seconds: float = 10.0
    """How long speed is measured, after the warm-up."""
    limit: float = 300.0
    """When a run that is not solved is given up. [seconds]"""
    venvs: Path = Path(".venv-peers")
    """Where the libraries' environments are, or are made."""
    results: Path = Path("benchmarks/results/compare.jsonl")
    """Where results are kept, one JSON object a job."""
    plot: Path | None = None
    """Where to draw greedy return against seconds."""


def jobs(options: Options, seed: int) -> list[dict[str, Any]]:
    """The jobs of one turn."""
    found: list[dict[str, Any]] = []
    if "speed" in options.tasks:
        found += [
            {
                "task": "speed",
                "env_id": env_id,
                "seed": seed,
                "seconds": options.seconds,
                "widths": [width, width],
                "batch_size": batch,
                "replay_ratio": ratio,
            }
            for env_id in ENVS
            for width, batch, ratio in _SETTINGS
        ]
    if "solve" in options.tasks:
        found.append({"task": "solve", "env_id": ENVS[0], "seed": seed, "seconds": options.limit})
    return found


def main(options: Options) -> None:
    """Measure what is missing, then print the tables."""
    wanted = [
        (peer, job)
        for seed in range(options.seeds)
        for job in jobs(options, seed)
        for peer in (FRANK, *options.peers)
    ]
    rows = rows_of(wanted, options.venvs, _PACKAGES, options.results)
    print(tables(rows))
    if options.plot is not None:
        plot(rows, options.plot)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
