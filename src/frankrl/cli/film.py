"""`frank film`: a film of an agent and its Q-values."""

from collections.abc import Sequence
from dataclasses import dataclass

import tyro

from frankrl.cli.output import print_result
from frankrl.cli.parsing import parse, say
from frankrl.core.figures import counted, figure


@dataclass(frozen=True)
class FilmOptions:
    """Options of `frank film`."""

    run: tyro.conf.Positional[str]
    """Run folder."""
    episodes: int = 1
    """Number of episodes to film. [episodes]"""
    seed: int = 0
    """Decides the reset seeds of the episodes; training never uses them."""
    best: bool = False
    """Use the agent with the best evaluation during training instead of the newest."""
    env: str = ""
    """Name of the run's environment, to import its module although somebody else wrote the run."""
    allow_code: bool = False
    """Import whatever module the run names, although somebody else wrote the run."""
    out: str = ""
    """File to write, .mp4 or .gif; empty: a file in the run's `videos` folder."""
    log: bool = False
    """Give the film to the run's trackers as well (`--log` of `frank train`)."""
    saliency: bool = False
    """Show which pixels the Q-network's value depends on, |∂ max Q / ∂ pixel|, over the newest of
    the pictures that it sees."""


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    description = "Film greedy episodes, with the Q-value of every action next to the picture."
    options = parse(FilmOptions, arguments, "film", description)

    from frankrl.video.run_film import film

    made = film(
        options.run,
        out=options.out or None,
        episodes=options.episodes,
        seed=options.seed,
        best=options.best,
        saliency=options.saliency,
        log=options.log,
        env=options.env,
        allow_code=options.allow_code,
    )
    for number, episode in enumerate(made.episodes, start=1):
        say(
            f"episode {number}: return {figure(episode.episode_return)} in "
            f"{counted(episode.length, 'step')} (reset seed {episode.seed})"
        )
    print_result(str(made.path))
    return 0
