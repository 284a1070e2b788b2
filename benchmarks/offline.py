"""Learning from data sets alone: plain DQN, behaviour cloning and CQL beside the data themselves.

`python -m benchmarks offline` makes data sets of several qualities from LunarLander-v3 and
CartPole-v1, with `frank train` and `frank export … --minari`: random actions, one half-trained
agent (medium), a good agent with as many random actions (noisy, the lander's alone), all that a run
has seen until it was good (replay), and the best agent (expert). It learns from 100,000 medium,
noisy and replayed transitions each of LunarLander-v3 over five seeds: each run is `frank train …
--dataset …` in a fresh process. It prints every command, and a table. A data set that exists is not
made again, and a run whose result is there with the same words is not done again, so the study can
be interrupted.

Settings of learning were chosen on seeds from 100 on, on the noisy data
(docs/offline_algorithms.md).
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from benchmarks import read_rows
from benchmarks.peers.command import facts, trained


@dataclass(frozen=True)
class Collected:
    """A data set, and the two commands that make it."""

    env_id: str
    train_env_steps: int
    """Budget of the run whose agent plays. [env steps]"""
    seed: int
    """Of that run."""
    epsilon: float | None
    """Probability of a random action while it plays 100,000 env steps; None: it does not play, and
    the data are what its training has seen, as far as its replay buffer holds whole episodes."""

    def commands(self, name: str, data: Path, runs: Path) -> tuple[list[str], list[str]]:
        """What stands behind `frank`, twice.

        Args:
            name: of the data set.
            data: folder of data sets.
            runs: folder of the run.
        """
        run = str(runs / f"{self.env_id}-{self.train_env_steps}-{self.seed}")
        budget = ["--total-env-steps", str(self.train_env_steps), "--seed", str(self.seed)]
        fresh = ["--evaluation-env-steps", "100000", "--epsilon", str(self.epsilon)]
        return (
            ["train", self.env_id, *budget, "--out", run],
            [
                *("export", run, "--minari", name, "--out", str(data)),
                *([] if self.epsilon is None else fresh),
            ],
        )


DATA = {
    "lander/random-v0": Collected("LunarLander-v3", 60_000, 2, 1.0),
    "lander/medium-v0": Collected("LunarLander-v3", 60_000, 2, 0.3),
    "lander/noisy-v0": Collected("LunarLander-v3", 70_000, 0, 0.3),
    "lander/replay-v0": Collected("LunarLander-v3", 110_000, 0, None),
    "lander/expert-v0": Collected("LunarLander-v3", 250_000, 0, 0.0),
    "cartpole/random-v0": Collected("CartPole-v1", 6_000, 0, 1.0),
    "cartpole/medium-v0": Collected("CartPole-v1", 6_000, 0, 0.3),
    "cartpole/replay-v0": Collected("CartPole-v1", 80_000, 0, None),
    "cartpole/expert-v0": Collected("CartPole-v1", 80_000, 0, 0.0),
}
"""By name. Of random actions it does not matter whose they are; a run names the environment. On an
AMD EPYC 100 greedy episodes of the lander's medium agent have a mean return of 127, half of the
expert's, and those of the noisy one 213; other processors give other bits."""

_ALL = (
    *("--total-updates", "20000", "--batch-size", "256", "--learning-rate", "1e-3"),
    *("--learning-rate-end", "1e-5", "--normalize-observations"),
    *("--evaluate-every-updates", "none"),
)
_Q_LEARNING = (*_ALL, "--gamma", "0.99", "--n-step", "1")
ARMS: dict[str, tuple[str, ...]] = {
    "dqn": _Q_LEARNING,
    "bc": (*_ALL, "--algorithm", "bc"),
    "cql": (*_Q_LEARNING, "--cql-weight", "0.5"),
}
"""What each arm says behind `frank train ENV --dataset X`; the rest is the environment's preset."""


@dataclass(frozen=True)
class Options:
    """What to make and learn."""

    datasets: tuple[str, ...] = ("lander/medium-v0", "lander/noisy-v0", "lander/replay-v0")
    """Data sets that are learned from."""
    arms: tuple[str, ...] = tuple(ARMS)
    """Algorithms."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Seeds of each."""
    data: Path = Path("runs/offline/data")
    """Folder of data sets, among which those that exist are taken as they are."""
    make: tuple[str, ...] = tuple(DATA)
    """Data sets that are made; those that are learned from are made in any case."""
    runs: Path = Path("runs/offline/agents")
    """Run folders of the agents that play."""
    results: Path = Path("benchmarks/results/offline.jsonl")
    """Where results are kept, one JSON object a row."""


def main(options: Options) -> None:
    """Make the data, learn what is not learned yet, print the table."""
    options.results.parent.mkdir(parents=True, exist_ok=True)
    for name in dict.fromkeys((*options.make, *options.datasets)):
        _make(name, options)
    rows = read_rows(options.results)
    for name in options.datasets:
        about = _about(options.data / name)
        # Seed by seed, so that an interrupted study has as many of each.
        for seed in options.seeds:
            for arm in options.arms:
                if any(_is_same(row, name, arm, seed, about) for row in rows):
                    continue
                row = _learn(name, arm, seed, options) | about
                rows.append(row)
                with options.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                print(f"{name}, {arm}, seed {seed}: {row.get('mean_return')}", flush=True)
    print(table(rows, options.datasets))


def _make(name: str, options: Options) -> None:
    if (options.data / name).exists():
        return
    train, export = DATA[name].commands(name, options.data, options.runs)
    if not Path(train[-1]).exists():
        _frank(train)
    _frank(export)


def _frank(words: Sequence[str]) -> None:
    print("frank", *words, flush=True)
    command = [sys.executable, "-m", "frankrl", *words]
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
        sys.exit("the command above failed")


def _about(folder: Path) -> dict[str, Any]:
    """What identifies a data set, and how good it is."""
    from frankrl.datasets import open_dataset

    data = open_dataset(folder)
    return {
        "digest": data.digest,
        "data_steps": data.num_steps,
        "data_mean_return": data.mean_return,
    }


def _is_same(row: dict[str, Any], name: str, arm: str, seed: int, about: dict[str, Any]) -> bool:
    wanted = {"dataset": name, "arm": arm, "seed": seed, "words": list(ARMS[arm])}
    return all(row.get(key) == value for key, value in (wanted | about).items())


def _learn(name: str, arm: str, seed: int, options: Options) -> dict[str, Any]:
    words = [DATA[name].env_id, "--dataset", str(options.data / name), *ARMS[arm]]
    print("frank train", *words, "--seed", seed, flush=True)
    begun = time.perf_counter()
    report = trained([*words, "--seed", str(seed)], options.runs.parent / "cache")
    if "failed" in report:
        sys.exit(f"the command above failed: {report['failed']}")
    evaluation = report["evaluation"]
    return {
        "dataset": name,
        "arm": arm,
        "seed": seed,
        "words": list(ARMS[arm]),
        "mean_return": evaluation["mean_return"],
        "interval_95": evaluation["interval_95"],
        "seconds": round(time.perf_counter() - begun, 1),
        **{key: facts()[key] for key in ("machine", "versions")},
    }


def table(rows: Sequence[dict[str, Any]], datasets: Sequence[str]) -> str:
    """The results as Markdown: mean return of 100 greedy episodes after the last update."""
    lines = [
        "| data | the data's mean return | algorithm | mean over seeds | each seed | "
        "seconds, median |",
        "|---|---|---|---|---|---|",
    ]
    for name in datasets:
        for arm in ARMS:
            own = [
                row
                for row in rows
                if row["dataset"] == name and row["arm"] == arm and row["words"] == list(ARMS[arm])
            ]
            if not own:
                continue
            own.sort(key=lambda row: row["seed"])
            returns = np.array([row["mean_return"] for row in own])
            each = ", ".join(f"{value:.0f}" for value in returns)
            seconds = float(np.median([row["seconds"] for row in own]))
            lines.append(
                f"| {name} | {own[0]['data_mean_return']:.0f} | {arm} | {returns.mean():.0f} ± "
                f"{returns.std():.0f} | {each} | {seconds:.0f} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
