"""MinAtar's five games by PQN on a CPU, played afterwards in MinAtar itself.

`python -m benchmarks pqn` trains each game with each seed, as `frank train` does with the preset
`pqn-minatar-cpu` and pgx's form of the game, which is a function of JAX. Each final policy then
plays 100 games in pgx's form and, as a check by other people's code, 100 in MinAtar's own. It needs
`pip install pgx pgx-minatar minatar`.

Results are kept in a JSON-lines file, each with its settings; what is in it with the settings of
today is not measured again. A run that was stopped goes on, and one that is finished in the folder
of runs is only played, so the study can be interrupted.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import tyro

import frankrl
from benchmarks import begun_with, made_with, read_rows
from benchmarks.peers.command import facts
from frankrl.config import Settings
from frankrl.config.presets import load_preset
from frankrl.core.errors import FrankError
from frankrl.environments.minatar import register_minatar
from frankrl.runs.folder import RunFolder

_PRESET = "pqn-minatar-cpu"
_MOST_STEPS = 10_000
"""Of an episode; MinAtar has no time limit, and a good agent plays some games without end."""
_FIRST_SEED = 1_000_000
"""Of the games in MinAtar, and 1,000 more for each seed of a run."""
_CHANGES: dict[str, Any] = {
    "env_kwargs": {"max_episode_steps": _MOST_STEPS},
    "evaluate_every_env_steps": None,
    "final_evaluation_episodes": 100,
}
GAMES = {"asterix": 17, "breakout": 10, "freeway": 50, "seaquest": 20, "space_invaders": 44}
"""Games as pgx names them, and the score of DQN after 5,000,000 frames in Young & Tian (2019)."""


@dataclass(frozen=True)
class Options:
    """What to measure."""

    games: tuple[str, ...] = tuple(GAMES)
    """Which of the five."""
    seeds: tuple[int, ...] = tuple(range(5))
    """Seeds of each."""
    env_steps: int = 5_000_000
    """Budget of a run. [env steps]"""
    episodes: int = 100
    """Games that each policy plays in MinAtar."""
    at_once: int = 2
    """Runs at the same time."""
    runs: Path = Path("runs/pqn")
    """Folder of the runs."""
    results: Path = Path("benchmarks/results/pqn.jsonl")
    """Where results are kept, one JSON object a run."""


class Job(NamedTuple):
    """One run."""

    game: str
    seed: int

    @property
    def env_id(self) -> str:
        """The game as a function."""
        return f"functional:pgx/minatar-{self.game}"

    @property
    def official(self) -> str:
        """The same game in MinAtar, with the actions that it uses."""
        return f"MinAtar/{self.game.title().replace('_', '')}-v1"


def settings_of(env_steps: int) -> Settings:
    """The settings of all runs."""
    return load_preset(_PRESET).with_changes(total_env_steps=env_steps, **_CHANGES)


def main(options: Options) -> None:
    """Do what is left, and print the table."""
    options.results.parent.mkdir(parents=True, exist_ok=True)
    wanted = settings_of(options.env_steps)
    known = {
        Job(row["game"], row["seed"]): row
        for row in read_rows(options.results)
        if made_with(row["settings"], wanted)
    }
    jobs = [Job(game, seed) for seed in options.seeds for game in options.games]
    missing = [job for job in jobs if job not in known]
    others, one_writer = facts() | {"settings": wanted.to_tables()}, threading.Lock()

    def do(job: Job) -> dict[str, Any]:
        row = measured(options, job)
        print(json.dumps(row), flush=True)
        with one_writer, options.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row | others) + "\n")
        return row

    with ThreadPoolExecutor(options.at_once) as pool:
        known |= dict(zip(missing, pool.map(do, missing), strict=True))
    print(table([known[job] for job in jobs]))


def measured(options: Options, job: Job) -> dict[str, Any]:
    """Train a run, unless it is finished, and play its final policy."""
    run = options.runs / f"{job.game}-{job.seed}"
    if not is_finished(run, job, options.env_steps):
        _train(run, job, options.env_steps)
    assert is_finished(run, job, options.env_steps), f"{run} has not been trained"
    report = json.loads((run / "report.json").read_text("utf-8"))
    returns = np.array(report["evaluation"]["returns"])
    official = official_returns(run, job, options.episodes)
    return {
        "game": job.game,
        "seed": job.seed,
        "env_steps": report["env_steps"],
        "updates": report["updates"],
        "seconds": round(report["seconds"], 1),
        "mean": float(returns.mean()),
        "std": float(returns.std()),
        "official_mean": float(official.mean()),
        "official_std": float(official.std()),
        "episodes": [len(returns), len(official)],
    }


def is_finished(run: Path, job: Job, env_steps: int) -> bool:
    """Whether a folder holds this run to its end; if not, it is to begin or to go on.

    Raises:
        SystemExit: it holds another run, or one of other settings than today's.
    """
    try:
        description = RunFolder.open(run).description
    except FrankError:
        return False
    is_it = (description.env_id, description.seed) == (job.env_id, job.seed)
    if not is_it or not begun_with(description.settings, settings_of(env_steps)):
        sys.exit(f"{run} is another run: remove it, or name another folder with --runs")
    return (run / "report.json").exists()


def _train(run: Path, job: Job, env_steps: int) -> None:
    words = [job.env_id, "--preset", _PRESET, "--seed", str(job.seed), "--out", str(run)]
    for setting, value in {"total_env_steps": env_steps, **_CHANGES}.items():
        text = json.dumps(value) if isinstance(value, dict) else str(value).lower()
        words += [f"--{setting.replace('_', '-')}", text]
    if run.exists():
        words = ["--resume", str(run)]
    command = [sys.executable, "-m", "frankrl", "train", *words, "--quiet"]
    subprocess.run(command, check=True)


def official_returns(run: Path, job: Job, episodes: int) -> np.ndarray:
    """Returns of greedy games in MinAtar's own form of the game."""
    register_minatar(job.official)
    agent = frankrl.load(run)
    games = [gymnasium.make(job.official) for _ in range(episodes)]
    first = _FIRST_SEED + 1_000 * job.seed
    seen = np.stack([env.reset(seed=first + index)[0] for index, env in enumerate(games)])
    returns, going = np.zeros(episodes), np.ones(episodes, np.bool_)
    for _ in range(_MOST_STEPS):
        places = np.flatnonzero(going)
        if not len(places):
            break
        for place, action in zip(places, np.asarray(agent.act(seen[places])), strict=True):
            seen[place], reward, terminated, truncated, _ = games[place].step(int(action))
            returns[place] += float(reward)
            going[place] = not (terminated or truncated)
    return returns


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The results as Markdown: a row a game."""
    lines = [
        "| game | DQN, Young & Tian (2019) | each seed's mean score over 100 games | median | in "
        "MinAtar itself, each seed | median | seconds a run (median) |",
        "|---|---|---|---|---|---|---|",
    ]
    for game, known in GAMES.items():
        own = sorted((row for row in rows if row["game"] == game), key=lambda row: row["seed"])
        if own:
            cells = [game.replace("_", " ").title(), str(known)]
            for name in ("mean", "official_mean"):
                means = [row[name] for row in own]
                cells += [", ".join(f"{mean:.1f}" for mean in means), f"**{np.median(means):.1f}**"]
            cells.append(f"{np.median([row['seconds'] for row in own]):.0f}")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
