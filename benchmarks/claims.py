"""The claims and the family with a hundred seeds, where all seeds of an arm are one program.

`python -m benchmarks claims` does every experiment on Frank's functional environments, several at
a time, and writes tables, data and figures for `docs/claims.md` and `docs/family.md`. What is done
is not repeated, so a study that was stopped goes on by the same command: an arm whose program was
stopped goes on from its checkpoints, of which a short run has one at its end.

On two CPU cores all of it takes about five hours by estimate, half of them for MountainCar and the
family on Acrobot; `--device auto` takes a GPU if there is one, which computes the seeds of an arm
together.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

import frankrl
from benchmarks.peers.command import facts, write_results
from frankrl.experiments.claims import FUNCTIONAL

_FIRST = "ends"
"""The experiment that is done first: one of its arms is an arm of most others, too."""
_NAMES = (_FIRST, "replay", "target", "epsilon", "reuse", "props", "family")


@dataclass(frozen=True)
class Options:
    """What to do."""

    experiments: tuple[str, ...] = _NAMES
    """Experiments, each on every environment."""
    envs: tuple[str, ...] = tuple(FUNCTIONAL)
    """Environments; the tables have those on which an experiment is done."""
    seeds: int = 100
    """Seeds of each arm, from 10 on: settings were tuned on smaller ones."""
    device: Literal["auto", "cpu", "gpu"] = "cpu"
    """What the runs learn on."""
    at_once: int = 0
    """Experiments at the same time, each in a process; 0: one for each core."""
    work: Path = Path("experiments-hundred")
    """Folder of the runs."""
    results: Path = Path("benchmarks/results/claims/functional")
    """Folder of the tables and the data."""
    figures: Path = Path("docs/claims/functional")
    """Folder of the figures."""


def main(options: Options) -> int:
    """Do what is left; returns the exit status: 1 if an experiment failed."""
    jobs = [(name, env_id) for env_id in options.envs for name in options.experiments]
    first = [job for job in jobs if job[0] == _FIRST]
    rest = [job for job in jobs if job[0] != _FIRST]
    done: dict[str, list[str]] = {}
    with ThreadPoolExecutor(options.at_once or os.cpu_count() or 1) as pool:
        # Arms that several experiments have are runs of one folder.
        for part in (first, rest):
            tried = list(pool.map(lambda job: _is_done(options, *job), part))
            for (name, env_id), holds in zip(part, tried, strict=True):
                if holds:
                    done.setdefault(name, []).append(env_id)
    for name, env_ids in done.items():
        _write(options, name, env_ids)
    return int(sum(map(len, done.values())) < len(jobs))


def _arguments(options: Options, name: str, env_ids: Sequence[str]) -> dict:
    seeds = {"seeds": options.seeds, "first_seed": 10, "device": options.device}
    return {"name": name, "envs": list(env_ids), "out": str(options.work), **seeds}


def _is_done(options: Options, name: str, env_id: str) -> bool:
    """Do an experiment on an environment in a process of its own; whether that worked."""
    begun = time.monotonic()
    arguments = json.dumps(_arguments(options, name, [env_id]) | {"progress": False})
    # The table of one environment is of no use: all are written at the end.
    code = f"import json, frankrl; frankrl.experiment(**json.loads({arguments!r}))"
    status = subprocess.run([sys.executable, "-c", code]).returncode
    told = "done" if status == 0 else f"failed with status {status}"
    print(f"{name} on {env_id}: {told} after {time.monotonic() - begun:.0f} s", flush=True)
    return status == 0


def _write(options: Options, name: str, env_ids: Sequence[str]) -> None:
    """Write table, data and figure of an experiment that is done on these environments."""
    found = frankrl.experiment(**_arguments(options, name, env_ids), progress=False)
    table, data, picture = found.paths
    options.results.mkdir(parents=True, exist_ok=True)
    options.figures.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(table, options.results / table.name)
    shutil.copyfile(picture, options.figures / picture.name)
    content = json.loads(data.read_text("utf-8"))
    for arm in content["arms"]:
        # 100 curves of each arm are megabytes; their mean over time is kept as `learning`.
        del arm["evaluations"], arm["env_steps"]
    write_results(options.results / data.name, facts() | {"device": options.device} | content)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
