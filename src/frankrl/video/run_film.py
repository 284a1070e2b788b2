"""A film of an agent, or of the agent of a run."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frankrl.agent import Agent
from frankrl.config import check_code_names
from frankrl.core.errors import SettingError, check_type
from frankrl.core.figures import counted, figure
from frankrl.core.paths import given_path
from frankrl.core.random import check_seed
from frankrl.core.wording import option
from frankrl.display.progress_bar import progress_bar
from frankrl.explaining.saliency import SaliencyMaps, saliency_maps
from frankrl.inline.media import media
from frankrl.opening import agent_of, open_network, open_run
from frankrl.runs import RunFolder
from frankrl.trackers import check_film_trackers, log_film
from frankrl.training.result import TrainingResult
from frankrl.video.film import FilmedEpisode, write_film


@dataclass(frozen=True, repr=False)
class Film:
    """A film that was written; a notebook shows it."""

    path: Path
    episodes: list[FilmedEpisode]

    def __repr__(self) -> str:
        returns = ", ".join(figure(episode.episode_return) for episode in self.episodes)
        return f"Film of {counted(len(self.episodes), 'episode')}, return {returns}: {self.path}"

    def _repr_html_(self) -> str:
        return media(self.path)


def film(
    agent: Agent | TrainingResult | str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    episodes: int = 1,
    seed: int = 0,
    best: bool = False,
    saliency: bool = False,
    log: bool = False,
    env: Any = None,
    allow_code: bool = False,
    progress: bool = True,
    **code: Any,
) -> Film:
    """Film greedy episodes, with the Q-value of every action next to the picture.

    Args:
        agent: an agent, from `load`; or a run, by its folder or its result.
        out: the file, .mp4 or .gif; None: a file in the run's folder `videos`.
        episodes: number of episodes.
        seed: decides the reset seeds of the episodes; training never uses them.
        best: of a run, film the agent with the best evaluation during training.
        saliency: of a run, show which pixels the Q-network's value depends on.
        log: of a run, give the film to its trackers as well.
        env: as for `resume`.
        allow_code: as for `resume`.
        progress: as for `train`.
        **code: objects that the run was made from, by the names of their settings.

    Raises:
        FrankError: an argument is not allowed, the environment renders no pictures or fails, or the
            film cannot be written.
    """
    whole = isinstance(episodes, int) and not isinstance(episodes, bool)
    if not whole or episodes < 1:
        raise SettingError(f"episodes must be at least 1, got {episodes!r}")
    check_seed(seed)
    flags = {"best": best, "saliency": saliency, "log": log, "progress": progress}
    for name, value in flags.items():
        check_type(value, name, bool, "True or False")
    # Before foreign code runs, which may change the working directory.
    chosen = None if out is None else given_path(out, option("out"))
    maps = None
    if not isinstance(agent, Agent):
        check_code_names(code)
        folder = open_run(agent, env, allow_code, code)
        agent, maps = _agent_of_run(folder, best=best, saliency=saliency)
    elif best or saliency:
        raise SettingError("best and saliency need a run: give its folder instead of an agent")
    agent = agent.allowed(env, allow_code, **code)
    tracked = _run_with_trackers(agent) if log else None
    path = chosen or _default_path(agent, seed)
    with progress_bar("filming", "episodes", progress=progress) as show:
        filmed = write_film(
            agent.evaluation_spec,
            agent.batch_q_values,
            path,
            episodes=episodes,
            seed=seed,
            caption=_caption(agent),
            saliency=maps,
            output_name=agent.output_name,
            on_episode=show,
        )
    if tracked is not None:
        log_film(tracked, agent.env_steps or 0, path)
    return Film(path, filmed)


def _run_with_trackers(agent: Agent) -> RunFolder:
    if agent.run is None:
        raise SettingError("this agent is of no run, so it has no trackers: leave log out")
    check_film_trackers(agent.run)
    return agent.run


def _agent_of_run(
    folder: RunFolder, *, best: bool, saliency: bool
) -> tuple[Agent, SaliencyMaps | None]:
    opened = open_network(folder, best=best)
    agent = agent_of(folder, opened)
    if not saliency:
        return agent, None
    return agent, saliency_maps(opened.experiment.network, opened.params, agent.spec, opened.scales)


def _default_path(agent: Agent, seed: int) -> Path:
    if agent.run is None or agent.env_steps is None:
        raise SettingError("this agent is of no run: give out, the file to write")
    return agent.run.videos / f"{agent.env_steps:012d}-s{seed}.mp4"


def _caption(agent: Agent) -> str:
    if agent.env_steps is None:
        return agent.spec.env_id
    return f"{agent.spec.env_id} after {agent.trained_for()}"
