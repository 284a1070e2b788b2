"""Converts the training state to the arrays of a checkpoint, and back."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from frankrl.config import LearningSettings
from frankrl.core.errors import DivergedError, RunFolderError
from frankrl.core.figures import counted
from frankrl.core.types import ACTION_DTYPE
from frankrl.environments import DIGEST_BYTES, EnvironmentLog
from frankrl.learning import LearnerState, init_learner
from frankrl.replay import ReplayState, ending_rows_in, fault_in, filled_part, part_of, refilled
from frankrl.runs.checkpoint import Tensors
from frankrl.training.interval import MAX_ROUNDS, STATISTICS, Interval
from frankrl.training.state import Experiment, TrainState


def eval_file(settings: LearningSettings) -> str:
    """File of the parameters for greedy acting."""
    return "q_network" if settings.polyak_window_updates is None else _AVERAGE


_AVERAGE = "average_network"
BEST_FILE = "best_network"
"""File of the agent with the best evaluation so far; missing before the first evaluation."""
_MAX = 2**53
"""Largest number of an episode."""


def most_bytes(experiment: Experiment, env_steps: int) -> dict[str, int]:
    """The largest possible size of each file of a checkpoint. [bytes]

    Args:
        experiment: the run's experiment.
        env_steps: the largest number of env steps that the run may have done.
    """
    settings, replay = experiment.settings, experiment.replay
    weights = experiment.network.layout.size * np.dtype(np.float32).itemsize
    stored = jax.eval_shape(experiment.empty_replay)
    row = sum(
        leaf.dtype.itemsize * int(np.prod(leaf.shape[1:]))
        for leaf in jax.tree.leaves((stored.observation, stored.mask))
    )
    like = _like(experiment)
    optimiser = sum(_bytes(leaf) for leaf in jax.tree.leaves((like.opt_state, like.num_updates)))
    sizes = {
        "q_network": weights,
        "target_network": weights,
        BEST_FILE: weights,
        "optimiser": optimiser,
        # At most, every step ends an episode.
        "replay": sum(map(_bytes, jax.tree.leaves(stored))) + 2 * row * replay.num_rows,
    }
    if like.average_params is not None:
        sizes[_AVERAGE] = weights
    # Grows with each step of the running episodes, and with each update since the last metrics row.
    logs = settings.environment.num_envs * (16 + 2 * DIGEST_BYTES)
    growing = env_steps * ACTION_DTYPE.itemsize
    figures = settings.updates_due(env_steps) * len(STATISTICS)
    figures += MAX_ROUNDS * settings.replay.batch_size
    growing += figures * np.dtype(np.float32).itemsize
    return sizes | {"collection": weights + logs + growing}


def _bytes(leaf: Any) -> int:
    return leaf.size * leaf.dtype.itemsize


def _like(experiment: Experiment) -> LearnerState:
    """Shapes of the learner's state; allocates no memory."""
    settings, network = experiment.settings.learning, experiment.network
    return jax.eval_shape(lambda params: init_learner(settings, network, params), network.shapes)


def to_tensors(
    experiment: Experiment, state: TrainState, logs: list[EnvironmentLog], interval: Interval
) -> dict[str, Tensors]:
    """All arrays of a run between two rounds, by file and name.

    Args:
        experiment: the run's experiment.
        state: the training state.
        logs: snapshot of each environment.
        interval: metrics of the updates since the last row of metrics.
    """
    learner, layout = state.learner, experiment.network.layout

    def weights(vector: Float[Array, " weight"]) -> Tensors:
        return named(layout.unflatten(np.asarray(vector)))

    average = {}
    if learner.average_params is not None:
        average[_AVERAGE] = weights(learner.average_params)
    return average | {
        "q_network": weights(learner.params),
        "target_network": weights(learner.target_params),
        "optimiser": named((learner.opt_state, learner.num_updates)),
        "replay": named(filled_part(experiment.replay, state.replay)),
        "collection": {
            "behaviour_params": np.asarray(state.behaviour_params),
            "statistics": interval.statistics,
            "td_errors": interval.td_errors,
            "env_episode": np.array([log.episode for log in logs], np.int64),
            "env_num_actions": np.array([len(log.actions) for log in logs], np.int64),
            "env_actions": np.concatenate([log.actions for log in logs]),
            "env_earlier_digest": _joined(log.earlier for log in logs),
            "env_digest": _joined(log.digest for log in logs),
        },
    }


def check_finite(tensors: Mapping[str, Tensors], env_steps: int) -> None:
    """Refuse to save parameters that are not finite.

    Raises:
        DivergedError: a weight, or a number of the optimiser's state, is not finite.
    """
    for file in ("q_network", "target_network", _AVERAGE, "optimiser"):
        for name, array in tensors.get(file, {}).items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise DivergedError(
                    f"training diverged by env step {env_steps:,}: {file} {name} is not finite, "
                    "so no checkpoint is written; try a lower learning_rate"
                )


def from_tensors(
    tensors: Mapping[str, Tensors], experiment: Experiment, env_steps: int, updates: int
) -> tuple[TrainState, list[EnvironmentLog], Interval]:
    """The reverse of `to_tensors`.

    Args:
        tensors: the arrays of every file of a checkpoint.
        experiment: the run's experiment.
        env_steps: env steps of the run so far.
        updates: updates of the run so far.

    Raises:
        RunFolderError: the arrays do not fit the settings.
    """
    collection, like = tensors["collection"], _like(experiment)

    def vector(file: str) -> Float[Any, " weight"]:
        found = filled(experiment.network.shapes, tensors[file])
        return jnp.array(experiment.network.layout.flatten(found))

    opt_state, num_updates = on_device(
        filled((like.opt_state, like.num_updates), tensors["optimiser"])
    )
    learner = LearnerState(
        params=vector("q_network"),
        target_params=vector("target_network"),
        average_params=None if like.average_params is None else vector(_AVERAGE),
        opt_state=opt_state,
        num_updates=num_updates,
    )
    behaviour = _column(collection, "behaviour_params", np.float32, like.params.shape)
    state = TrainState(
        learner=learner,
        replay=_replay(tensors["replay"], experiment, env_steps),
        behaviour_params=jnp.array(behaviour),
        params=jnp.copy(learner.params),
        eval_params=jnp.copy(learner.eval_params),
        env_steps=env_steps,
        updates=updates,
    )
    settings = experiment.settings
    logs = _logs(collection, settings.environment.num_envs)
    return state, logs, _interval(collection, settings.replay.batch_size)


def _replay(arrays: Tensors, experiment: Experiment, env_steps: int) -> ReplayState:
    """The whole buffer, from the filled part in the checkpoint."""
    num_steps = int(_column(arrays, ".num_steps", np.uint32, ()))
    num_endings = int(_column(arrays, ".num_endings", np.uint32, ()))
    if num_steps != env_steps or num_endings > num_steps:
        raise RunFolderError(
            f"the checkpoint's buffer counts {counted(num_steps, 'env step')} and "
            f"{counted(num_endings, 'episode end')}, but the run has done "
            f"{counted(env_steps, 'env step')}"
        )
    replay = experiment.replay
    saved = arrays.get(_first_leaf(experiment))
    saved_rows = len(saved) if saved is not None and saved.ndim else 0
    first = jax.eval_shape(experiment.empty_replay).num_ending_rows
    rows = ending_rows_in(replay, first, num_steps, saved_rows)

    def saved_part() -> ReplayState:
        return part_of(replay, experiment.empty_replay(rows), num_steps, num_endings)

    part = filled(jax.eval_shape(saved_part), arrays)
    spec = experiment.spec
    lives = spec.preprocessing.life_loss_terminates
    if fault := fault_in(replay, part, spec.num_actions, life_loss_terminates=lives):
        raise RunFolderError(f"the checkpoint's buffer holds {fault}")
    return refilled(replay, part, rows)


def _first_leaf(experiment: Experiment) -> str:
    """Name of the buffer's first observation leaf in its file."""
    like = jax.eval_shape(experiment.empty_replay)
    (path, _), *_ = jax.tree_util.tree_flatten_with_path(like)[0]
    return jax.tree_util.keystr(path)


def _logs(collection: Tensors, num_envs: int) -> list[EnvironmentLog]:
    episode = _column(collection, "env_episode", np.int64, (num_envs,))
    taken = _column(collection, "env_num_actions", np.int64, (num_envs,))
    actions = _column(collection, "env_actions", ACTION_DTYPE, (None,))
    earlier, digests = (
        _column(collection, name, np.uint8, (num_envs * DIGEST_BYTES,)).reshape(num_envs, -1)
        for name in ("env_earlier_digest", "env_digest")
    )
    if (
        not ((episode >= 0) & (episode <= _MAX)).all()
        or not ((taken >= 0) & (taken <= len(actions))).all()
        or taken.sum() != len(actions)
    ):
        raise RunFolderError("the checkpoint's action logs contradict each other")
    parts = np.split(actions, np.cumsum(taken)[:-1])
    return [
        EnvironmentLog(int(number), part, before.tobytes(), digest.tobytes())
        for number, part, before, digest in zip(episode, parts, earlier, digests, strict=True)
    ]


def _joined(digests: Iterable[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(digests), np.uint8)


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
    """The record with its leaves copied to the device."""
    return jax.tree.map(jnp.array, tree)


def named(tree: PyTree) -> dict[str, np.ndarray]:
    """The leaves of a record by their path in it."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def filled(like: Any, arrays: Mapping[str, np.ndarray | None]) -> Any:
    """A record of the same structure as `like`, with leaves taken from `arrays` by name.

    Raises:
        RunFolderError: a leaf is missing, or has another shape or dtype.
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
