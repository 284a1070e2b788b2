"""`frank film`: see what the agent of a run does, and what it thinks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from frankrl.cli.parsing import parse, say
from frankrl.core.errors import SettingError


@dataclass(frozen=True)
class FilmOptions:
    """Everything that `frank film` can be told."""

    run: tyro.conf.Positional[str]
    """Run folder."""
    episodes: int = 1
    """Episodes to film, one after the other. [episodes]"""
    seed: int = 0
    """Decides the episodes; none of them is ever used in training."""
    best: bool = False
    """The agent whose evaluation while training was the best, instead of the newest."""
    out: str = ""
    """Where to write, .mp4 or .gif; empty: into the run's folder of videos."""


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    description = "Film greedy episodes with the Q-value of every action drawn beside them."
    options = parse(FilmOptions, arguments, "film", description)
    if options.episodes < 1:
        raise SettingError(f"episodes must be at least 1, got {options.episodes}")

    from frankrl.api import open_agent
    from frankrl.core.random import check_seed
    from frankrl.runs import RunFolder
    from frankrl.video.film import film

    check_seed(options.seed)
    folder = RunFolder.open(options.run)
    agent, info = open_agent(folder, best=options.best)
    steps = info["env_steps"]
    path = Path(options.out or folder.videos / f"{steps:012d}-s{options.seed}.mp4")
    filmed = film(
        agent.spec,
        agent.batch_q_values,
        path,
        episodes=options.episodes,
        seed=options.seed,
        caption=f"{agent.spec.env_id} after {steps:,} env steps",
    )
    for number, episode in enumerate(filmed, start=1):
        say(
            f"episode {number}: return {episode.episode_return:.1f} in {episode.length:,} steps "
            f"(reset seed {episode.seed})"
        )
    print(path)
    return 0
