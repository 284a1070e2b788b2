"""`frankrl.evaluate` and `frankrl.estimate`: what an agent is worth, by playing and from data."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from frankrl.agent import Agent
from frankrl.api.arguments import check_count, check_switches
from frankrl.config import MAX_EPISODES, EvaluationSettings, check_code_names
from frankrl.core.errors import SettingError
from frankrl.core.random import Use, check_seed
from frankrl.core.wording import option
from frankrl.display.progress_bar import progress_bar
from frankrl.environments import exists_already
from frankrl.opening import open_agent, open_run
from frankrl.runs.group import RunGroup
from frankrl.seeds.evaluation import SeedsEvaluation, evaluate_group
from frankrl.seeds.from_python import group_path, names_group
from frankrl.seeds.result import SeedsResult
from frankrl.training.estimate import (
    ESTIMATE_UPDATES,
    MAX_ESTIMATE_UPDATES,
    Estimate,
    fitted_q_evaluation,
)
from frankrl.training.evaluation import Evaluation
from frankrl.training.evaluator import Evaluator
from frankrl.training.opened import open_network
from frankrl.training.result import TrainingResult

if TYPE_CHECKING:
    from frankrl.datasets import DataSet


@overload
def evaluate(agent: SeedsResult, **how: Any) -> SeedsEvaluation: ...
@overload
def evaluate(agent: Agent | TrainingResult, **how: Any) -> Evaluation: ...
@overload
def evaluate(agent: str | os.PathLike[str], **how: Any) -> Any: ...
def evaluate(
    agent: Agent | TrainingResult | SeedsResult | str | os.PathLike[str],
    *,
    episodes: int = 100,
    seed: int = 0,
    best: bool = False,
    evaluation_envs: int | None = None,
    evaluation_max_episode_steps: int | None = None,
    env: Any = None,
    allow_code: bool = False,
    progress: bool = True,
    on_episode: Callable[[int, int], None] = lambda done, of: None,
    **code: Any,
) -> Evaluation | SeedsEvaluation:
    """Play greedy episodes in new environments, with seeds that training never uses.

    They are made with the run's `evaluation_env_kwargs` and `evaluation_wrappers`, if it has any.

    Args:
        agent: an agent, from `load`; or a run, by its folder or its result; or the folder or the
            result of a training with `seeds`, whose agents are evaluated one after the other.
        episodes: number of episodes.
        seed: decides the reset seeds of the episodes.
        best: of a run, evaluate the agent that `load` returns with `best=True`.
        evaluation_envs: most environments that are made; the result does not depend on it. None:
            as the run's own evaluations.
        evaluation_max_episode_steps: an episode is ended after so many steps; None: as in the run's
            own evaluations. [env steps]
        env: as for `resume`.
        allow_code: as for `resume`.
        progress: as for `train`.
        on_episode: called as episodes end, with their number and the number of episodes.
        **code: objects that the run was made from, by the names of their settings.

    Raises:
        FrankError: an argument is not allowed, or the environment cannot be made or fails.
    """
    check_count(option("episodes"), episodes, MAX_EPISODES)
    check_seed(seed)
    check_switches(progress=progress, best=best)
    if isinstance(agent, SeedsResult) or names_group(agent):

        def of_run(run: Path) -> tuple[int, Evaluation]:
            one, info = open_agent(open_run(run, env, allow_code, code), best=best)
            evaluation = evaluate(
                one,
                episodes=episodes,
                seed=seed,
                evaluation_envs=evaluation_envs,
                evaluation_max_episode_steps=evaluation_max_episode_steps,
                progress=progress,
                on_episode=on_episode,
            )
            return info["env_steps"], evaluation

        check_code_names(code)
        return evaluate_group(RunGroup.open(group_path(agent)), of_run)
    if not isinstance(agent, Agent):
        check_code_names(code)
        agent = open_agent(open_run(agent, env, allow_code, code), best=best)[0]
    elif best:
        raise SettingError("best chooses an agent of a run: give its folder instead of an agent")
    agent = agent.allowed(env, allow_code, **code)
    settings = evaluation_of(agent, evaluation_envs, evaluation_max_episode_steps)
    evaluator = Evaluator(agent.evaluation_spec, settings=settings)
    with progress_bar("evaluating", "episodes", progress=progress) as show:

        def shown(done: int, of: int) -> None:
            show(done, of)
            on_episode(done, of)

        try:
            return evaluator.evaluate(
                agent.batch_q_values, episodes, Use.EVALUATION_RESET, seed, on_episode=shown
            )
        finally:
            evaluator.close()


def estimate(
    run: Agent | TrainingResult | str | os.PathLike[str],
    dataset: "DataSet | str | os.PathLike[str]",
    *,
    updates: int = ESTIMATE_UPDATES,
    seed: int = 0,
    best: bool = False,
    env: Any = None,
    allow_code: bool = False,
    progress: bool = True,
    **code: Any,
) -> Estimate:
    """Estimate the discounted return of a run's greedy policy from a data set, by fitted Q
    evaluation; nothing is played and no environment is made.

    A network like the run's learns what the policy is worth in the states of the data. The result
    can be far off where the policy does what the data lack: compare policies with it, and play them
    where that is possible (`evaluate`).

    Args:
        run: the run, by its folder, its result or its agent.
        dataset: a data set of the same observations and actions, or its name or folder.
        updates: number of updates. [updates]
        seed: decides the network's initial parameters and its batches.
        best: the agent that `load` returns with `best=True`.
        env: as for `resume`.
        allow_code: as for `resume`.
        progress: as for `train`.
        **code: objects that the run was made from, by the names of their settings.

    Raises:
        FrankError: an argument is not allowed, the data set cannot be read or does not fit, the
            agent has a memory, or the Q-values grow without bound.
    """
    from frankrl.datasets import DataSet as Opened
    from frankrl.datasets import open_dataset

    check_count(option("updates"), updates, MAX_ESTIMATE_UPDATES)
    check_seed(seed)
    check_switches(progress=progress, best=best)
    check_code_names(code)
    data = dataset if isinstance(dataset, Opened) else open_dataset(dataset)
    opened = open_network(open_run(run, env, allow_code, code), best=best)
    with progress_bar("estimating", "updates", progress=progress) as show:
        return fitted_q_evaluation(
            opened.experiment,
            opened.params,
            opened.scales,
            data,
            updates=updates,
            seed=seed,
            on_update=show,
        )


def evaluation_of(
    agent: Agent, most_envs: int | None, most_steps: int | None
) -> EvaluationSettings:
    """How an agent is evaluated: as in its training where nothing else is asked for."""
    settings = EvaluationSettings()
    if agent.run is not None:
        settings = agent.run.description.settings.evaluation
    is_only_one = exists_already(agent.spec.env_id)
    if is_only_one or (most_envs is None and settings.evaluation_on != "own"):
        most_envs = 1
    changes = {"evaluation_envs": most_envs, "evaluation_max_episode_steps": most_steps}
    given = {name: value for name, value in changes.items() if value is not None}
    return replace(settings, **given)
