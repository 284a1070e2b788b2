"""Look for settings that solve an environment in the fewest seconds.

`python -m benchmarks.tune` searches with Optuna: its TPE sampler proposes settings on
top of a preset, each is tried with `frank train --until-solved` on one tuning seed after
another, and its Wilcoxon pruner gives up those that are clearly worse than the best so
far on the same seeds. The figure is the mean number of seconds from the start of the
process to the end of its solved check; a run that is not solved within its budget
counts as long as it took and the limit on top. Nothing else may run beside it.

Needs `pip install '.[dev]'`. Tuning seeds begin at 101; no reported seed is among them.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import tyro


@dataclass(frozen=True)
class Options:
    """What to search, and for how long."""

    env: str = "LunarLander-v3"
    """Environment."""
    preset: str = "LunarLander-v3"
    """The preset that the search builds on."""
    trials: int = 60
    """Settings to try."""
    seeds: tuple[int, ...] = tuple(range(101, 109))
    """Tuning seeds."""
    limit: float = 60.0
    """What is added for a run that is not solved. [seconds]"""
    sampler_seed: int = 0
    """Seed of the proposals; several searches may share a storage, each with its own."""
    storage: Path = Path("tune.sqlite")
    """Where trials are kept; a search that is interrupted goes on."""
    begin_with: tuple[str, ...] = ()
    """JSON objects of settings to try first, within the search space."""


def proposed(trial: optuna.Trial) -> dict[str, Any]:
    """One proposal of the search space."""
    rate = trial.suggest_float("learning_rate", 3e-4, 3e-3, log=True)
    changes: dict[str, Any] = {
        "num_envs": trial.suggest_categorical("num_envs", [8, 16, 32]),
        "hidden_widths": trial.suggest_categorical("hidden_widths", ["64 64", "128 64", "128 128"]),
        "activation": trial.suggest_categorical("activation", ["relu", "silu", "elu"]),
        "layer_norm": trial.suggest_categorical("layer_norm", [False, True]),
        "dueling": trial.suggest_categorical("dueling", [False, True]),
        "n_step": trial.suggest_int("n_step", 1, 8),
        "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128]),
        "replay_ratio": trial.suggest_categorical("replay_ratio", [0.25, 0.5, 0.75, 1.0]),
        "learning_rate": rate,
        "learning_rate_end": rate * trial.suggest_float("rate_end_share", 0.02, 1.0, log=True),
        "learning_rate_decay_env_steps": trial.suggest_int(
            "learning_rate_decay_env_steps", 50_000, 250_000, step=50_000
        ),
        "target_period_updates": trial.suggest_int("target_period_updates", 50, 1000, log=True),
        "polyak_window_updates": trial.suggest_int("polyak_window_updates", 100, 3000, log=True),
        "gamma": trial.suggest_categorical("gamma", [0.98, 0.99, 0.993, 0.995, 0.997]),
        "loss": trial.suggest_categorical("loss", ["mse", "huber"]),
        "max_gradient_norm": trial.suggest_categorical("max_gradient_norm", [1.0, 10.0, 100.0]),
        "epsilon_end": trial.suggest_float("epsilon_end", 0.01, 0.1),
        "epsilon_decay_env_steps": trial.suggest_int(
            "epsilon_decay_env_steps", 3_000, 40_000, log=True
        ),
        "total_env_steps": 150_000,
    }
    if changes["loss"] == "huber":
        changes["huber_delta"] = trial.suggest_float("huber_delta", 0.5, 20.0, log=True)
    return changes


def seconds_to_solved(options: Options, changes: dict[str, Any], seed: int) -> float:
    """What `frank train --until-solved` reports for one seed. [seconds]"""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "frankrl", "train", options.env]
        words = ["--preset", options.preset, "--seed", str(seed), "--until-solved", "--json"]
        for name, value in changes.items():
            flag = name.replace("_", "-")
            if isinstance(value, bool):
                words.append(f"--{flag}" if value else f"--no-{flag}")
            else:
                words += [f"--{flag}", *str(value).split()]
        done = subprocess.run(
            [*command, *words, "--out", f"{folder}/run"], capture_output=True, text=True
        )
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
        return 2 * options.limit
    told = json.loads(done.stdout)
    return told["solved"]["seconds"] if told["solved"] else told["seconds"] + options.limit


def main(options: Options) -> None:
    """Search, and print the best settings found."""
    study = optuna.create_study(
        study_name=f"{options.env} {options.preset}",
        storage=f"sqlite:///{options.storage}",
        sampler=optuna.samplers.TPESampler(
            seed=options.sampler_seed, multivariate=True, group=True
        ),
        pruner=optuna.pruners.WilcoxonPruner(p_threshold=0.1, n_startup_steps=2),
        load_if_exists=True,
    )
    for text in options.begin_with:
        study.enqueue_trial(json.loads(text), skip_if_exists=True)

    def objective(trial: optuna.Trial) -> float:
        changes, seconds = proposed(trial), []
        for number, seed in enumerate(options.seeds):
            seconds.append(seconds_to_solved(options, changes, seed))
            trial.report(seconds[-1], number)
            if trial.should_prune():
                break
        print(f"{sum(seconds) / len(seconds):6.1f} s, seeds {[round(s, 1) for s in seconds]}")
        print(f"        {json.dumps(trial.params)}", flush=True)
        return sum(seconds) / len(seconds)

    study.optimize(objective, n_trials=options.trials)
    best = json.dumps(study.best_params)
    print(f"best: {study.best_value:.1f} s with {best} on top of {options.preset}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
