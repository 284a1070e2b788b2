"""Atari games on a GPU: speed, Pong from the start of the process, and the same bits.

`python -m benchmarks atari` takes about ten minutes by estimate on one H100 or H200 with 16 CPUs.
It needs `pip install '.[atari]'` and JAX for the GPU. It does three things, each in processes of
its own:

- **bits**: two short runs, each with an empty cache of compiled code, one that is stopped in the
  middle and continued, and one with its replay buffer in host memory; the first three must end
  with the same weights.
- **speed**: replay DQN with a batch of 32 and one update for every 4 agent steps; agent steps a
  second once it learns, the median of the rows of metrics; the same, shorter, with the replay
  buffer in host memory.
- **pong**: the preset `atari`; seconds from the start of the process to the end of its 30 greedy
  games, and their mean score.

Results are added to a JSON-lines file, with the card and the processors.
"""

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

_SHORT = ("--total-env-steps", "16000", "--learning-starts-env-steps", "2000")
_NO_EVALUATION = ("--evaluate-every-env-steps", "none", "--final-evaluation-episodes", "none")
_NO_BUFFER = ("--checkpoint-replay", "none")


@dataclass(frozen=True)
class Options:
    """What to measure."""

    studies: tuple[str, ...] = ("bits", "speed", "pong")
    """Which of the three."""
    game: str = "ALE/Pong-v5"
    """The game."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of `pong`."""
    pong_env_steps: int = 700_000
    """Budget of `pong`. [env steps]"""
    speed_env_steps: int = 300_000
    """Budget of `speed`. [env steps]"""
    host_env_steps: int = 100_000
    """The same with the replay buffer in host memory. [env steps]"""
    results: Path = Path("benchmarks/results/atari.jsonl")
    """Where results are added, one JSON object each."""


def trained(
    work: Path, name: str, *words: str, cache: str = "cache", resume: bool = False
) -> tuple[dict[str, Any], float]:
    """The report of a run, and the seconds from the start of its process to its end."""
    out = ("--resume", str(work / name)) if resume else ("--out", str(work / name))
    command = [sys.executable, "-m", "frankrl", "train", *words, *out, "--json"]
    begun = time.perf_counter()
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
        env=os.environ | {"XDG_CACHE_HOME": str(work / cache)},
    )
    return json.loads(done.stdout), time.perf_counter() - begun


def weights_of(run: Path) -> str:
    """A hash of the newest weights of a run."""
    newest = max((run / "checkpoints").iterdir(), key=lambda folder: folder.name)
    return hashlib.sha256((newest / "q_network.safetensors").read_bytes()).hexdigest()[:16]


def steps_per_second(run: Path, after: int) -> list[float]:
    """Env steps a second in each row of metrics after some env steps."""
    with sqlite3.connect(f"file:{run / 'metrics.sqlite'}?mode=ro", uri=True) as metrics:
        query = "select env_steps_per_second from timing where env_steps > ?"
        return [row[0] for row in metrics.execute(query, (after,))]


def bits(options: Options, work: Path) -> Iterator[dict[str, Any]]:
    """Whether two processes, one that was continued, and one with its replay buffer in host memory
    come to the same weights."""
    short = (options.game, *_SHORT, *_NO_EVALUATION)
    trained(work, "one", *short, cache="cache-1")
    trained(work, "other", *short, cache="cache-2")
    half = ("--total-env-steps", "8000", "--learning-rate-decay-env-steps", "16000")
    trained(work, "half", options.game, *_SHORT[2:], *half, *_NO_EVALUATION, cache="cache-3")
    trained(work, "half", "--total-env-steps", "16000", resume=True, cache="cache-4")
    trained(work, "host", *short, "--replay-device", "cpu")
    found = {name: weights_of(work / name) for name in ("one", "other", "half", "host")}
    yield {
        "weights": found,
        "same": found["one"] == found["other"] == found["half"],
        "same_from_host_memory": found["one"] == found["host"],
    }


def speed(options: Options, work: Path) -> Iterator[dict[str, Any]]:
    """Agent steps a second with a batch of 32 and one update for every 4 agent steps."""
    words = ("--batch-size", "32", "--replay-ratio", "0.25", "--no-munchausen")
    for place, budget in (("auto", options.speed_env_steps), ("cpu", options.host_env_steps)):
        so = (*words, "--total-env-steps", str(budget), "--replay-device", place)
        trained(work, place, options.game, *so, *_NO_EVALUATION, *_NO_BUFFER)
        rows = steps_per_second(work / place, 50_000)
        found = {"median": float(np.median(rows)), "least": min(rows), "most": max(rows)}
        yield {"replay_device": place, **found}


def pong(options: Options, work: Path) -> Iterator[dict[str, Any]]:
    """Seconds from the start of the process, and the mean score of 30 greedy games."""
    for seed in options.seeds:
        name, budget = f"pong-{seed}", ("--total-env-steps", str(options.pong_env_steps))
        words = (options.game, "--seed", str(seed), *budget, *_NO_BUFFER)
        report, seconds = trained(
            work, name, *words, "--evaluate-every-env-steps", "none", cache=f"cache-{name}"
        )
        evaluation = report["evaluation"]
        yield {
            "seed": seed,
            "seconds": round(seconds, 1),
            "trained_after_seconds": round(report["seconds"], 1),
            "env_steps": report["env_steps"],
            "games": evaluation["episodes"],
            "mean_score": evaluation["mean_return"],
            "interval_95": evaluation["interval_95"],
        }


def main(options: Options) -> None:
    """Do the studies, and print and keep what each finds."""
    from frankrl.runs import machine_facts
    from frankrl.runs.machine import versions

    facts = {"machine": machine_facts(), "versions": versions(), "cpus": os.cpu_count()}
    options.results.parent.mkdir(parents=True, exist_ok=True)
    for name in options.studies:
        with tempfile.TemporaryDirectory() as work:
            for found in {"bits": bits, "speed": speed, "pong": pong}[name](options, Path(work)):
                row = {"study": name, "game": options.game, **found}
                print(json.dumps(row), flush=True)
                with options.results.open("a") as file:
                    file.write(json.dumps(row | facts) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
