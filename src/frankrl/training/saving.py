"""From a training state to a checkpoint's arrays, and back."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from frankrl.config import LearningSettings
from frankrl.environments import EnvironmentLog
from frankrl.errors import RunFolderError
from frankrl.learning import LearnerState
from frankrl.networks import pack
from frankrl.records import ACTION_DTYPE
from frankrl.runs.checkpoint import Tensors
from frankrl.training.state import TrainState


def files_of(settings: LearningSettings) -> tuple[str, ...]:
    """The files of a checkpoint."""
    files = ("q_network", "target_network", "optimiser", "replay", "collection")
    return files if settings.average_updates is None else (*files, _AVERAGE)


def playing_file(settings: LearningSettings) -> str:
    """The file of the network that plays greedily."""
    return "q_network" if settings.average_updates is None else _AVERAGE


_AVERAGE = "average_network"
BEST_FILE = "best_network"
"""The agent of the best look so far; there once there has been one."""


def to_tensors(
    state: TrainState, logs: list[EnvironmentLog], interval: np.ndarray
) -> dict[str, Tensors]:
    """All arrays of a run between two rounds, by file and name.

    Args:
        state: the training state.
        logs: where each environment stands.
        interval: statistics of the updates since the last row of metrics.
    """
    learner = state.learner
    online = learner.online
    average = {}
    if learner.average is not None:
        average[_AVERAGE] = named(online.with_weights(learner.average).network())
    return average | {
        "q_network": named(online.network()),
        "target_network": named(learner.target.network()),
        "optimiser": named((learner.opt_state, learner.num_updates)),
        "replay": named(state.replay),
        "collection": {
            **{f"window{name}": array for name, array in named(state.window).items()},
            "acting": np.asarray(state.acting),
            "interval": interval,
            "env_episode": np.array([log.episode for log in logs], np.int64),
            "env_num_actions": np.array([len(log.actions) for log in logs], np.int64),
            "env_actions": np.concatenate([log.actions for log in logs]),
            "env_digest": np.frombuffer(b"".join(log.digest for log in logs), np.uint8),
        },
    }


def from_tensors(
    tensors: Mapping[str, Tensors], like: TrainState, env_steps: int, updates: int
) -> tuple[TrainState, list[EnvironmentLog], np.ndarray]:
    """The reverse of `to_tensors`.

    Args:
        tensors: the arrays of every file of a checkpoint.
        like: a state of the same settings, for the structure.
        env_steps: transitions collected so far.
        updates: updates done so far.

    Raises:
        RunFolderError: the arrays do not fit the settings.
    """
    collection = tensors["collection"]
    learner = like.learner
    online, target = (
        pack(on_device(filled(network.network(), tensors[file])))
        for network, file in ((learner.online, "q_network"), (learner.target, "target_network"))
    )
    average = None
    if learner.average is not None:
        average = pack(on_device(filled(learner.online.network(), tensors[_AVERAGE]))).weights
    opt_state, num_updates = on_device(
        filled((learner.opt_state, learner.num_updates), tensors["optimiser"])
    )
    restored = LearnerState(
        online=online,
        target=target,
        average=average,
        opt_state=opt_state,
        num_updates=num_updates,
    )
    state = TrainState(
        learner=restored,
        replay=on_device(filled(like.replay, tensors["replay"])),
        window=filled(
            like.window, {n[6:]: array for n, array in collection.items() if n.startswith("window")}
        ),
        acting=jnp.array(collection["acting"]),
        newest=jnp.copy(online.weights),
        playing=jnp.copy(restored.playing),
        env_steps=env_steps,
        updates=updates,
    )
    ends = np.cumsum(collection["env_num_actions"])
    actions = np.split(collection["env_actions"].astype(ACTION_DTYPE), ends[:-1])
    digests = collection["env_digest"].reshape(len(ends), -1)
    logs = [
        EnvironmentLog(int(episode), taken, digest.tobytes())
        for episode, taken, digest in zip(collection["env_episode"], actions, digests, strict=True)
    ]
    return state, logs, collection["interval"]


def on_device(tree: Any) -> Any:
    """The record with its leaves copied to the device that learns."""
    return jax.tree.map(jnp.array, tree)


def named(tree: PyTree) -> dict[str, np.ndarray]:
    """The leaves of a record by their path in it."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def filled(like: Any, arrays: Tensors) -> Any:
    """A record of the same structure with NumPy leaves taken by name.

    Raises:
        RunFolderError: a leaf is missing or of another shape or type.
    """
    paths, structure = jax.tree_util.tree_flatten_with_path(like)
    leaves = []
    for path, leaf in paths:
        name = jax.tree_util.keystr(path)
        found = arrays.get(name)
        if found is None or found.shape != leaf.shape or found.dtype != leaf.dtype:
            what = "nothing" if found is None else f"{found.dtype}{list(found.shape)}"
            raise RunFolderError(
                f"the checkpoint does not fit the run's settings: {name} should be "
                f"{leaf.dtype}{list(leaf.shape)}, found {what}"
            )
        leaves.append(found)
    return jax.tree.unflatten(structure, leaves)
