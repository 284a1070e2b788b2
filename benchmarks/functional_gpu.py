"""Environments that are JAX functions, on one GPU: many seeds at once, MinAtar's Breakout, and PQN.

`python -m benchmarks functional-gpu` takes less than ten minutes on one H100. It needs JAX for the
GPU and `pip install pgx pgx-minatar`. Each study is one `frank train` in a process of its own, with
nothing compiled before:

- seeds: 1,024 seeds of CartPole with 50,000 env steps and updates each, 64×64, batches of 64, by
  plain deep Q-learning, 32 environments each;
- breakout: 1,000,000 env steps of Breakout in 64 environments, batches of 100, one update per env
  step;
- pqn: PQN on Breakout for 10,000,000 env steps, and the mean score of 100 greedy games.

`--small` does a little of each on the CPU, in minutes: a check that all commands run. Results are
written after each study. A study that takes longer than its limit is ended and said to have.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from benchmarks.peers.command import ROOT, commit, facts, trained, write_results

_CART_POLE, _BREAKOUT = "frankrl/CartPole-functional-v0", "functional:pgx/minatar-breakout"
_LEARNING_STARTS = 1_000


@dataclass(frozen=True)
class Study:
    """One command, at its full size and small."""

    words: tuple[str, ...]
    """Behind `frank train`, but for its size."""
    size: dict[str, int | str]
    """Flags of the size, without dashes in front."""
    small: dict[str, int | str]
    """Those that differ with `--small`."""
    limit_seconds: float
    """When it is ended at its full size."""

    def command(self, *, small: bool) -> list[str]:
        """The words behind `frank train`."""
        size = self.size | (self.small if small else {})
        flags = [word for name, value in size.items() for word in (f"--{name}", str(value))]
        return [*self.words, *flags, "--device", "auto" if small else "gpu"]


STUDIES = {
    "seeds": Study(
        (
            *(_CART_POLE, "--preset", "default", "--hidden-widths", "64", "64"),
            *("--batch-size", "64", "--replay-ratio", "1", "--replay-capacity", "50000"),
            *("--evaluate-every-env-steps", "none", "--final-evaluation-episodes", "none"),
            *("--learning-starts-env-steps", str(_LEARNING_STARTS), "--checkpoint-replay", "none"),
            *("--num-envs", "32", "--no-double", "--log-every-env-steps", "10000"),
        ),
        # As many updates as env steps after the first of them.
        {"seeds": 1_024, "total-env-steps": 50_000 + _LEARNING_STARTS},
        {"seeds": 4, "total-env-steps": 2_000},
        180.0,
    ),
    "breakout": Study(
        (
            *(_BREAKOUT, "--preset", "minatar", "--batch-size", "100", "--replay-ratio", "1"),
            *("--num-envs", "64"),
            *("--evaluate-every-env-steps", "none", "--checkpoint-replay", "none"),
        ),
        {"total-env-steps": 1_000_000, "final-evaluation-episodes": 100},
        {
            "total-env-steps": 2_000,
            "learning-starts-env-steps": 1_000,
            "replay-capacity": 2_000,
            "final-evaluation-episodes": 2,
            "evaluation-max-episode-steps": 200,
        },
        210.0,
    ),
    "pqn": Study(
        (_BREAKOUT, "--preset", "pqn-minatar", "--evaluate-every-env-steps", "none"),
        {"total-env-steps": 10_000_000, "final-evaluation-episodes": 100},
        {
            "total-env-steps": 20_000,
            "final-evaluation-episodes": 2,
            "evaluation-max-episode-steps": 200,
        },
        180.0,
    ),
}


@dataclass(frozen=True)
class Options:
    """What to measure."""

    studies: tuple[str, ...] = tuple(STUDIES)
    """Which of the three."""
    small: bool = False
    """A little of each, on whatever device JAX has; no figure of it means anything."""
    results: Path = Path("benchmarks/results/functional_gpu.json")
    """Where the results are written, in place of older ones."""


def main(options: Options) -> None:
    """Do the studies, write what each finds, and print the table."""
    results: dict[str, Any] = facts() | {"commit": commit(ROOT), "small": options.small, "rows": []}
    for name in options.studies:
        study = STUDIES[name]
        words = study.command(small=options.small)
        limit = None if options.small else study.limit_seconds
        with tempfile.TemporaryDirectory() as cache:
            report = trained(words, Path(cache), limit_seconds=limit)
        row = {"study": name, "words": " ".join(words)} | found(report)
        results["rows"].append(row)
        print(row, flush=True)
        write_results(options.results, results)
    print(f"\n{table(results)}")


def found(report: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a report: times, work done, and the returns of the final policies.

    `after_startup_seconds` are those after the first round, in which everything that trains is
    compiled; a final evaluation, with its compilation, is among them.
    """
    if "failed" in report:
        return report
    runs = [run["report"] for run in report["runs"]] if "runs" in report else [report]
    # Seeds in one program begin and end together; else the longest stands for all.
    longest = max(runs, key=lambda run: run["seconds"])
    kept = {
        "seeds": len(runs),
        "wall_seconds": report["wall_seconds"],
        "startup_seconds": longest["startup_seconds"],
        "after_startup_seconds": round(longest["seconds"] - longest["startup_seconds"], 3),
        "env_steps": longest["env_steps"],
        "updates": longest["updates"],
    }
    evaluations = [run["evaluation"] for run in runs if run["evaluation"]]
    if evaluations:
        returns = [evaluation["mean_return"] for evaluation in evaluations]
        kept |= {"mean_return": float(np.mean(returns)), "episodes": evaluations[0]["episodes"]}
    return kept


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    machine = results["machine"]
    lines = [
        f"{machine['accelerator']}, {results['cpus']} CPUs of {machine['cpu']}.",
        "",
        "| study | seeds | env steps, updates of each | seconds, the whole process | "
        "start-up, compiling included | after it | mean return |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        if "failed" in row:
            lines.append(f"| {row['study']} | failed: {row['failed']} | | | | | |")
            continue
        mean = f"{row['mean_return']:.1f}" if "mean_return" in row else ""
        lines.append(
            f"| {row['study']} | {row['seeds']:,} | {row['env_steps']:,}, {row['updates']:,} | "
            f"{row['wall_seconds']:.1f} | {row['startup_seconds']:.1f} | "
            f"{row['after_startup_seconds']:.1f} | {mean} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
