"""Some states in the replay buffer of a checkpoint, as the network gets them."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Int, UInt32

from frankrl.core.types import Observation
from frankrl.replay import ReplayState, chunk_order
from frankrl.runs.checkpoint import Loaded, Tensors
from frankrl.training.records import column
from frankrl.training.replay_codec import REPLAY, read_chunk, step_chunks
from frankrl.training.state import Experiment

_MAX_CHUNKS = 7


def some_states(loaded: Loaded, experiment: Experiment, most: int) -> Observation:
    """Some states of a checkpoint's buffer, from all its ages; few chunks are read.

    Args:
        loaded: the checkpoint, with the file `REPLAY` if it holds the buffer.
        experiment: the run's experiment.
        most: number of states, at most.

    Returns:
        Leaves of shape (state, …), or (state, stack, …) with a `frame_stack`; with this, only
        states whose older observations stand beside them.

    Raises:
        RunFolderError: the checkpoint is damaged, or does not fit the settings.
    """
    shapes = jax.eval_shape(experiment.empty_replay)
    stack, num_envs = experiment.replay.frame_stack, experiment.replay.num_envs
    if REPLAY not in loaded.tensors:
        within = (stack,) if stack > 1 else ()
        return jax.tree.map(
            lambda leaf: np.zeros((0, *within, *leaf.shape[1:]), leaf.dtype), shapes.observation
        )
    arrays, chunks = loaded.tensors[REPLAY], step_chunks(loaded)
    chosen = list(chunks)[:: max(1, -(-len(chunks) // _MAX_CHUNKS))]
    share = most // (len(chosen) + 1)
    newest = _rows(shapes, arrays, ".steps")
    if stack == 1:
        # The others are in no order, so that no stack could be made of them.
        others = [_observation(shapes, arrays, prefix) for prefix in (".current", ".endings")]
        parts = [_thinned(_joined([newest.observation, *others]), share)]
    else:
        end = int(column(arrays, ".num_steps", np.uint32, ()))
        env_steps = np.arange(end - len(newest.ending), end)
        parts = [_stacked(newest, env_steps, num_envs, stack, share)]
    for name in chosen:
        rows = _rows(shapes, read_chunk(loaded, name, shapes), "")
        env_steps = chunk_order(range(chunks[name] - len(rows.ending), chunks[name]), num_envs)
        if stack == 1:
            parts.append(_thinned(rows.observation, share))
        else:
            parts.append(_stacked(rows, env_steps, num_envs, stack, share))
    return _joined(parts)


class _Rows(NamedTuple):
    """Stored steps."""

    observation: Observation
    ending: UInt32[np.ndarray, " step"]
    """Not 0 where an episode ended."""


def _rows(shapes: ReplayState, arrays: Tensors, prefix: str) -> _Rows:
    ending = column(arrays, f"{prefix}.ending", np.uint32, (None,))
    return _Rows(_observation(shapes, arrays, prefix, len(ending)), ending)


def _observation(
    shapes: ReplayState, arrays: Tensors, prefix: str, count: int | None = None
) -> Observation:
    paths, structure = jax.tree_util.tree_flatten_with_path(shapes.observation)
    leaves = [
        column(
            arrays,
            f"{prefix}.observation{jax.tree_util.keystr(path)}",
            leaf.dtype,
            (count, *leaf.shape[1:]),
        )
        for path, leaf in paths
    ]
    return jax.tree.unflatten(structure, leaves)


def _stacked(
    rows: _Rows, env_steps: Int[np.ndarray, " step"], num_envs: int, stack: int, most: int
) -> Observation:
    """The newest observations of the episode at some of these steps, zeros before its start."""
    by_env = np.lexsort((env_steps, env_steps % num_envs))
    of_env = (env_steps % num_envs)[by_env]
    before = np.arange(len(by_env)) - np.searchsorted(of_env, of_env)
    whole = _thinned(np.flatnonzero(before >= stack - 1), most)
    places = by_env[whole[:, None] - np.arange(stack - 1, -1, -1)]
    is_shown = _is_same_episode(rows.ending[places] > 0)

    def stacked(leaf: np.ndarray) -> np.ndarray:
        shown = is_shown.reshape(*is_shown.shape, *[1] * (leaf.ndim - 1))
        return np.where(shown, leaf[places], np.zeros((), leaf.dtype))

    return jax.tree.map(stacked, rows.observation)


def _is_same_episode(ended: Bool[np.ndarray, "state stack"]) -> Bool[np.ndarray, "state stack"]:
    """Which steps are of the same episode as the newest, which stands last."""
    goes_on = np.flip(np.cumprod(np.flip(~ended[:, :-1], axis=1), axis=1), axis=1) > 0
    return np.concatenate([goes_on, np.ones((len(ended), 1), np.bool_)], axis=1)


def _joined(parts: list[Observation]) -> Observation:
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def _thinned(rows: Any, most: int) -> Any:
    every = max(1, -(-min(map(len, jax.tree.leaves(rows))) // most))
    return jax.tree.map(lambda leaf: leaf[::every], rows)
