"""Diagnostics of a run's newest checkpoint: dead units, and episodes in the replay buffer."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int

from frankrl.core.types import Observation, Params
from frankrl.dashboard.warnings import Diagnostics, checkpoint_warnings
from frankrl.networks import FeedForwardNetwork
from frankrl.opening import drawable_transitions, open_network, open_states
from frankrl.runs.folder import RunFolder
from frankrl.runs.metrics import MetricsReader
from frankrl.runs.takers import StepTakers

_STATES = 2_048
"""Number of states that the network is tried on."""


def diagnose(folder: RunFolder) -> dict[str, Any]:
    """Diagnose the newest checkpoint.

    Where the network remembers what was before a state, dead units are not counted.

    Raises:
        FrankError: there is no usable checkpoint.
    """
    opened = open_network(folder)
    experiment, params, info, _ = opened
    env_steps = int(info["env_steps"])
    network = experiment.network
    dead, widths, num_states = (), (), 0
    if isinstance(network, FeedForwardNetwork):
        states = open_states(folder, opened, _STATES)
        dead, widths = dead_units(network, params, states)
        num_states = len(jax.tree.leaves(states)[0])
    transitions, sizes = np.arange(*drawable_transitions(opened)), np.zeros(0)
    if not experiment.settings.is_offline:
        # The episodes of a data set are not those of the run's metrics.
        sizes = episode_sizes(folder, transitions)
    diagnostics = Diagnostics(
        env_steps=env_steps,
        dead_units=dead,
        widths=widths,
        states=num_states,
        transitions=len(transitions),
        largest_episode=int(sizes.max(initial=0)),
        episodes=len(sizes),
    )
    return diagnostics._asdict() | {
        "remembers": network.memory_units > 0,
        "warnings": [warning.plain() for warning in checkpoint_warnings(diagnostics)],
    }


def dead_units(
    network: FeedForwardNetwork, params: Params, states: Observation
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Number of dead units in each hidden layer, and the widths of the layers.

    A unit is dead if it outputs 0 for every state. Only relu has such units; other networks, and
    those of the user's own, give empty tuples.
    """
    is_empty = not len(jax.tree.leaves(states)[0])
    outputs = [] if is_empty else network.relu_outputs(params, states)
    dead = tuple(int((~output.any(axis=0)).sum()) for output in outputs)
    return dead, tuple(output.shape[1] for output in outputs)


def episode_sizes(
    folder: RunFolder, first_env_steps: Int[np.ndarray, " transition"]
) -> Float[np.ndarray, " episode"]:
    """Number of transitions in the replay buffer from each episode that has any."""
    reader = MetricsReader(folder.metrics)
    try:
        ended = reader.columns("episodes")
        takers = StepTakers.of(folder.description.settings, reader)
    finally:
        reader.close()
    # An episode's row names the env step after its last transition.
    _, last_steps = takers.of_steps(ended["env_steps"].astype(np.int64) - 1)
    env_index, own_step = takers.of_steps(first_env_steps)
    sizes = []
    for index in range(takers.num_envs):
        last = last_steps[ended["env_index"] == index]
        episodes = np.searchsorted(last, own_step[env_index == index])
        sizes.append(np.unique(episodes, return_counts=True)[1])
    return np.concatenate(sizes).astype(np.float64)
