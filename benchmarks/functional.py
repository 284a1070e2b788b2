"""CartPole as a JAX function: seconds from the start of the process to 500 in 100 greedy episodes.

`python -m benchmarks functional --purejaxql PATH` measures in turns, one process at a time, each
turn with its own seed:

- frank, cold: `frank train frankrl/CartPole-functional-v0` with nothing compiled before, from the
  start of the process to its end, as the shell sees it. It trains its whole budget, then plays 100
  greedy episodes; it has reached 500 if that is their mean;
- frank, warm: the same with the code that the run before has compiled;
- rejax's DQN and PQN, and purejaxql's PQN, as published for CartPole: to the end of their first
  evaluation of 100 greedy episodes with a mean of 500, and no further. They keep no compiled code.

Each library is installed from its published packages into a virtual environment of its own.
purejaxql is no package: PATH is a checkout of https://github.com/mttga/purejaxql, without which it
is left out. Results are written after each turn.
"""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from benchmarks.peers.command import ROOT, commit, facts, trained, write_results
from benchmarks.peers.running import measured
from benchmarks.peers.venvs import python_of

_LIBRARIES = ("rejax_dqn", "rejax_pqn", "purejaxql")


@dataclass(frozen=True)
class Options:
    """What to measure."""

    env_id: str = "frankrl/CartPole-functional-v0"
    """Frank's environment; the others have gymnax's CartPole-v1."""
    words: str = ""
    """More words behind `frank train`."""
    seeds: tuple[int, ...] = tuple(range(10))
    """Turns, each with its seed."""
    goal: float = 500.0
    """Mean return to reach."""
    episodes: int = 100
    """Greedy episodes of which it is the mean."""
    libraries: tuple[str, ...] = _LIBRARIES
    """Libraries, beside Frank."""
    purejaxql: Path | None = None
    """A checkout of purejaxql."""
    limit: float = 300.0
    """When a library that has not reached the goal is given up. [seconds]"""
    venvs: Path = Path(".venv-peers")
    """Where the libraries' environments are, or are made."""
    results: Path = Path("benchmarks/results/functional.json")
    """Where the results are written, in place of older ones."""


def main(options: Options) -> None:
    """Measure, write the results and print the table."""
    if options.purejaxql and not (options.purejaxql / "purejaxql" / "pqn_gymnax.py").is_file():
        sys.exit(
            f"{options.purejaxql} has no purejaxql/pqn_gymnax.py: give a checkout of purejaxql"
        )
    wanted = [name for name in options.libraries if name != "purejaxql" or options.purejaxql]
    found = {name: python_of(name, options.venvs, ()) for name in wanted}
    pythons = {name: python for name, python in found.items() if python is not None}
    results: dict[str, Any] = facts() | {
        "env_id": options.env_id,
        "words": options.words,
        "goal": options.goal,
        "commits": {"frank": commit(ROOT)},
        "rows": [],
    }
    if options.purejaxql:
        results["commits"]["purejaxql"] = commit(options.purejaxql)
    for seed in options.seeds:
        for row in _turn(options, pythons, seed):
            results["rows"].append(row)
            print({name: row[name] for name in row if name != "evaluations"}, flush=True)
        write_results(options.results, results)
    print(f"\n{table(results)}")


def _turn(options: Options, pythons: dict[str, Path], seed: int) -> Iterator[dict[str, Any]]:
    """What each needs with one seed."""
    with tempfile.TemporaryDirectory() as cache:
        for who in ("frank, cold", "frank, warm"):
            row = _franks(options, seed, Path(cache))
            yield {"who": who, "seed": seed} | row
    for name, python in pythons.items():
        job = {
            "seed": seed,
            "goal": options.goal,
            "episodes": options.episodes,
            "seconds": options.limit,
        }
        if name == "purejaxql":
            assert options.purejaxql is not None
            job["checkout"] = str(options.purejaxql.resolve())
        yield {"who": name, "seed": seed} | measured(python, name, job)


def _franks(options: Options, seed: int, cache: Path) -> dict[str, Any]:
    words = ["--seed", str(seed), "--final-evaluation-episodes", str(options.episodes)]
    report = trained([options.env_id, *words, *options.words.split()], cache)
    if "failed" in report:
        return report
    mean, at = report["evaluation"]["mean_return"], report["wall_seconds"]
    reached = {"seconds": at, "env_steps": report["env_steps"]} if mean >= options.goal else None
    return {
        "reached": reached,
        "evaluations": [[at, report["env_steps"], mean]],
        "startup_seconds": report["startup_seconds"],
    }


def table(results: dict[str, Any]) -> str:
    """The results as Markdown; who has not reached the goal took longer than anyone."""
    rows = results["rows"]
    lines = [
        f"{results['machine']['cpu']}, {results['machine']['visible_cpus']} CPUs.",
        "",
        f"| who | seconds to {results['goal']:g}, each seed | median | worst | env steps, median | "
        "reached |",
        "|---|---|---|---|---|---|",
    ]
    for who in dict.fromkeys(row["who"] for row in rows):
        own = [row for row in rows if row["who"] == who]
        reached = [row.get("reached") or {} for row in own]
        seconds, env_steps = (
            np.array([one.get(name, np.inf) for one in reached])
            for name in ("seconds", "env_steps")
        )
        told = ", ".join(f"{value:.1f}" if np.isfinite(value) else "–" for value in seconds)
        lines.append(
            f"| {who} | {told} | {_shown(np.median(seconds), '.1f')} | "
            f"{_shown(np.max(seconds), '.1f')} | {_shown(np.median(env_steps), ',.0f')} | "
            f"{np.isfinite(seconds).sum()} of {len(own)} |"
        )
    failed = [
        f"- {row['who']} failed with seed {row['seed']}: {row['failed']}"
        for row in rows
        if "failed" in row
    ]
    return "\n".join([*lines, *(["", *failed] if failed else [])])


def _shown(value: float, form: str) -> str:
    return f"{value:{form}}" if np.isfinite(value) else "–"


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
