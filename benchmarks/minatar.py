"""Env steps per second on MinAtar's games, beside Stable-Baselines3 and CleanRL's DQN in JAX.

`python -m benchmarks minatar` installs the two from their published packages into virtual
environments of their own, then measures in turns, one process at a time. All have the same
settings: MinAtar's network (16 filters of 3 × 3, then 128 units; Young & Tian 2019), plain DQN with
batches of 32 from a uniform buffer of 100,000. CleanRL's scripts know one environment only. PyTorch
gets one thread, and no library is kept from a second core, as in `compare`.

Results are kept in a JSON-lines file; what is in it and has not failed is not measured again.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from benchmarks.peers.running import rows_of
from benchmarks.peers.tables import tables
from benchmarks.peers.venvs import FRANK

_PACKAGES = ("gymnasium>=1", "minatar>=1.0.15")
_NUM_ENVS = (1, 8)
_REPLAY_RATIOS = (0.25, 1.0)
_ONE_ENVIRONMENT = ("cleanrl",)
"""Libraries that cannot step several environments together."""
_LABELS = {"env_id": "game", "num_envs": "environments", "replay_ratio": "updates per env step"}


@dataclass(frozen=True)
class Options:
    """What to measure."""

    peers: tuple[Literal["sb3", "cleanrl"], ...] = ("sb3", "cleanrl")
    """Libraries, beside Frank."""
    games: tuple[str, ...] = ("MinAtar/Breakout-v1", "MinAtar/Seaquest-v1")
    """Environments."""
    seeds: int = 3
    """Turns: in each, every library does every job once, with its own seed."""
    seconds: float = 4.0
    """How long speed is measured, after the warm-up."""
    venvs: Path = Path(".venv-peers")
    """Where the libraries' environments are, or are made."""
    results: Path = Path("benchmarks/results/minatar.jsonl")
    """Where results are kept, one JSON object a job."""


def jobs(options: Options, seed: int) -> list[tuple[str, dict[str, Any]]]:
    """The adapters and their jobs of one turn."""
    return [
        (
            peer,
            {
                "task": "speed",
                "env_id": game,
                "seed": seed,
                "seconds": options.seconds,
                "widths": [128],
                "batch_size": 32,
                "replay_ratio": replay_ratio,
                "num_envs": num_envs,
                "capacity": 100_000,
            },
        )
        for game in options.games
        for num_envs in _NUM_ENVS
        for replay_ratio in _REPLAY_RATIOS
        for peer in (FRANK, *options.peers)
        if num_envs == 1 or peer not in _ONE_ENVIRONMENT
    ]


def main(options: Options) -> None:
    """Measure what is missing, then print the tables."""
    wanted = [job for seed in range(options.seeds) for job in jobs(options, seed)]
    print(tables(rows_of(wanted, options.venvs, _PACKAGES, options.results), _LABELS))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
