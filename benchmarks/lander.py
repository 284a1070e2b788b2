"""LunarLander-v3 until solved, as a multiple of what 100,000 env steps cost without an agent.

`python -m benchmarks lander` runs `frank train LunarLander-v3 --until-solved` for seeds 0 to 9. In
each turn it does, one process at a time:

- bare: 100,000 env steps with random actions on one core, in a process of its own;
- new: this checkout's `frank`, from the start of the process to its end, as the shell sees it;
- old: with `--against PATH`, the same with the `frank` of another checkout;
- SB3: the start-up of Stable-Baselines3 to the end of its first round that learns.

A multiple divides a run's seconds by the bare seconds of the same turn. Code that Frank compiles is
kept in a folder of each version's own. One run that is not counted fills it, so the runs are warm;
the start-up of that first run is given as cold. Results are written after each turn.
"""

import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from benchmarks.peers.command import ROOT, commit, facts, source_of, trained, write_results
from benchmarks.peers.running import measured
from benchmarks.peers.venvs import BARE

_FIRST_SEED = 100
"""Seed of the run that is not counted."""


@dataclass(frozen=True)
class Options:
    """What to measure."""

    env_id: str = "LunarLander-v3"
    """Environment."""
    seeds: tuple[int, ...] = tuple(range(10))
    """Turns, each with its seed."""
    against: Path | None = None
    """Root of another checkout of Frank."""
    words: str = ""
    """More words behind `frank train`, of the new version alone."""
    sb3: Path | None = Path(sys.executable)
    """An interpreter that has Stable-Baselines3; None: its start-up is left out."""
    bare_env_steps: int = 100_000
    """What a multiple counts in. [env steps]"""
    results: Path = Path("benchmarks/results/lander.json")
    """Where the results are written, in place of older ones."""


def main(options: Options) -> None:
    """Measure, write the results and print the tables."""
    checkouts = {"new": ROOT} | ({"old": options.against} if options.against else {})
    for checkout in checkouts.values():
        source_of(checkout)
    results: dict[str, Any] = facts() | {
        "env_id": options.env_id,
        "bare_env_steps": options.bare_env_steps,
        "commits": {name: commit(checkout) for name, checkout in checkouts.items()},
        "words": options.words,
        "cold": {},
        "turns": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        caches = {name: Path(folder) / name for name in checkouts}

        def solved(name: str, seed: int) -> dict[str, Any]:
            words = ["--until-solved", "--seed", str(seed)]
            words += options.words.split() if name == "new" else []
            return _told(trained([options.env_id, *words], caches[name], checkouts[name]))

        for name in checkouts:
            results["cold"][name] = solved(name, _FIRST_SEED)
            print(f"cold, {name}: {results['cold'][name]}", flush=True)
        for number, seed in enumerate(options.seeds):
            # The order of the versions changes from turn to turn.
            names = list(checkouts)[:: 1 if number % 2 == 0 else -1]
            turn: dict[str, Any] = {"seed": seed} | _bare(options, seed)
            turn |= {name: solved(name, seed) for name in names}
            if options.sb3 is not None:
                turn["sb3"] = _sb3_start_up(options, seed)
            results["turns"].append(turn)
            print(turn, flush=True)
            write_results(options.results, results | {"summary": summary(results)})
    print(f"\n{tables(results)}")


def _told(report: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a report."""
    if "failed" in report:
        return report
    return {
        "seconds": report["wall_seconds"],
        "startup_seconds": report["startup_seconds"],
        "solved": report["solved"],
        "mean_return": report["evaluation"]["mean_return"] if report["evaluation"] else None,
    }


def _bare(options: Options, seed: int) -> dict[str, Any]:
    job = {
        "task": "bare",
        "env_id": options.env_id,
        "seed": seed,
        "seconds": 0.0,
        "env_steps": options.bare_env_steps,
    }
    answer = measured(Path(sys.executable), BARE, job)
    if "failed" in answer:
        sys.exit(f"{options.env_id} cannot be stepped: {answer['failed']}")
    return {"bare_seconds": answer["bare_seconds"]}


def _sb3_start_up(options: Options, seed: int) -> dict[str, Any]:
    assert options.sb3 is not None
    job = {"task": "startup", "env_id": options.env_id, "seed": seed, "seconds": 0.0}
    return measured(options.sb3, "sb3", job)


def _kept(values: Iterable[float]) -> dict[str, float | None]:
    """Median and worst; None stands for a run that was not solved."""
    found = np.array(list(values))
    kept = {"median": float(np.median(found)), "worst": float(np.max(found))}
    return {name: value if np.isfinite(value) else None for name, value in kept.items()}


def summary(results: dict[str, Any]) -> dict[str, Any]:
    """Of each version: seconds, multiples and env steps until solved, and start-up.

    A run that was not solved counts as longer than any.
    """
    turns = results["turns"]
    bare = np.array([turn["bare_seconds"] for turn in turns])
    found: dict[str, Any] = {
        "bare_seconds": float(np.median(bare)),
        "bare_env_steps_per_second": float(results["bare_env_steps"] / np.median(bare)),
    }
    sb3 = [turn["sb3"].get("startup_seconds") for turn in turns if "sb3" in turn]
    sb3 = [seconds for seconds in sb3 if seconds is not None]
    if sb3:
        found["sb3_startup_seconds"] = float(np.median(sb3))
    for name in results["commits"]:
        runs = [turn[name] for turn in turns]
        good = [bool(run.get("solved")) for run in runs]
        seconds = np.array([run["seconds"] if run.get("solved") else np.inf for run in runs])
        env_steps = [run["solved"]["env_steps"] if run.get("solved") else np.inf for run in runs]
        startups = [run["startup_seconds"] for run in runs if "startup_seconds" in run]
        found[name] = {
            "solved": sum(good),
            "seconds": _kept(seconds),
            "multiple": _kept(seconds / bare),
            "env_steps": _kept(env_steps),
            "startup_seconds": float(np.median(startups)) if startups else None,
        }
        if sb3 and startups:
            found[name]["startup_of_sb3"] = float(np.median(startups) / np.median(sb3))
    return found


def tables(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    told, turns = summary(results), results["turns"]
    machine = f"{results['machine']['cpu']}, {results['machine']['visible_cpus']} CPUs"
    steps = f"{results['bare_env_steps']:,}"
    lines = [
        f"{machine}. {steps} bare env steps take {told['bare_seconds']:.2f} s on one core "
        f"({told['bare_env_steps_per_second']:,.0f} a second).",
        "",
        f"| version | seconds, each seed | median | worst | × {steps} bare env steps, each seed | "
        "median | worst | env steps, median | solved |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, version in results["commits"].items():
        runs = [turn[name] for turn in turns]
        shown = [f"{run['seconds']:.1f}" if run.get("solved") else "–" for run in runs]
        multiples = [
            f"{run['seconds'] / turn['bare_seconds']:.2f}" if run.get("solved") else "–"
            for run, turn in zip(runs, turns, strict=True)
        ]
        own = told[name]
        lines.append(
            f"| {name} ({version}) | {', '.join(shown)} | {_cells(own['seconds'], '.1f')} | "
            f"{', '.join(multiples)} | {_cells(own['multiple'], '.2f')} | "
            f"{_cell(own['env_steps']['median'], ',.0f')} | {own['solved']} of {len(runs)} |"
        )
    return "\n".join([*lines, "", *_startup_lines(results, told)])


def _startup_lines(results: dict[str, Any], told: dict[str, Any]) -> list[str]:
    lines = [
        "| start-up to the end of the first round | warm, median, s | cold, once, s | ÷ SB3's |",
        "|---|---|---|---|",
    ]
    for name in results["commits"]:
        own, cold = told[name], results["cold"][name].get("startup_seconds")
        lines.append(
            f"| {name} | {_cell(own['startup_seconds'], '.2f')} | {_cell(cold, '.2f')} | "
            f"{_cell(own.get('startup_of_sb3'), '.2f')} |"
        )
    if "sb3_startup_seconds" in told:
        lines.append(f"| SB3 | {told['sb3_startup_seconds']:.2f} | | |")
    return lines


def _cell(value: float | None, form: str) -> str:
    return "–" if value is None else f"{value:{form}}"


def _cells(values: dict[str, float | None], form: str) -> str:
    return " | ".join(_cell(value, form) for value in values.values())


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
