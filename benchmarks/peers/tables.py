"""What the comparison shows of its results."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.venvs import BARE

ENVS = ("LunarLander-v3", "CartPole-v1")
_LABELS = {
    "env_id": "environment",
    "widths": "widths",
    "batch_size": "batch",
    "replay_ratio": "ratio",
}


def _peers_in(rows: Iterable[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["peer"] for row in rows))


def tables(rows: list[dict[str, Any]], labels: Mapping[str, str] = _LABELS) -> str:
    """The results as Markdown; a job that failed is said to have.

    Args:
        rows: the results.
        labels: by which fields of a job speeds are compared, and what each is called.
    """
    failed = [
        f"- {row['peer']} failed ({row['job']['task']}, seed {row['job']['seed']}): {row['failed']}"
        for row in rows
        if "failed" in row
    ]
    rows = [row for row in rows if "failed" not in row]
    speed, startup, solve, bare = (
        [row for row in rows if row["job"]["task"] == task]
        for task in ("speed", "startup", "solve", "bare")
    )
    found = [circumstances(rows)] if any("versions" in row for row in rows) else []
    if speed:
        found += [speed_table(speed, labels), footprint_table(speed)]
    if startup:
        found.append(startup_table(startup))
    if solve:
        found.append(solve_table(solve))
    if bare:
        found.append(bare_text(bare, solve))
    if failed:
        found.append("\n".join(failed))
    return "\n\n".join(found)


def circumstances(rows: list[dict[str, Any]]) -> str:
    """When, where and with what was measured."""
    told = [row for row in rows if "versions" in row]
    dates = sorted({row["date"] for row in told})
    machines = dict.fromkeys(f"{row['cpu']}, {row['cpus']} CPUs" for row in told)
    loads = [row["load"] for row in told]
    lines = [
        f"Measured {' to '.join(dict.fromkeys((dates[0], dates[-1])))} on {'; '.join(machines)}. "
        f"Load average before a job: {np.median(loads):.1f}, at most {np.max(loads):.1f}.",
        "",
        "| library | versions |",
        "|---|---|",
    ]
    for peer in _peers_in(row for row in told if row["peer"] != BARE):
        own = dict.fromkeys(
            ", ".join(f"{name} {version}" for name, version in row["versions"].items())
            for row in told
            if row["peer"] == peer
        )
        lines.append(f"| {peer} | {'; '.join(own)} |")
    return "\n".join(lines)


def _each(values: list[float], form: str) -> str:
    """The median, and behind it every value."""
    return f"{np.median(values):{form}} ({', '.join(f'{value:{form}}' for value in values)})"


def _spread(values: list[float], form: str) -> str:
    least, middle, most = np.min(values), np.median(values), np.max(values)
    return f"{middle:{form}} ({least:{form}}–{most:{form}})"


def speed_table(rows: list[dict[str, Any]], labels: Mapping[str, str] = _LABELS) -> str:
    """Env steps per second: the median, each turn, and how many times Frank's is another's."""
    peers = _peers_in(rows)
    lines = [
        f"| {' · '.join(labels.values())} | {' | '.join(peers)} |",
        f"|---|{'---|' * len(peers)}",
    ]
    keys = list(dict.fromkeys(_key(row["job"], labels) for row in rows))
    for key in keys:
        speeds = {
            peer: [
                row["env_steps_per_second"]
                for row in rows
                if row["peer"] == peer and _key(row["job"], labels) == key
            ]
            for peer in peers
        }
        frank = np.median(speeds["frank"])
        cells = []
        for peer, values in speeds.items():
            text = _each(values, ",.0f") if values else "–"
            if values and peer != "frank":
                text += f", {frank / np.median(values):.1f}×"
            cells.append(text)
        lines.append(f"| {key} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _key(job: dict[str, Any], labels: Mapping[str, str]) -> str:
    values = (job[name] for name in labels)
    return " · ".join(
        "×".join(map(str, value)) if isinstance(value, list) else str(value) for value in values
    )


def footprint_table(rows: list[dict[str, Any]]) -> str:
    """Start-up and memory: the median over all jobs of speed, the least and the most."""
    lines = ["| library | start-up, s | peak memory, MiB |", "|---|---|---|"]
    for peer in _peers_in(rows):
        own = [row for row in rows if row["peer"] == peer]
        startup = _spread([row["startup_seconds"] for row in own], ".1f")
        memory = _spread([row["peak_memory_mib"] for row in own], ",.0f")
        lines.append(f"| {peer} | {startup} | {memory} |")
    return "\n".join(lines)


def startup_table(rows: list[dict[str, Any]]) -> str:
    """Start-up to the end of the first round that learns, and Frank's share of another's."""
    lines = [
        "| library | start-up to the end of the first round, s | Frank's ÷ its |",
        "|---|---|---|",
    ]
    seconds = {
        peer: [row["startup_seconds"] for row in rows if row["peer"] == peer]
        for peer in _peers_in(rows)
    }
    for peer, values in seconds.items():
        share = "" if peer == "frank" else f"{np.median(seconds['frank']) / np.median(values):.2f}"
        lines.append(f"| {peer} | {_each(values, '.2f')} | {share} |")
    return "\n".join(lines)


def bare_text(rows: list[dict[str, Any]], solve: list[dict[str, Any]]) -> str:
    """What 100,000 env steps cost without an agent, and Frank's time until solved in that unit."""
    seconds = [row["bare_seconds"] for row in rows]
    machines = dict.fromkeys(row["cpu"] for row in rows)
    text = f"100,000 env steps without an agent: {_each(seconds, '.2f')} s on {', '.join(machines)}"
    solved = [row["solved_seconds"] or np.inf for row in solve if row["peer"] == "frank"]
    if solved and np.isfinite(median := np.median(solved)):
        text += f". Frank's median is {median / np.median(seconds):.2f} times that"
    return f"{text}."


def solve_table(rows: list[dict[str, Any]]) -> str:
    """When each run was solved; one that was not took longer than its limit."""
    lines = [
        "| library | seconds until solved, each seed | median | Frank is faster by |",
        "|---|---|---|---|",
    ]
    limits = {peer: [] for peer in _peers_in(rows)}
    for row in rows:
        limits[row["peer"]].append(row["solved_seconds"] or np.inf)
    frank = np.median(limits["frank"])
    for peer, values in limits.items():
        limit = max(row["job"]["seconds"] for row in rows if row["peer"] == peer)
        told = [f"{value:.1f}" if np.isfinite(value) else f"> {limit:.0f}" for value in values]
        median = np.median(values)
        if np.isfinite(median):
            middle, ratio = f"{median:.1f}", f"{median / frank:.1f}×"
        else:
            middle, ratio = f"> {limit:.0f}", f"more than {limit / frank:.0f}×"
        if peer == "frank" or not np.isfinite(frank):
            ratio = ""
        lines.append(f"| {peer} | {', '.join(told)} | {middle} | {ratio} |")
    return "\n".join(lines)


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw the mean return of each greedy evaluation against seconds since the process began."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    solve = [row for row in rows if row["job"]["task"] == "solve" and "failed" not in row]
    colours = {peer: f"C{number}" for number, peer in enumerate(_peers_in(solve))}
    for row in solve:
        seconds, _, returns = (
            zip(*row["evaluations"], strict=True) if row["evaluations"] else ((), (), ())
        )
        axes.plot(seconds, returns, color=colours[row["peer"]], alpha=0.8, linewidth=1)
    for peer, colour in colours.items():
        axes.plot([], [], color=colour, label=peer)
    axes.axhline(200, color="grey", linestyle=":", linewidth=1)
    axes.set(
        xscale="log",
        ylim=(-500, 320),
        xlabel="seconds since the process began",
        ylabel="mean return of 5 greedy episodes",
        title=f"{ENVS[0]}: each library with published settings of its own",
    )
    axes.legend()
    figure.savefig(path, dpi=130)
