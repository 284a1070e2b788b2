"""How cost grows: env steps per second and memory against one setting at a time.

`python -m benchmarks.scaling` takes the LunarLander-v3 preset, changes one setting,
trains past the beginning of learning in a process of its own, and measures the rounds
after that. `--plot FILE` draws the figures too. Each point is the median over turns;
the turns go through all points one after the other.
"""

import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from frankrl.config.presets import load_preset
from frankrl.core.backend import start_backend
from frankrl.environments import describe, make_vector
from frankrl.experience import HostSource
from frankrl.training import Experiment, init_train_state, rounds

SWEEPS: dict[str, list] = {
    "num_envs": [1, 2, 4, 8, 16, 32, 64],
    "hidden_widths": [[width, width] for width in (32, 64, 128, 256, 512, 1024)],
    "batch_size": [32, 64, 128, 256, 512, 1024],
    "replay_capacity": [10_000, 100_000, 1_000_000],
    "replay_ratio": [0.25, 0.5, 1.0, 2.0, 4.0],
}


@dataclass(frozen=True)
class Options:
    """What to measure."""

    env: str = "LunarLander-v3"
    """Environment, trained with the preset of its name."""
    turns: int = 3
    """Processes for each point."""
    seconds: float = 3.0
    """How long each process is measured."""
    sweeps: tuple[str, ...] = tuple(SWEEPS)
    """The settings to change."""
    plot: Path | None = None
    """Where to draw the figures."""
    one: str = ""
    """Measure one point in this process: its changes, as JSON."""


def measure(env: str, changes: dict, seconds: float) -> dict[str, float]:
    """One point: env steps per second, and the process's largest memory so far. [MiB]"""
    start_backend()
    settings = load_preset(env).with_changes(**changes).resolved()
    spec = describe(env, settings.environment.env_kwargs)
    experiment = Experiment.of(settings, spec, seed=0)
    envs = make_vector(settings.environment, spec, experiment.seed)
    source = HostSource(settings, experiment.network, experiment.seed, envs)
    running = rounds(experiment, source, init_train_state(experiment))
    while (result := next(running)).updates < 100:
        pass
    result.output().params.block_until_ready()
    begin_steps, begin = result.ticks, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        result = next(running)
    result.output().params.block_until_ready()
    speed = (result.ticks - begin_steps) / (time.perf_counter() - begin)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"env_steps_per_second": speed, "memory": memory}


def in_a_process(options: Options, changes: dict) -> dict[str, float]:
    """`measure` in a fresh process."""
    words = ["--env", options.env, "--seconds", str(options.seconds), "--one", json.dumps(changes)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scaling", *words], stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout)


def main(options: Options) -> None:
    """Measure every point and print a table for each setting."""
    if options.one:
        print(json.dumps(measure(options.env, json.loads(options.one), options.seconds)))
        return
    points = [(name, value) for name in options.sweeps for value in SWEEPS[name]]
    found: dict[tuple[str, str], list[dict]] = {}
    for _ in range(options.turns):
        for name, value in points:
            key = (name, json.dumps(value))
            found.setdefault(key, []).append(in_a_process(options, {name: value}))
    print("| setting | value | env steps/s | least–most | memory, MiB |")
    print("|---|---|---|---|---|")
    for (name, value), results in found.items():
        speeds = [result["env_steps_per_second"] for result in results]
        memory = np.median([result["memory"] for result in results])
        print(
            f"| `{name}` | {value} | {np.median(speeds):,.0f} | {min(speeds):,.0f}–"
            f"{max(speeds):,.0f} | {memory:,.0f} |"
        )
    if options.plot:
        _draw(found, options.plot)


def _draw(found: dict[tuple[str, str], list[dict]], path: Path) -> None:
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(name for name, _ in found))
    figure, axes = plt.subplots(1, len(names), figsize=(3 * len(names), 3), sharey=True)
    for axis, name in zip(np.atleast_1d(axes), names, strict=True):
        keys = [key for key in found if key[0] == name]
        values = [np.max(json.loads(value)) for _, value in keys]
        speeds = [np.median([r["env_steps_per_second"] for r in found[key]]) for key in keys]
        axis.loglog(values, speeds, "o-", color="#0072b2")
        axis.set_xlabel(name)
        axis.grid(alpha=0.3, which="both")
    np.atleast_1d(axes)[0].set_ylabel("env steps / s")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
