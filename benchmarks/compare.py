"""Frank beside other DQN libraries: the same work, in one run.

`python -m benchmarks compare` installs each library from its published package into a virtual
environment of its own, then measures in turns, one process at a time:

- env steps per second at settings that all share, and with it start-up (from the start
  of the process to the first env step; for Frank to the end of its first round) and the
  peak memory of the process and its children;
- start-up with these recipes, from the start of the process to the end of the first round that
  learns; for Frank to the end of its first round, in which everything is compiled;
- seconds until LunarLander-v3 is solved, each library with its own best published
  recipe, given up after `--limit` seconds, beside what 100,000 env steps cost without an agent.

PyTorch gets one thread; Frank's learner has one too, beside the thread that acts. No
library is kept from a second core.

CleanRL is a collection of scripts to copy: it takes part where speed is measured.

Results are kept in a JSON-lines file, each with machine, load, date and versions; what is in it and
has not failed is not measured again. So a measurement may be interrupted and goes on with the same
command, and may be done in parts: `--tasks speed`, `--peers sb3 sbx`, `--seeds 1` and then
`--seeds 3`. At the end it prints the tables of everything in the file. `--plot FILE` draws greedy
return against seconds.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from benchmarks.peers.running import rows_of
from benchmarks.peers.tables import ENVS, plot, tables
from benchmarks.peers.venvs import BARE, FRANK

_PACKAGES = ("gymnasium>=1", "Box2D>=2.3.10", "pygame-ce")
_SETTINGS = ((256, 128, 1.0), (64, 64, 1.0), (64, 64, 0.25))
"""Width of both hidden layers, batch size, updates per env step."""

_START_UP = (FRANK, "sb3", "sbx")
"""Whose adapters tell when the first round that learns is over."""
_SPEED_ALONE = ("cleanrl",)
"""Who has no library's recipe for the lander."""


@dataclass(frozen=True)
class Options:
    """What to measure."""

    peers: tuple[str, ...] = ("sb3", "sbx", "cleanrl", "tianshou", "torchrl", "rllib")
    """Libraries, beside Frank."""
    seeds: int = 3
    """Turns: in each, every library does every job once, with its own seed."""
    tasks: tuple[Literal["speed", "startup", "solve"], ...] = ("speed", "startup", "solve")
    """Kinds of job."""
    seconds: float = 5.0
    """How long speed is measured, after the warm-up."""
    limit: float = 900.0
    """When a run that is not solved is given up. [seconds]"""
    venvs: Path = Path(".venv-peers")
    """Where the libraries' environments are, or are made."""
    results: Path = Path("benchmarks/results/compare.jsonl")
    """Where results are kept, one JSON object a job."""
    plot: Path | None = None
    """Where to draw greedy return against seconds."""


def jobs(options: Options, seed: int) -> list[tuple[str, dict[str, Any]]]:
    """The adapters and their jobs of one turn."""
    everyone = (FRANK, *options.peers)
    found: list[tuple[str, dict[str, Any]]] = []
    if "speed" in options.tasks:
        found += [
            (
                peer,
                {
                    "task": "speed",
                    "env_id": env_id,
                    "seed": seed,
                    "seconds": options.seconds,
                    "widths": [width, width],
                    "batch_size": batch,
                    "replay_ratio": ratio,
                },
            )
            for env_id in ENVS
            for width, batch, ratio in _SETTINGS
            for peer in everyone
        ]
    about = {"env_id": ENVS[0], "seed": seed}
    if "startup" in options.tasks:
        job = {"task": "startup", **about, "seconds": 0.0}
        found += [(peer, job) for peer in everyone if peer in _START_UP]
    if "solve" in options.tasks:
        found.append((BARE, {"task": "bare", **about, "seconds": 0.0}))
        job = {"task": "solve", **about, "seconds": options.limit}
        found += [(peer, job) for peer in everyone if peer not in _SPEED_ALONE]
    return found


def main(options: Options) -> None:
    """Measure what is missing, then print the tables."""
    wanted = [job for seed in range(options.seeds) for job in jobs(options, seed)]
    rows = rows_of(wanted, options.venvs, _PACKAGES, options.results)
    print(tables(rows))
    if options.plot is not None:
        plot(rows, options.plot)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
