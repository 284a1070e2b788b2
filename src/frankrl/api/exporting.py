"""`frankrl.export` and `frankrl.export_dataset`: an agent and its episodes for other programs."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frankrl.agent import Agent
from frankrl.api.arguments import check_switches
from frankrl.api.evaluating import evaluation_of
from frankrl.api.loading import load
from frankrl.config import check_code_names
from frankrl.core.errors import SettingError
from frankrl.core.paths import given_path
from frankrl.core.wording import option
from frankrl.display.progress_bar import progress_bar
from frankrl.opening import agent_of, open_run
from frankrl.training.opened import open_network
from frankrl.training.result import TrainingResult

if TYPE_CHECKING:
    from frankrl.datasets import DataSet


def export(
    agent: Agent | TrainingResult | str | os.PathLike[str],
    *,
    onnx: str | os.PathLike[str] | None = None,
    safetensors: str | os.PathLike[str] | None = None,
    best: bool = False,
    overwrite: bool = False,
    allow_code: bool = False,
    **code: Any,
) -> list[Path]:
    """Write an agent to files that other programs read. It needs no environment.

    Args:
        agent: an agent, from `load`; or a run, by its folder or its result.
        onnx: a file `….onnx` with a graph from observations to Q-values and actions; needs
            `frankrl[onnx]`.
        safetensors: a file `….safetensors` with the network's parameters by name.
        best: of a run, the agent that `load` returns with `best=True`.
        overwrite: replace existing files.
        allow_code: of a run, as for `load`.
        **code: of a run, `network` or `torso` as for `load`.

    Returns:
        The files that were written.

    Raises:
        FrankError: a file cannot be written, or the agent has a network that cannot be exported.
    """
    from frankrl.exporting import TrainedNetwork, check_files, export_network

    check_switches(best=best, overwrite=overwrite)
    given = {"onnx": onnx, "safetensors": safetensors}
    files = {
        name: given_path(file, option(name)) for name, file in given.items() if file is not None
    }
    if not isinstance(agent, Agent):
        agent = load(agent, best=best, allow_code=allow_code, **code)
    elif best or allow_code or code:
        raise SettingError(
            "best, allow_code and objects are for the folder of a run: pass that, not an agent"
        )
    if agent.trained is None or agent.run is None:
        raise SettingError("the agent was not trained by Frank: pass one that frankrl.load returns")
    check_files(files, agent.run.path, overwrite=overwrite)
    trained, policy = agent.trained, agent.trained.policy
    written = TrainedNetwork(
        policy.network, policy.params, trained.scales, agent.spec, agent.run, trained.env_steps
    )
    export_network(written, files)
    return list(files.values())


def export_dataset(
    run: Agent | TrainingResult | str | os.PathLike[str],
    name: str,
    *,
    out: str | os.PathLike[str] | None = None,
    evaluation_episodes: int | None = None,
    evaluation_env_steps: int | None = None,
    epsilon: float = 0.0,
    seed: int = 0,
    best: bool = False,
    author: str = "",
    env: Any = None,
    allow_code: bool = False,
    progress: bool = True,
    **code: Any,
) -> "DataSet":
    """Write episodes of a run as a Minari data set; needs `frankrl[minari]`.

    They are the whole episodes in the replay buffer of its newest checkpoint, or fresh ones that
    its agent plays in the environment of its training. Rewards are the environment's own.

    Args:
        run: the run, by its folder, its result or its agent.
        name: the data set's name, such as lander/medium-v0.
        out: a folder of data sets, in which it gets the folder of its name; None: Minari's own,
            `MINARI_DATASETS_PATH` or `~/.minari/datasets`.
        evaluation_episodes: play so many fresh episodes. [episodes]
        evaluation_env_steps: play fresh episodes until they have so many steps together; the last
            one is whole, too. [env steps]
        epsilon: probability of a random action in fresh episodes: 0 greedy, 1 all at random.
        seed: decides the reset seeds of fresh episodes and their random actions. Evaluations never
            use these reset seeds.
        best: fresh episodes of the agent with the best evaluation instead of the newest.
        author: who made the data set.
        env: as for `resume`.
        allow_code: as for `resume`.
        progress: as for `train`.
        **code: objects that the run was made from, by the names of their settings.

    Returns:
        The data set, read from its files and checked.

    Raises:
        FrankError: an argument is not allowed, the data set exists already or cannot be written,
            there are no whole episodes, or the environment cannot be made or fails.
    """
    from frankrl.datasets import open_dataset
    from frankrl.exporting.to_dataset import DataSetOptions, write_episodes

    check_switches(progress=progress)
    check_code_names(code)
    options = DataSetOptions(
        name=name,
        out=None if out is None else given_path(out, option("out")),
        evaluation_episodes=evaluation_episodes,
        evaluation_env_steps=evaluation_env_steps,
        epsilon=epsilon,
        seed=seed,
        best=best,
        author=author,
    )
    options.check()
    folder = open_run(run, env, allow_code, code)
    opened = open_network(folder, best=best)
    agent = agent_of(folder, opened)
    if options.is_fresh:
        agent = agent.allowed(env, allow_code, **code)
    settings = evaluation_of(agent, None, None)
    unit = "env steps" if evaluation_episodes is None else "episodes"
    with progress_bar("writing", unit, progress=progress) as show:
        written = write_episodes(folder, opened, agent, settings, options, show)
    return open_dataset(written)
