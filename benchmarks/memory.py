"""What a memory is worth: worlds whose last observation is not the state.

`python -m benchmarks memory` trains each study below over its seeds, each run as `frank train` does
it, in a process of its own, and prints the tables; `--studies repeat-1 …` trains those that are
named. Results are kept in a JSON-lines file; what is in it with the settings of today is not done
again.

- cart-pole: CartPole without velocities until it is solved, with a GRU, with the same network
  without a memory, and with a stack of frames in its place. Those two learn from as many steps an
  update as the GRU does. cart-pole-whole-budget is the GRU after all of its 30,000 env steps.
- repeat: repeat after me with delays of 1, 4 and 16 steps. Beside the return stands the largest
  error of a Q-value over 20 episodes, against the closed form.
- repeat-previous: POPGym's RepeatPreviousEasy, `pip install popgym`. Its mark is the score of PPO
  with a GRU after 15 million env steps: Morad et al. (2023), https://arxiv.org/abs/2303.01859,
  table 3. No score is higher.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tyro

import frankrl
from benchmarks import made_with, read_rows
from frankrl.config import Settings
from frankrl.config.presets import load_preset
from frankrl.environments import make_environment
from frankrl.environments.repeat_after_me import exact_q_values
from frankrl.runs.machine import machine_facts, versions

_POSITIONS = "frankrl/CartPole-positions-v0"
_REPEAT = "frankrl/RepeatAfterMe-v0"
_EPISODES, _FIRST_SEED = 20, 2_000_000
"""Episodes over which Q-values are compared, and the seed of the first of them."""


@dataclass(frozen=True)
class Study:
    """One environment and its settings over seeds that were never used in tuning."""

    env_id: str
    seeds: range
    goal: str
    """What was set as the mark to reach."""
    changes: dict[str, Any] = field(default_factory=dict)
    """Settings that differ from the preset `recurrent`."""

    def settings(self) -> Settings:
        """The settings of today."""
        return load_preset("recurrent").with_changes(**self.changes)


_SOLVED = {"until_solved": True, "normalize_observations": True}


def _without_memory(**changes: Any) -> dict[str, Any]:
    """The preset without its memory; an update learns from as many steps as with it."""
    preset = load_preset("recurrent").replay
    learned = preset.sequence_steps - preset.burn_in_steps
    return {"memory": "none", "batch_size": preset.batch_size * learned, **changes}


_SYMBOLS = {
    "hidden_widths": (64,),
    "gamma": 0.5,
    "n_step": 1,
    "replay_capacity": 100_000,
    "batch_size": 16,
    "sequence_steps": 30,
    "burn_in_steps": 10,
    "total_env_steps": 20_000,
    "replay_ratio": 0.25,
    "evaluate_every_env_steps": 5_000,
}
"""Symbols are remembered for some steps; actions decide on their own reward only."""


def _repeat(delay: int, **changes: Any) -> Study:
    """Half of the actions are random, so that every action's Q-value is learned."""
    kwargs = {"env_kwargs": {"delay": delay}, "epsilon_end": 0.5}
    return Study(_REPEAT, range(3), "every Q-value within 0.05", _SYMBOLS | kwargs | changes)


_LONG = {
    "gamma": 0.2,
    "num_envs": 16,
    "memory_units": 128,
    "sequence_steps": 72,
    "burn_in_steps": 32,
    "replay_capacity": 160_000,
    "learning_rate": 3e-3,
    "polyak_window_updates": None,
    "total_env_steps": 480_000,
    "replay_ratio": 0.025,
    "evaluate_every_env_steps": 240_000,
}
"""The burn-in is twice the delay: the first steps after a memory of older weights are wrong. There
are 65,536 histories of 16 symbols: many env steps an update show most of them."""
STUDIES = {
    "cart-pole": Study(_POSITIONS, range(5), "mean ≥ 450", _SOLVED),
    "cart-pole-whole-budget": Study(
        _POSITIONS, range(5), "mean ≥ 450", {"normalize_observations": True}
    ),
    "cart-pole-without-memory": Study(
        _POSITIONS, range(5), "below 100", _without_memory(**_SOLVED)
    ),
    "cart-pole-frame-stack": Study(
        _POSITIONS, range(5), "–", _without_memory(**_SOLVED, frame_stack=4)
    ),
    "repeat-1": _repeat(1),
    "repeat-4": _repeat(4, total_env_steps=40_000),
    "repeat-16": _repeat(16, **_LONG),
    "repeat-previous": Study(
        "popgym:popgym-RepeatPreviousEasy-v0",
        range(3),
        "1.000, PPO-GRU's and the highest",
        _SYMBOLS | {"normalize_rewards": True},
    ),
}


@dataclass(frozen=True)
class Options:
    """What to run."""

    studies: tuple[str, ...] = tuple(STUDIES)
    """Names of the studies."""
    results: Path = Path("benchmarks/results/memory.jsonl")
    """Where results are kept, one JSON object a run."""


def main(options: Options) -> None:
    """Do what is not done yet, then print the table."""
    options.results.parent.mkdir(parents=True, exist_ok=True)
    known = {
        (row["study"], row["seed"]): row
        for row in read_rows(options.results)
        if made_with(row["settings"], STUDIES[row["study"]].settings())
    }
    wanted = [(name, seed) for name in options.studies for seed in STUDIES[name].seeds]
    for name, seed in wanted:
        if (name, seed) in known:
            continue
        row = known[name, seed] = _run(name, seed)
        with options.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{name} seed {seed}: {row['mean_return']:.4g} in {row['seconds']:.0f} s", flush=True)
    print(table([known[job] for job in wanted]))


def training_words(study: Study, seed: int, run: str) -> list[str]:
    """The words after `frank` that train a run."""
    words = ["train", study.env_id, "--preset", "recurrent", "--seed", str(seed), "--json"]
    for setting, value in study.changes.items():
        flag = setting.replace("_", "-")
        match value:
            case bool():
                words.append(f"--{flag}" if value else f"--no-{flag}")
            case dict():
                words += [f"--{flag}", json.dumps(value)]
            case list() | tuple():
                words += [f"--{flag}", *map(str, value)]
            case _:
                words += [f"--{flag}", str(value)]
    return [*words, "--out", run]


def _run(name: str, seed: int) -> dict[str, Any]:
    """One `frank train` in a process of its own."""
    study = STUDIES[name]
    with tempfile.TemporaryDirectory() as folder:
        run = f"{folder}/run"
        told = _told(training_words(study, seed, run))
        # On seeds that have not decided when it was solved.
        played = _told(["evaluate", run, "--seed", str(_FIRST_SEED + seed), "--json"])
        errors = q_value_errors(frankrl.load(run), study) if study.env_id == _REPEAT else None
    return {
        "study": name,
        "seed": seed,
        "mean_return": played["mean_return"],
        "std_return": played["std_return"],
        "largest_q_value_error": None if errors is None else float(errors.max()),
        "mean_q_value_error": None if errors is None else float(errors.mean()),
        "env_steps": told["env_steps"],
        "updates": told["updates"],
        "seconds": told["seconds"],
        "versions": versions(),
        "settings": study.settings().to_tables(),
        "machine": machine_facts(),
    }


def _told(words: list[str]) -> dict[str, Any]:
    """The JSON object that `frank` prints."""
    command = [sys.executable, "-m", "frankrl", *words]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def q_value_errors(agent: frankrl.Agent, study: Study) -> np.ndarray:
    """How far the Q-values of an agent are from the exact ones, in all steps of some episodes.

    Args:
        agent: plays the episodes.
        study: of a world in which symbols are repeated.
    """
    settings, found = study.settings(), []
    kwargs = settings.environment.env_kwargs
    env = make_environment(study.env_id, kwargs)
    for seed in range(_FIRST_SEED, _FIRST_SEED + _EPISODES):
        shown, values, state, ended = [env.reset(seed=seed)[0]], [], None, False
        while not ended:
            values.append(agent.q_values(shown[-1], state=state))
            action, state = agent.predict(shown[-1], state)
            symbol, _, terminated, truncated, _ = env.step(int(action))
            shown.append(symbol)
            ended = terminated or truncated
        exact = exact_q_values(
            np.array(shown[:-1]), kwargs["delay"], len(values[0]), settings.learning.gamma
        )
        found.append(np.abs(np.array(values) - exact))
    return np.array(found)


def table(rows: list[dict[str, Any]]) -> str:
    """The results as Markdown: one row a study."""
    lines = [
        "| study | env steps | updates | each seed's mean over 100 greedy episodes | mean | "
        "largest error of a Q-value, each seed | seconds (median) | mark |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row["study"] for row in rows):
        own = [row for row in rows if row["study"] == name]
        means = [row["mean_return"] for row in own]
        errors = [row["largest_q_value_error"] for row in own]
        cells = [
            name,
            _each(row["env_steps"] for row in own),
            _each(row["updates"] for row in own),
            ", ".join(f"{value:.3g}" for value in means),
            f"{np.mean(means):.3g} ± {np.std(means):.2g}",
            "" if None in errors else ", ".join(f"{value:.3f}" for value in errors),
            f"{np.median([row['seconds'] for row in own]):.0f}",
            STUDIES[name].goal,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _each(counts: Iterable[int]) -> str:
    """One number for all seeds, or one for each."""
    counts = list(counts)
    told = counts[:1] if len(set(counts)) == 1 else counts
    return ", ".join(f"{count:,}" for count in told)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
