"""A cluster that loses nodes, links and its driver: each run has one history, of the same bits."""

import contextlib
import json
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ray_nodes import (
    NamespacedCluster,
    RayCluster,
    environment,
    ray_cluster,
    wait_for,
)

from frankrl.runs.publishing import FINISHED, Claim, Log, open_storage, published_status
from robustness.outcome import Outcome
from robustness.runs import contents

LEASE_SECONDS = 8.0
_ENV = "CartPole-v1"
_FLAGS = [
    *("--preset", "default", "--hidden-widths", "16", "--learning-starts-env-steps", "100"),
    *("--checkpoint-every-env-steps", "400", "--evaluate-every-env-steps", "4000"),
    *("--evaluation-episodes", "1", "--final-evaluation-episodes", "2"),
]
_TOTAL = 12_000
_SPACE = "[learning_rate]\nlow = 1e-4\nhigh = 1e-2\nlog = true\n"
_LATE = "was taken over by"
"""In what a writer says that comes too late."""


def command(*words: str) -> list[str]:
    """The command `frank` with a short lease."""
    code = (
        "from frankrl.cluster.ray_engine import RayEngine; from frankrl.cli.main import run_process"
        f"; RayEngine.__init__.__kwdefaults__['lease_seconds'] = {LEASE_SECONDS}; run_process()"
    )
    return [sys.executable, "-c", code, *words]


def begun(*words: str) -> subprocess.Popen[str]:
    """Start the command."""
    return subprocess.Popen(
        command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(),
    )  # fmt: skip


def run_words(out: Path, *more: str, seeds: int = 1, total: int = _TOTAL) -> list[str]:
    """The words of a training with some seeds."""
    budget = ("--seeds", str(seeds), "--total-env-steps", str(total))
    return ["train", _ENV, *_FLAGS, *budget, "--out", str(out), *more]


def sweep_words(work: Path, out: Path, *more: str) -> list[str]:
    """The words of a small sweep."""
    work.mkdir(parents=True, exist_ok=True)
    (work / "space.toml").write_text(_SPACE, "utf-8")
    plan = ("--space", str(work / "space.toml"), "--trials", "4", "--seeds", "1", "--lag", "2")
    budget = ("--pruner", "none", "--total-env-steps", "4000")
    return ["sweep", _ENV, *_FLAGS, *plan, *budget, "--json", "--out", str(out), *more]


def node_kills(work: Path, tries: int) -> Outcome:
    """Kill a node at a random moment of a sweep, which two nodes do."""
    claim = "a node of a cluster is killed in a sweep: the same trials, values and weights"
    outcome = Outcome("cluster nodes", claim)
    whole, told = _undisturbed_sweep(work)
    with ray_cluster(work / "nodes") as cluster:
        for number in range(tries):
            draw, out = random.Random(number), work / f"sweep-{number}"
            process = begun(*sweep_words(work, out, "--ray", cluster.address))
            if _until(process, out, draw.randrange(1, 30)):
                node = draw.choice(cluster.nodes)
                outcome.count("killed while it did a job", int(bool(node.processes("ray::run"))))
                cluster.remove(node)
                cluster.add()
            _compare_sweep(outcome, process, out, whole, told, f"sweep {number}")
    return outcome


def driver_kills(work: Path, tries: int) -> Outcome:
    """Kill the driver of a sweep at a random moment, then give the same command again."""
    claim = "the driver of a cluster's sweep is killed: the same trials, values and weights"
    outcome = Outcome("cluster driver", claim)
    whole, told = _undisturbed_sweep(work)
    with ray_cluster(work / "nodes") as cluster:
        for number in range(tries):
            draw, out = random.Random(number), work / f"sweep-{number}"
            words = sweep_words(work, out, "--ray", cluster.address)
            process = begun(*words)
            if _until(process, out, draw.randrange(1, 30)):
                process.kill()
                process.communicate()
                outcome.count("killed")
                process = begun(*words)
            _compare_sweep(outcome, process, out, whole, told, f"sweep {number}")
    return outcome


def frozen_nodes(work: Path, tries: int) -> Outcome:
    """Freeze a node, every second time its raylet alone, and let it go on when it is replaced."""
    claim = "a node is frozen and goes on when its run is elsewhere: one history, the same bits"
    outcome = Outcome("cluster frozen", claim)
    whole = _undisturbed_run(work)
    with ray_cluster(work / "nodes") as cluster:
        for number in range(tries):
            with _one_run(outcome, cluster, work, number, whole) as (address, at):
                node = cluster.busy()
                wait_for(lambda: _env_steps(address) >= at, "a checkpoint")
                whole_node = number % 2 == 0
                node.send(signal.SIGSTOP, "" if whole_node else "raylet/raylet")
                if whole_node:
                    _wait_for_another_owner(address)
                    node.send(signal.SIGCONT, "ray::run_task")
                    wait_for(
                        lambda: cluster.said(f"{address} {_LATE}"), "the late writer's refusal"
                    )
                    outcome.count("late writers refused by name")
                else:
                    wait_for(lambda: _is_finished(address), "the end of the run")
                    outcome.count("raylets frozen alone")
                node.send(signal.SIGCONT)
            cluster.remove(node)
            cluster.add()
    return outcome


def cut_links(work: Path, tries: int) -> Outcome:
    """Cut the link of a node that does a run; every second time its storage hangs as well.

    The storage is on this machine's disk, which no link leads to. So a process whose network file
    system hangs is one that is stopped.
    """
    claim = "a node's link is cut and mended: one history, the same bits"
    outcome = Outcome("cluster links", claim)
    if not NamespacedCluster.is_allowed():
        print("cut links: skipped, because this process may not make networks", file=sys.stderr)
        return outcome
    whole = _undisturbed_run(work)
    with ray_cluster(work / "nodes", kind=NamespacedCluster) as cluster:
        for number in range(tries):
            with _one_run(outcome, cluster, work, number, whole) as (address, at):
                node = cluster.busy()
                wait_for(lambda: _env_steps(address) >= at, "a checkpoint")
                hangs = number % 2 == 0
                cluster.cut(node)
                if hangs:
                    node.send(signal.SIGSTOP, "ray::run_task")
                    _wait_for_another_owner(address)
                    cluster.mend(node)
                    node.send(signal.SIGCONT)
                else:
                    wait_for(lambda: _is_finished(address), "the end of the run")
                    cluster.mend(node)
                outcome.count("with hanging storage" if hangs else "with storage")
            cluster.remove(node)
            cluster.add()
    return outcome


@contextlib.contextmanager
def _one_run(
    outcome: Outcome, cluster: RayCluster, work: Path, number: int, whole: dict[str, Any]
) -> Iterator[tuple[str, int]]:
    """A run on the cluster: its address, and the env step at which to disturb it."""
    out = work / f"run-{number}"
    process = begun(*run_words(out, "--ray", cluster.address))
    address = str(out / "published" / f"{out.name}-s0")
    yield address, random.Random(number).randrange(1, _TOTAL * 2 // 3)
    _, errors = process.communicate()
    what = f"run {number}"
    if process.returncode:
        outcome.note(False, f"{what}: exit {process.returncode}: {errors[-500:]}")
        return
    problem = wrong_history(address) or _different(whole, out / "s0")
    outcome.note(not problem, f"{what}: {problem}")
    if not problem:
        shutil.rmtree(out)


def _undisturbed_run(work: Path) -> dict[str, Any]:
    """What a run comes to; done once for all studies whose folders lie beside each other."""
    out = work.parent / "undisturbed-run"
    if not out.exists():
        process = begun(*run_words(out, "--processes", "1"))
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    return contents(out / "s0")


def _undisturbed_sweep(work: Path) -> tuple[dict[str, dict[str, Any]], str]:
    """What a sweep comes to, and what it says of it; done once, likewise."""
    out, line = work.parent / "undisturbed-sweep", work.parent / "undisturbed-sweep.json"
    if not line.exists():
        process = begun(*sweep_words(work, out))
        told, errors = process.communicate()
        assert process.returncode == 0, errors
        line.write_text(told.strip().splitlines()[-1], "utf-8")
    runs = sorted((out / "runs").iterdir())
    return {run.name: contents(run) for run in runs}, line.read_text("utf-8")


def _compare_sweep(
    outcome: Outcome,
    process: subprocess.Popen[str],
    out: Path,
    whole: dict[str, dict[str, Any]],
    told: str,
    what: str,
) -> None:
    now, errors = process.communicate()
    if process.returncode:
        outcome.note(False, f"{what}: exit {process.returncode}: {errors[-500:]}")
        return
    same = _plain(now.strip().splitlines()[-1]) == _plain(told)
    problems = ["" if same else "other trials"]
    for name, expected in whole.items():
        problems.append(_different(expected, out / "runs" / name))
    for place in sorted((out / "published").iterdir()):
        problems.append(wrong_history(str(place)))
        outcome.count("runs")
        outcome.count("claims", _claims(str(place)))
    problem = "; ".join(filter(None, problems))
    outcome.note(not problem, f"{what}: {problem}")
    if not problem:
        shutil.rmtree(out)


def _plain(line: str) -> Any:
    """A sweep's JSON without the folder's name."""
    return {name: value for name, value in json.loads(line).items() if name in ("best", "trials")}


def _different(whole: dict[str, Any], run: Path) -> str:
    found = contents(run)
    different = [name for name in whole if whole[name] != found.get(name)]
    return f"{run.name}: {', '.join(different)} differ" if different else ""


def wrong_history(address: str) -> str:
    """What is wrong with the history of a published run; empty if it is one, from start to end."""
    log = Log(open_storage(address))
    records = list(log.history())[::-1]
    if [record.number for record in records] != list(range(1, len(records) + 1)):
        return f"{address}: records {[record.number for record in records]}"
    fences = [record.fence for record in records]
    ends = [record.number for record in records if record.kind == FINISHED]
    if fences != sorted(fences) or ends != [len(records)]:
        return f"{address}: fencing numbers {fences}, ends {ends}"
    return ""


def _claims(address: str) -> int:
    return sum(isinstance(record, Claim) for record in Log(open_storage(address)).history())


def _until(process: subprocess.Popen[str], out: Path, records: int) -> bool:
    """Wait until so many records are published; false if the process has ended before."""

    def is_there() -> bool:
        return len(list(out.glob("published/*/log/*.json"))) >= records

    wait_for(lambda: is_there() or process.poll() is not None, "a record")
    return process.poll() is None


def _env_steps(address: str) -> int:
    status = published_status(address) if Path(address).is_dir() else None
    return (status and status.env_steps) or 0


def _fence(address: str) -> int:
    status = published_status(address)
    return status.fence if status else 0


def _wait_for_another_owner(address: str) -> None:
    before = _fence(address)
    wait_for(lambda: _fence(address) > before, "another owner")


def _is_finished(address: str) -> bool:
    status = published_status(address)
    return status is not None and status.finished
