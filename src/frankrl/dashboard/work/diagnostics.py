"""Diagnostics of a run's newest checkpoint: dead units, and episodes in the replay buffer."""

import dataclasses
import math
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped, UInt32

from frankrl.api import open_agent
from frankrl.dashboard.warnings import Diagnostics, checkpoint_warnings
from frankrl.environments import EnvironmentSpec
from frankrl.networks import ExpectedHead, Linear, MaskedQNetwork, MLPQNetwork, QNetwork
from frankrl.replay import bytes_per_transition
from frankrl.runs.checkpoint import load_checkpoint
from frankrl.runs.folder import RunFolder
from frankrl.runs.metrics import MetricsReader

_STATES = 2_048
"""Number of states that the network is tried on."""
_STATE, _ENV_STEP = ".quadruples.observation", ".begun"
_REPLAY = "replay"


def diagnose(folder: RunFolder) -> dict[str, Any]:
    """Diagnose the newest checkpoint.

    Raises:
        FrankError: there is no usable checkpoint.
    """
    agent, info = open_agent(folder)
    env_steps = int(info["env_steps"])
    states, first_env_steps = _buffer(folder, agent.spec, env_steps)
    dead, widths = dead_units(agent.network, states)
    sizes = episode_sizes(folder, first_env_steps)
    diagnostics = Diagnostics(
        env_steps=env_steps,
        dead_units=dead,
        widths=widths,
        states=len(states),
        transitions=len(first_env_steps),
        largest_episode=int(sizes.max(initial=0)),
        episodes=len(sizes),
    )
    return diagnostics._asdict() | {
        "warnings": [warning.plain() for warning in checkpoint_warnings(diagnostics)]
    }


def _buffer(
    folder: RunFolder, spec: EnvironmentSpec, env_steps: int
) -> tuple[Shaped[np.ndarray, "state *obs"], UInt32[np.ndarray, " row"]]:
    """Some states of the replay buffer, and the env step at which each transition begins."""
    capacity = folder.description.settings.replay.replay_capacity
    row = bytes_per_transition(spec.observation_shape, spec.observation_dtype)
    checkpoint = folder.checkpoints / f"{env_steps:012d}"
    # A row may have further, smaller fields besides the transition.
    most = min(capacity, env_steps) * row * 2 + 1024
    arrays = load_checkpoint(checkpoint, {_REPLAY: most}).tensors[_REPLAY]
    first_env_steps = arrays.get(_ENV_STEP, np.zeros(0, np.uint32))
    observations = arrays.get(_STATE, np.zeros((0, *spec.observation_shape), np.float32))
    every = max(1, math.ceil(len(observations) / _STATES))
    return observations[::every], first_env_steps


def dead_units(
    network: QNetwork, states: Shaped[np.ndarray, "state *obs"]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Number of dead units in each hidden layer, and the widths of the layers.

    A unit is dead if it outputs 0 for every state. Only relu has such units; other networks
    give empty tuples.
    """
    if isinstance(network, MaskedQNetwork):
        states = states[:, : math.prod(network.state_shape)]
        network = network.inner
    if not isinstance(network, MLPQNetwork) or network.activation != "relu" or not len(states):
        return (), ()
    if network.embedding is not None:
        return (), ()
    outputs = [_cut_after(network, layer)(states) for layer in range(len(network.layers) - 1)]
    dead = tuple(int((~output.any(axis=0)).sum()) for output in outputs)
    return dead, tuple(output.shape[1] for output in outputs)


def _cut_after(network: MLPQNetwork, layer: int) -> MLPQNetwork:
    """A network whose output is that of one hidden layer."""
    width = network.layers[layer].bias.shape[0]
    passed_on = Linear(np.eye(width, dtype=np.float32), np.zeros(width, np.float32))
    return dataclasses.replace(
        network,
        layers=(*network.layers[: layer + 1], passed_on),
        dueling=False,
        read_by=ExpectedHead(),
    )


def episode_sizes(
    folder: RunFolder, first_env_steps: UInt32[np.ndarray, " row"]
) -> Float[np.ndarray, " episode"]:
    """Number of transitions in the replay buffer from each episode that has any."""
    reader = MetricsReader(folder.metrics)
    try:
        ended = reader.columns("episodes")
    finally:
        reader.close()
    num_envs = folder.description.settings.environment.num_envs
    env_index, vector_step = (
        first_env_steps % num_envs,
        first_env_steps.astype(np.int64) // num_envs,
    )
    sizes = []
    for index in range(num_envs):
        own = ended["env_index"] == index if len(ended["env_index"]) else np.zeros(0, bool)
        # An episode's row names the env step after its last transition.
        last = (ended["env_steps"][own] - 1).astype(np.int64) // num_envs
        episodes = np.searchsorted(last, vector_step[env_index == index])
        sizes.append(np.unique(episodes, return_counts=True)[1])
    return np.concatenate(sizes).astype(np.float64)
