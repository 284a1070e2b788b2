"""`frank film`: a film of an agent and its Q-values."""

from collections.abc import Sequence
from dataclasses import dataclass

import tyro

from frankrl.cli.output import print_result
from frankrl.cli.parsing import parse, say
from frankrl.cli.progress_bar import progress_bar
from frankrl.core.errors import SettingError
from frankrl.core.figures import counted, figure
from frankrl.core.paths import given_path


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
    if options.episodes < 1:
        raise SettingError(f"episodes must be at least 1, got {options.episodes}")

    from frankrl.api import agent_of, open_network
    from frankrl.core.random import check_seed
    from frankrl.explaining.saliency import saliency_maps
    from frankrl.runs import Permission, RunFolder, check_code
    from frankrl.trackers import check_film_trackers, log_film
    from frankrl.video.film import film

    check_seed(options.seed)
    folder = RunFolder.open(options.run, Permission(options.env, options.allow_code))
    # Before foreign code runs, which may change the working directory.
    chosen = given_path(options.out, "--out") if options.out else None
    opened = open_network(folder, best=options.best)
    agent, (experiment, params, info, scales) = agent_of(folder, opened), opened
    saliency = None
    if options.saliency:
        saliency = saliency_maps(experiment.network, params, agent.spec, scales)
    check_code(folder)
    if options.log:
        check_film_trackers(folder)
    steps = info["env_steps"]
    path = chosen or folder.videos / f"{steps:012d}-s{options.seed}.mp4"
    with progress_bar("filming", "episodes") as show:
        filmed = film(
            agent.evaluation_spec,
            agent.batch_q_values,
            path,
            episodes=options.episodes,
            seed=options.seed,
            caption=f"{agent.spec.env_id} after {counted(steps, 'env step')}",
            saliency=saliency,
            on_episode=show,
        )
    for number, episode in enumerate(filmed, start=1):
        say(
            f"episode {number}: return {figure(episode.episode_return)} in "
            f"{counted(episode.length, 'step')} (reset seed {episode.seed})"
        )
    if options.log:
        log_film(folder, steps, path)
    print_result(str(path))
    return 0
