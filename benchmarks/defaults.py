"""Which settings suit many kinds of world: variants of the preset `default`.

`python -m benchmarks defaults` trains each variant on each world below, each seed in a process of
its own, and prints the mean return of the final policy over 100 greedy episodes. Needs
`pip install minigrid`. Results are kept in a JSON-lines file; what is in it is not done again.
"""

import itertools
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from benchmarks import read_rows


@dataclass(frozen=True)
class World:
    """An environment, with its budget and the returns between which a score is counted."""

    env_id: str
    total_env_steps: int
    poor: float
    """Return that counts as 0: roughly what random actions get."""
    good: float
    """Return that counts as 1: the best possible, or what the environment counts as solved."""


WORLDS = {
    "CliffWalking": World("CliffWalking-v1", 20_000, -100, -13),
    "FrozenLake8x8": World("FrozenLake8x8-v1", 60_000, 0, 0.86),
    "Catch": World("benchmarks.worlds:Catch-v0", 20_000, -0.6, 1),
    "MiniGrid-Empty": World("benchmarks.worlds:EmptyRoom-v0", 20_000, 0, 0.955),
    "CartPole": World("CartPole-v1", 50_000, 20, 500),
    "Acrobot": World("Acrobot-v1", 60_000, -500, -85),
    "LunarLander": World("LunarLander-v3", 150_000, -200, 200),
}
VARIANTS: dict[str, dict[str, Any]] = {
    "n_step 1": {"n_step": 1},
    "n_step 2": {"n_step": 2},
    "n_step 3": {"n_step": 3},
    "n_step 1, learning rate 1e-3": {"n_step": 1, "learning_rate": 1e-3},
    "n_step 1, target period 100": {"n_step": 1, "target_period_updates": 100},
    "n_step 1, Munchausen": {"n_step": 1, "double": False, "munchausen": True},
    "n_step 1, LayerNorm": {"n_step": 1, "layer_norm": True},
}


@dataclass(frozen=True)
class Options:
    """What to run."""

    worlds: tuple[str, ...] = tuple(WORLDS)
    """Names of the worlds."""
    variants: tuple[str, ...] = tuple(VARIANTS)
    """Names of the variants of the preset `default`."""
    seeds: tuple[int, ...] = (101, 102, 103)
    """Seeds for tuning are 100 and above."""
    results: Path = Path("benchmarks/results/defaults.jsonl")
    """Where results are kept, one JSON object a run."""
    at_once: int = 1
    """Runs side by side."""


def main(options: Options) -> None:
    """Do what is not done yet, then print the table."""
    options.results.parent.mkdir(parents=True, exist_ok=True)
    known = {(row["world"], row["variant"], row["seed"]): row for row in read_rows(options.results)}
    wanted = list(itertools.product(options.worlds, options.variants, options.seeds))
    with ThreadPoolExecutor(options.at_once) as pool:
        missing = [job for job in wanted if job not in known]
        for row in pool.map(lambda job: _run(*job), missing):
            known[row["world"], row["variant"], row["seed"]] = row
            with options.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(f"{row['world']}, {row['variant']}, seed {row['seed']}: {row['mean_return']:.4g}")
    print(table(options, known))


def _run(world: str, variant: str, seed: int) -> dict[str, Any]:
    """One `frank train` in a process of its own."""
    about = WORLDS[world]
    with tempfile.TemporaryDirectory() as folder:
        words = [
            *("train", about.env_id, "--preset", "default", "--seed", str(seed), "--json"),
            *("--out", f"{folder}/run", "--total-env-steps", str(about.total_env_steps)),
            *("--evaluate-every-env-steps", str(about.total_env_steps)),
        ]
        for setting, value in VARIANTS[variant].items():
            flag = setting.replace("_", "-")
            is_switch = isinstance(value, bool)
            words += (
                [f"--{'' if value else 'no-'}{flag}"] if is_switch else [f"--{flag}", str(value)]
            )
        command = [sys.executable, "-m", "frankrl.cli.main", *words]
        there = os.environ | {
            "PYTHONPATH": os.pathsep.join([".", os.environ.get("PYTHONPATH", "")])
        }
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=there)
    evaluation = json.loads(done.stdout)["evaluation"]
    return {
        "world": world,
        "variant": variant,
        "seed": seed,
        "mean_return": evaluation["mean_return"],
        "std_return": evaluation["std_return"],
    }


def table(options: Options, known: dict[tuple[str, str, int], dict[str, Any]]) -> str:
    """The results as Markdown: a row for each world, then the mean score over all."""
    lines = [f"| world | env steps | {' | '.join(options.variants)} |"]
    lines.append("|---" * (2 + len(options.variants)) + "|")
    scores: dict[str, list[float]] = {variant: [] for variant in options.variants}
    for world in options.worlds:
        about, cells = WORLDS[world], []
        for variant in options.variants:
            returns = [known[world, variant, seed]["mean_return"] for seed in options.seeds]
            cells.append(", ".join(f"{value:.3g}" for value in returns))
            reached = (np.array(returns) - about.poor) / (about.good - about.poor)
            scores[variant] += np.clip(reached, 0, 1).tolist()
        lines.append(f"| {world} | {about.total_env_steps:,} | {' | '.join(cells)} |")
    means = [f"{np.mean(values):.3f}" for values in scores.values()]
    lines.append(f"| mean score, from 0 (poor) to 1 (good) | | {' | '.join(means)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
