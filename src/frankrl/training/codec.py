"""From a training state to a checkpoint's arrays, and back."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from frankrl.config import LearningSettings, Settings
from frankrl.core.errors import DivergedError, RunFolderError
from frankrl.core.types import ACTION_DTYPE
from frankrl.environments import DIGEST_BYTES, EnvironmentLog
from frankrl.learning import LearnerState
from frankrl.networks import pack
from frankrl.replay import ReplayState, filled_part, first_slots, refilled
from frankrl.runs.checkpoint import Tensors
from frankrl.training.interval import MAX_ROUNDS, STATISTICS, Interval
from frankrl.training.round import updates_due
from frankrl.training.state import TrainState


def playing_file(settings: LearningSettings) -> str:
    """The file of the network that plays greedily."""
    return "q_network" if settings.polyak_window_updates is None else _AVERAGE


_AVERAGE = "average_network"
BEST_FILE = "best_network"
"""The agent of the best look so far; there once there has been one."""
_MOST = 2**53
"""Numbers of episodes that can be told apart everywhere."""


def most_bytes(settings: Settings, like: TrainState, env_steps: int) -> dict[str, int]:
    """What each file of a checkpoint can hold, for a run that has come so far at most. [bytes]

    Args:
        settings: the run's.
        like: a state with these settings.
        env_steps: the run's budget.
    """
    logs = [EnvironmentLog(0, np.zeros(0, ACTION_DTYPE), bytes(DIGEST_BYTES))]
    logs *= settings.environment.num_envs
    batch_size = settings.replay.batch_size
    files = to_tensors(like, logs, Interval.empty(batch_size))
    sizes = {
        name: sum(np.asarray(array).nbytes for array in arrays.values())
        for name, arrays in files.items()
    }
    sizes["replay"] = sum(x.nbytes for x in jax.tree.leaves(like.replay))
    # Longer with each step of an episode that goes on, and with each update between two rows.
    growing = env_steps * ACTION_DTYPE.itemsize
    figures = updates_due(settings, env_steps) * len(STATISTICS) + MAX_ROUNDS * batch_size
    growing += figures * np.dtype(np.float32).itemsize
    sizes["collection"] += growing
    return sizes | {BEST_FILE: sizes["q_network"]}


def to_tensors(
    state: TrainState, logs: list[EnvironmentLog], interval: Interval
) -> dict[str, Tensors]:
    """All arrays of a run between two rounds, by file and name.

    Args:
        state: the training state.
        logs: where each environment stands.
        interval: what updates have reported since the last row of metrics.
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
        "replay": named(filled_part(state.replay)),
        "collection": {
            **{f"window{name}": array for name, array in named(state.window).items()},
            "acting": np.asarray(state.acting),
            "statistics": interval.statistics,
            "td_errors": interval.td_errors,
            "env_episode": np.array([log.episode for log in logs], np.int64),
            "env_num_actions": np.array([len(log.actions) for log in logs], np.int64),
            "env_actions": np.concatenate([log.actions for log in logs]),
            "env_digest": np.frombuffer(b"".join(log.digest for log in logs), np.uint8),
        },
    }


def check_finite(tensors: Mapping[str, Tensors], env_steps: int) -> None:
    """Refuse to save what learning cannot go on from.

    Raises:
        DivergedError: a weight, or a number of the optimiser's, is not finite.
    """
    for file in ("q_network", "target_network", _AVERAGE, "optimiser"):
        for name, array in tensors.get(file, {}).items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise DivergedError(
                    f"training diverged by env step {env_steps:,}: {file} {name} is not finite, "
                    "so no checkpoint is written; try a lower learning_rate"
                )


def from_tensors(
    tensors: Mapping[str, Tensors],
    like: TrainState,
    env_steps: int,
    updates: int,
    batch_size: int,
) -> tuple[TrainState, list[EnvironmentLog], Interval]:
    """The reverse of `to_tensors`.

    Args:
        tensors: the arrays of every file of a checkpoint.
        like: a state of the same settings, for the structure.
        env_steps: transitions collected so far.
        updates: updates done so far.
        batch_size: quadruples of an update.

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
    window = {name[6:]: array for name, array in collection.items() if name.startswith("window")}
    state = TrainState(
        learner=restored,
        replay=_replay(tensors["replay"], like.replay),
        window=filled(like.window, window),
        acting=jnp.array(_column(collection, "acting", np.float32, like.acting.shape)),
        newest=jnp.copy(online.weights),
        playing=jnp.copy(restored.playing),
        env_steps=env_steps,
        updates=updates,
    )
    logs = _logs(collection, like.window.filled.shape[1])
    return state, logs, _interval(collection, batch_size)


def _replay(arrays: Tensors, like: ReplayState) -> ReplayState:
    """The buffer, of which a checkpoint holds the slots that have been written to."""
    added = _column(arrays, ".num_added", np.uint32, ())
    capacity = len(like.begun)
    size = min(int(added), capacity)
    part = filled(jax.eval_shape(lambda state: first_slots(state, size), like), arrays)
    for numbers in jax.tree.leaves(part.priorities):
        if not (np.isfinite(numbers) & (numbers >= 0)).all():
            raise RunFolderError("the checkpoint's priorities are not numbers of 0 or more")
    return refilled(part, capacity)


def _logs(collection: Tensors, num_envs: int) -> list[EnvironmentLog]:
    episode = _column(collection, "env_episode", np.int64, (num_envs,))
    taken = _column(collection, "env_num_actions", np.int64, (num_envs,))
    actions = _column(collection, "env_actions", ACTION_DTYPE, (None,))
    digests = _column(collection, "env_digest", np.uint8, (num_envs * DIGEST_BYTES,))
    if (
        not ((episode >= 0) & (episode <= _MOST)).all()
        or not ((taken >= 0) & (taken <= len(actions))).all()
        or taken.sum() != len(actions)
    ):
        raise RunFolderError("the checkpoint's logs of actions do not fit together")
    parts = np.split(actions, np.cumsum(taken)[:-1])
    return [
        EnvironmentLog(int(number), part, digest.tobytes())
        for number, part, digest in zip(
            episode, parts, digests.reshape(num_envs, DIGEST_BYTES), strict=True
        )
    ]


def _interval(collection: Tensors, batch_size: int) -> Interval:
    return Interval(
        _column(collection, "statistics", np.float32, (None, len(STATISTICS))),
        _column(collection, "td_errors", np.float32, (None, batch_size)),
    )


def _column(
    collection: Tensors, name: str, dtype: Any, shape: tuple[int | None, ...]
) -> np.ndarray:
    found = collection.get(name)
    if (
        found is None
        or found.dtype != dtype
        or found.ndim != len(shape)
        or any(wanted not in (None, size) for wanted, size in zip(shape, found.shape, strict=True))
    ):
        raise _unfit(name, f"{np.dtype(dtype)}{list(shape)}", found)
    return found


def on_device(tree: Any) -> Any:
    """The record with its leaves copied to the device that learns."""
    return jax.tree.map(jnp.array, tree)


def named(tree: PyTree) -> dict[str, np.ndarray]:
    """The leaves of a record by their path in it."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def filled(like: Any, arrays: Mapping[str, np.ndarray | None]) -> Any:
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
            raise _unfit(name, f"{leaf.dtype}{list(leaf.shape)}", found)
        leaves.append(found)
    return jax.tree.unflatten(structure, leaves)


def _unfit(name: str, wanted: str, found: np.ndarray | None) -> RunFolderError:
    what = "nothing" if found is None else f"{found.dtype}{list(found.shape)}"
    return RunFolderError(
        f"the checkpoint does not fit the run's settings: {name} should be {wanted}, found {what}"
    )
