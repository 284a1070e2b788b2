"""Opens runs: their folders, and the agents, Q-networks and states of their checkpoints."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from frankrl.agent import Agent, Trained
from frankrl.core.errors import SettingError
from frankrl.core.numerics import own_numerics
from frankrl.core.text import given
from frankrl.core.types import Observation
from frankrl.core.wording import option
from frankrl.display.progress_bar import progress_bar
from frankrl.environments import given_again
from frankrl.experience import NormalisedQValues, make_policy, mean_epsilon
from frankrl.runs import RunFolder, load_checkpoint, permission_of
from frankrl.training.checkpoint_metadata import count_in, replay_start_in
from frankrl.training.opened import OpenedNetwork
from frankrl.training.opened import open_network as open_network
from frankrl.training.replay_codec import REPLAY, most_replay_bytes
from frankrl.training.result import TrainingResult
from frankrl.training.stored_states import some_states

if TYPE_CHECKING:
    from frankrl.explaining import Origin, Reopened, TransitionInData
    from frankrl.explaining.cost import Cost


def path_of(run: Agent | TrainingResult | str | os.PathLike[str]) -> str | os.PathLike[str]:
    """The folder of a run that is given by its folder, its result or its agent.

    Raises:
        SettingError: an agent is of no run.
    """
    if isinstance(run, TrainingResult):
        return run.run
    if not isinstance(run, Agent):
        return run
    if run.run is None:
        raise SettingError(f"{run!r} is of no run: give a run folder")
    return run.run.path


def open_run(
    run: Agent | TrainingResult | str | os.PathLike[str],
    env: Any,
    allow_code: bool,
    code: Mapping[str, Any],
) -> RunFolder:
    """A run's folder, with what the user allows it to name and the objects that it was made from.

    An agent brings those with which it was loaded.

    Args:
        run: the run folder.
        env: as for `frankrl.resume`.
        allow_code: as for `frankrl.resume`.
        code: values of settings, among them code.

    Raises:
        FrankError: there is no run, or an argument is not allowed.
    """
    name, again = given_again(env)
    folder = RunFolder.open(path_of(run), permission_of(name, allow_code, code))
    if isinstance(run, Agent) and run.run is not None:
        folder = folder.opened_like(run.run)
    return folder.with_objects(again, code)


@own_numerics()
def open_agent(folder: RunFolder, *, best: bool = False) -> tuple[Agent, dict[str, Any]]:
    """The agent of a run, and the metadata of its checkpoint.

    Raises:
        RunFolderError: there is no usable checkpoint.
    """
    opened = open_network(folder, best=best)
    return agent_of(folder, opened), opened.info


@own_numerics()
def agent_of(folder: RunFolder, opened: OpenedNetwork) -> Agent:
    """The agent of a run that acts by the Q-network of one of its checkpoints."""
    (experiment, params, info, scales) = opened
    settings, network = experiment.settings, experiment.network
    policy = make_policy(settings.training.acting, network)
    policy.load(network.layout.flatten(params))
    env_steps = count_in(info, "env_steps")
    # An agent of a run that does not act plays greedily.
    epsilon = mean_epsilon(settings, env_steps) or 0.0
    q_values = NormalisedQValues(policy, scales)
    trained = Trained(policy, env_steps, scales, settings.clock)
    return Agent(experiment.spec, q_values, epsilon, folder, trained)


def check_transition(folder: RunFolder, transition: Any, sequence: Any) -> None:
    """Check the position of a transition in the batches of a run.

    Args:
        folder: the run's folder.
        transition: the position; in a run with memory that of a learned step in its sequence.
        sequence: in a run with memory the position of that sequence; None: the first one.

    Raises:
        SettingError: there is no such position.
    """
    settings = folder.description.settings
    sizes = {"transition": (transition, settings.update_batch_size)}
    if settings.sequences is not None:
        sizes = {
            "sequence": (0 if sequence is None else sequence, settings.update_batch_size),
            "transition": (transition, settings.sequences.learned_steps),
        }
    elif sequence is not None:
        raise SettingError(
            f"{option('sequence')} chooses a sequence in the batch of a run with memory, and this "
            f"run learns from transitions: leave it out"
        )
    for name, (position, size) in sizes.items():
        if not isinstance(position, int) or not 0 <= position < size:
            raise SettingError(
                f"{option(name)} must be from 0 to {size - 1}, got {given(position)}"
            )


def open_update(
    folder: RunFolder, update: int, *, cost: "Cost | None" = None, progress: bool = True
) -> "tuple[Reopened, list[Origin | TransitionInData]]":
    """One update of a run, recomputed, and where the transitions of its batch come from.

    Args:
        folder: the run's folder.
        update: number of the update, from 1.
        cost: as for `reopen`.
        progress: show a progress bar.

    Raises:
        FrankError: there is no such update, or it cannot be recomputed exactly.
    """
    from frankrl.explaining import batch_origins, reopen

    settings = folder.description.settings
    with progress_bar("repeating", settings.clock, progress=progress) as show:
        reopened = reopen(folder, update, show, cost=cost)
    return reopened, batch_origins(folder, reopened)


def drawable_transitions(opened: OpenedNetwork) -> tuple[int, int]:
    """The transitions in the replay buffer at the checkpoint of a Q-network.

    Args:
        opened: the network, from `open_network`.

    Returns:
        The env step at which the oldest begins, and the one after that of the newest; with PQN
        there are none.
    """
    if not opened.experiment.settings.has_replay:
        return 0, 0
    experiment = opened.experiment.with_replay_start(replay_start_in(opened.info))
    env_steps = experiment.stored_steps(count_in(opened.info, "env_steps"))
    return experiment.replay.drawable(env_steps)


def open_states(folder: RunFolder, opened: OpenedNetwork, most: int) -> Observation:
    """Some states in the replay buffer at the checkpoint of a Q-network, as NumPy arrays, in the
    form in which the network gets them.

    There are none if the checkpoint does not hold the buffer, or the run has none.

    Args:
        folder: the run's folder.
        opened: the network, from `open_network`.
        most: number of states, at most.

    Raises:
        RunFolderError: the checkpoint is damaged, or gone.
    """
    spec = opened.experiment.spec
    if not opened.experiment.settings.has_replay:
        return spec.observation(np.zeros((0, *spec.row_shape), spec.row_dtype))
    experiment = opened.experiment.with_replay_start(replay_start_in(opened.info))
    largest = {REPLAY: most_replay_bytes(experiment)}
    checkpoint = folder.checkpoints / f"{count_in(opened.info, 'env_steps'):012d}"
    loaded = load_checkpoint(checkpoint, largest, optional=(REPLAY,))
    states = some_states(loaded, experiment, most)
    return states if opened.scales is None else opened.scales.of_observation(states)
