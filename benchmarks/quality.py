"""How good the presets' agents are: many seeds, each a fresh process.

`python -m benchmarks quality` trains the studies below, but for those of MinAtar, and prints a
table; `--studies lunar-lander minatar-breakout …` trains those that are named. Each run is what
`frank train` does, so a row can be repeated by hand. Results are kept in a JSON-lines file, each
with its settings; a run that is in it with the settings of today is not done again, so the study
can be interrupted, and a changed preset is measured anew. A run that was interrupted goes on from
its last checkpoint. MinAtar's games need `pip install '.[minatar]'`.
"""

import json
import platform
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from benchmarks import begun_with, made_with, read_rows
from frankrl.config import Settings
from frankrl.config.presets import load_preset
from frankrl.core.errors import FrankError
from frankrl.runs.checkpoint_folder import list_checkpoints
from frankrl.runs.folder import RunFolder
from frankrl.runs.machine import machine_facts, versions

_BEST_SEED = 1_000_000


@dataclass(frozen=True)
class Study:
    """One preset on one environment over seeds that were never used in tuning."""

    env_id: str
    preset: str
    seeds: range
    goal: str
    """What was set as the mark to reach."""
    changes: dict[str, Any] = field(default_factory=dict)
    """Settings that differ from the preset's."""
    threshold: float | None = None
    """Mean return that counts as good, where the environment itself names none."""

    def settings(self) -> Settings:
        """The settings of today."""
        return load_preset(self.preset).with_changes(**self.changes)


def _minatar(game: str, env_steps: int, threshold: float | None, goal: str) -> Study:
    """A study of one of MinAtar's games."""
    changes = {"total_env_steps": env_steps}
    return Study(f"MinAtar/{game}-v1", "minatar", range(5), goal, changes, threshold)


STUDIES = {
    "lunar-lander": Study(
        "LunarLander-v3", "LunarLander-v3", range(10), "≥ 200 in 9 of 10, mean ≥ 230"
    ),
    "lunar-lander-until-solved": Study(
        "LunarLander-v3",
        "LunarLander-v3",
        range(10),
        "median ≤ 20 s, all ≤ 60 s",
        {"until_solved": True},
    ),
    "lunar-lander-best": Study(
        "LunarLander-v3", "LunarLander-v3-best", range(10), "mean ≥ 272, best evaluation ≥ 280"
    ),
    "classic": Study("LunarLander-v3", "classic", range(5), "≥ 200 in 4 of 5"),
    "cart-pole": Study("CartPole-v1", "CartPole-v1", range(5), "mean ≥ 490"),
    "cart-pole-one-env": Study(
        "CartPole-v1", "CartPole-v1", range(5), "as with 8", {"num_envs": 1}
    ),
    "acrobot": Study("Acrobot-v1", "Acrobot-v1", range(5), "mean ≥ -85"),
    "mountain-car": Study("MountainCar-v0", "MountainCar-v0", range(5), "mean ≥ -115"),
    "minatar-asterix": _minatar("Asterix", 1_000_000, None, "–"),
    "minatar-breakout": _minatar("Breakout", 1_000_000, 20, "mean ≥ 20 in ≤ 600 s"),
    "minatar-freeway": _minatar("Freeway", 1_000_000, None, "–"),
    "minatar-seaquest": _minatar("Seaquest", 1_000_000, None, "–"),
    "minatar-space-invaders": _minatar("SpaceInvaders", 1_000_000, None, "–"),
    "minatar-asterix-5m": _minatar("Asterix", 5_000_000, 17, "mean ≥ 17"),
    "minatar-breakout-5m": _minatar("Breakout", 5_000_000, 10, "mean ≥ 10"),
    "minatar-freeway-5m": _minatar("Freeway", 5_000_000, 50, "mean ≥ 50"),
    "minatar-seaquest-5m": _minatar("Seaquest", 5_000_000, 20, "mean ≥ 20"),
    "minatar-space-invaders-5m": _minatar("SpaceInvaders", 5_000_000, 44, "mean ≥ 44"),
}


MINATAR = tuple(name for name in STUDIES if name.startswith("minatar-"))


@dataclass(frozen=True)
class Options:
    """What to run."""

    studies: tuple[str, ...] = tuple(name for name in STUDIES if name not in MINATAR)
    """Names of the studies; without this, all but those of MinAtar, which take hours."""
    results: Path = Path("benchmarks/results/quality.jsonl")
    """Where results are kept, one JSON object a run."""
    at_once: int = 1
    """Runs side by side; more than one makes the seconds incomparable."""
    runs: Path = Path("runs/quality")
    """Where run folders are while their result is missing."""


def main(options: Options) -> None:
    """Do what is not done yet, then print the table."""
    options.results.parent.mkdir(parents=True, exist_ok=True)
    known = {
        (row["study"], row["seed"]): row
        for row in read_rows(options.results)
        if made_with(row["settings"], STUDIES[row["study"]].settings())
    }
    wanted = [(name, seed) for name in options.studies for seed in STUDIES[name].seeds]
    missing = [job for job in wanted if job not in known]
    one_writer = threading.Lock()

    def do(job: tuple[str, int]) -> dict[str, Any]:
        name, seed = job
        result = _run(name, seed, options.runs / f"{name}-s{seed}")
        with one_writer, options.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")
        print(f"{name} seed {seed}: {result['mean_return']:.1f}", flush=True)
        return result

    with ThreadPoolExecutor(options.at_once) as pool:
        known |= dict(zip(missing, pool.map(do, missing), strict=True))
    print(table([known[job] for job in wanted]))


def _run(name: str, seed: int, run: Path) -> dict:
    """One `frank train` in a process of its own, whose folder is removed at its end."""
    study = STUDIES[name]
    told = _told(training_words(study, seed, run))
    best = None
    if not study.settings().evaluation.until_solved:
        # The agent with the best evaluation, on seeds that did not choose it.
        words = ["evaluate", str(run), "--best", "--seed", str(_BEST_SEED + seed), "--json"]
        best = _told(words)["mean_return"]
    shutil.rmtree(run)
    machine = machine_facts()
    return {
        "study": name,
        "seed": seed,
        "mean_return": told["evaluation"]["mean_return"],
        "std_return": told["evaluation"]["std_return"],
        "best_evaluation_mean_return": best,
        "min_return": told["evaluation"]["min_return"],
        "mean_length": told["evaluation"]["mean_length"],
        "env_steps": told["env_steps"],
        "seconds": told["seconds"],
        "solved": told["solved"],
        "versions": versions(),
        "settings": study.settings().to_tables(),
        "machine": f"{machine['cpu']}, {machine['visible_cpus']} CPUs, {platform.system()}",
    }


def training_words(study: Study, seed: int, run: Path) -> list[str]:
    """The words after `frank` that train a run, or continue it if it was interrupted."""
    if _can_go_on(study, run):
        return ["train", "--resume", str(run), "--json"]
    words = ["train", study.env_id, "--preset", study.preset, "--seed", str(seed), "--json"]
    for setting, value in study.changes.items():
        flag = f"--{setting.replace('_', '-')}"
        words += [flag] if value is True else [flag, str(value)]
    return [*words, "--out", str(run), "--overwrite"]


def _can_go_on(study: Study, run: Path) -> bool:
    """Whether a folder has a run of a study with its settings of today, and a checkpoint."""
    try:
        folder = RunFolder.open(run)
    except FrankError:
        return False
    is_it = begun_with(folder.description.settings, study.settings())
    return is_it and bool(list_checkpoints(folder.checkpoints))


def _told(words: list[str]) -> dict:
    """The JSON object that `frank` prints."""
    command = [sys.executable, "-m", "frankrl.cli.main", *words]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def table(results: list[dict]) -> str:
    """The results as Markdown: one row a study, in a table for those that run until solved."""
    solving, others = [], []
    for result in results:
        until_solved = STUDIES[result["study"]].settings().evaluation.until_solved
        (solving if until_solved else others).append(result)
    return "\n\n".join(
        [
            *([returns_table(others)] if others else []),
            *([solved_table(solving)] if solving else []),
        ]
    )


def solved_table(results: list[dict]) -> str:
    """When each run passed the solved check, from the start of its process."""
    lines = [
        "| study | seconds until solved, each seed | median | env steps until solved, each seed | "
        "median | solved | mark |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(result["study"] for result in results):
        rows = [result for result in results if result["study"] == name]
        solved = [row["solved"] for row in rows if row["solved"]]
        cells = [name]
        for unit, form in (("seconds", "{:.1f}"), ("env_steps", "{:,.0f}")):
            told = [form.format(row["solved"][unit]) if row["solved"] else "–" for row in rows]
            # Who was not solved took longer than anyone.
            values = [row["solved"][unit] if row["solved"] else np.inf for row in rows]
            cells += [", ".join(told), form.format(np.median(values))]
        cells += [f"{len(solved)} of {len(rows)}", STUDIES[name].goal]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def returns_table(results: list[dict]) -> str:
    """How good each final policy was."""
    lines = [
        "| study | env steps | each seed's mean over 100 greedy episodes | median | mean | "
        "best evaluation, played again: mean | ≥ threshold | seconds (median) | mark |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(result["study"] for result in results):
        rows = [result for result in results if result["study"] == name]
        means = np.array([row["mean_return"] for row in rows])
        lines.append(
            f"| {name} | {rows[0]['env_steps']:,} | "
            f"{', '.join(map(_short, means))} | {np.median(means):.1f} | "
            f"{means.mean():.1f} ± {means.std():.1f} | {_best_cell(rows)} | "
            f"{_reached(means, _threshold(STUDIES[name]))} | "
            f"{np.median([row['seconds'] for row in rows]):.0f} | {STUDIES[name].goal} |"
        )
    return "\n".join(lines)


def _best_cell(rows: list[dict]) -> str:
    found = [
        row["best_evaluation_mean_return"] for row in rows if row.get("best_evaluation_mean_return")
    ]
    return f"{np.mean(found):.1f} ± {np.std(found):.1f}" if found else "–"


def _short(mean: float) -> str:
    """A mean return without digits that say nothing."""
    return f"{mean:.0f}" if abs(mean) >= 100 else f"{mean:.1f}"


def _reached(means: np.ndarray, threshold: float | None) -> str:
    return "–" if threshold is None else f"{(means >= threshold).sum()} of {len(means)}"


def _threshold(study: Study) -> float | None:
    import gymnasium

    # MinAtar's games are registered only once one has been made, and name no threshold.
    spec = gymnasium.registry.get(study.env_id)
    return spec.reward_threshold if study.threshold is None and spec else study.threshold


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
