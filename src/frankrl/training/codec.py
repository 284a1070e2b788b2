"""Converts the training state to the arrays of a checkpoint, and back."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from frankrl.config import Clock, LearningSettings
from frankrl.core.errors import DamagedError, DivergedError, RunFolderError
from frankrl.core.types import ACTION_DTYPE
from frankrl.environments import DIGEST_BYTES, EnvironmentLog
from frankrl.experience import (
    REQUESTS_AHEAD,
    ActorsState,
    Statistics,
    Weights,
    empty_statistics,
    fault_in,
    statistics_from,
    statistics_tensors,
)
from frankrl.learning import LearnerState, has_own_optimiser, init_learner
from frankrl.runs.checkpoint import Loaded, Tensors
from frankrl.training.interval import MAX_ROUNDS, STATISTICS, Interval
from frankrl.training.records import column, filled, named, on_device
from frankrl.training.replay_codec import (
    DEMONSTRATIONS,
    REPLAY,
    Chunks,
    demonstrations,
    most_replay_bytes,
    replay_from,
    replay_tensors,
)
from frankrl.training.state import Experiment, TrainState


def eval_file(settings: LearningSettings) -> str:
    """File of the parameters for greedy acting."""
    return "q_network" if settings.polyak_window_updates is None else _AVERAGE


def _optimiser_file(settings: LearningSettings) -> str:
    """File of the optimiser's state; that of the user's own may hold infinite numbers."""
    return "own_optimiser" if has_own_optimiser(settings) else "optimiser"


_AVERAGE = "average_network"
ACTORS_FILE = "actors"
"""File of what actors that run freely need besides the snapshots of their environments."""
BEST_FILE = "best_network"
"""File of the agent with the best evaluation so far; missing before the first evaluation."""
_MAX = 2**53
"""Largest number of an episode, of a chunk or of updates."""


def most_bytes(experiment: Experiment, ticks: int) -> dict[str, int]:
    """The largest possible size of each file of arrays of a checkpoint. [bytes]

    Args:
        experiment: the run's experiment.
        ticks: the largest number that the run's clock may have counted.
    """
    settings = experiment.settings
    weights = experiment.network.layout.size * np.dtype(np.float32).itemsize
    like = _like(experiment)
    optimiser = sum(_bytes(leaf) for leaf in jax.tree.leaves((like.opt_state, like.num_updates)))
    sizes = {
        "q_network": weights,
        BEST_FILE: most_agent_bytes(experiment),
        _optimiser_file(settings.learning): optimiser,
    }
    if settings.has_replay:
        sizes[REPLAY] = most_replay_bytes(experiment)
    if like.target_params is not None:
        sizes["target_network"] = weights
    if (saved := demonstrations(experiment)) is not None:
        sizes[DEMONSTRATIONS] = most_replay_bytes(experiment, saved)
    if like.average_params is not None:
        sizes[_AVERAGE] = weights
    sizes[eval_file(settings.learning)] = most_agent_bytes(experiment)
    if actors := settings.environment.asynchronous_actors:
        sizes[ACTORS_FILE] = actors * (8 + REQUESTS_AHEAD * (8 + weights))
    # Grows with each step of the running episodes, and with each update since the last metrics row.
    logs = settings.environment.num_envs * (24 + 2 * DIGEST_BYTES)
    growing = ticks * ACTION_DTYPE.itemsize
    figures = settings.updates_due(ticks) * len(STATISTICS)
    figures += MAX_ROUNDS * settings.update_batch_size
    memory = settings.environment.num_envs * experiment.network.memory_units
    growing += (figures + memory) * np.dtype(np.float32).itemsize
    return sizes | {"collection": weights + logs + growing}


def most_agent_bytes(experiment: Experiment) -> int:
    """Size of the file of an agent: its weights, and the statistics by which it normalises."""
    weights = experiment.network.layout.size * np.dtype(np.float32).itemsize
    return weights + sum(map(_bytes, statistics_tensors(_no_statistics(experiment)).values()))


def statistics_in(
    tensors: Mapping[str, Any], experiment: Experiment, path: Path
) -> Statistics | None:
    """The running statistics in the file of an agent; None if the run normalises nothing.

    Args:
        tensors: arrays of the file.
        experiment: the run's experiment.
        path: the checkpoint, for messages.

    Raises:
        DamagedError: no run has such statistics.
        RunFolderError: they do not fit the settings.
    """
    statistics = statistics_from(tensors, _no_statistics(experiment), column)
    if fault := fault_in(statistics):
        raise DamagedError(f"{path} is damaged: {fault}", path)
    return statistics


def statistics_of(
    loaded: Loaded, experiment: Experiment
) -> tuple[Statistics | None, Float[np.ndarray, " env"]]:
    """The running statistics of a checkpoint, and the discounted return of each environment.

    Raises:
        DamagedError: no run has such statistics.
        RunFolderError: they do not fit the settings.
    """
    num_envs = experiment.settings.environment.num_envs
    returns = column(loaded.tensors["collection"], "discounted_returns", np.float64, (num_envs,))
    if not np.isfinite(returns).all():
        fault = f"discounted_returns is {returns.tolist()}"
        raise DamagedError(f"{loaded.path} is damaged: {fault}", loaded.path)
    agent = loaded.tensors[eval_file(experiment.settings.learning)]
    return statistics_in(agent, experiment, loaded.path), returns


def memory_of(loaded: Loaded, experiment: Experiment) -> Float[np.ndarray, "env unit"] | None:
    """What the network remembered of each environment's episode at a checkpoint.

    Returns:
        None if the network has no memory, the environments' own states hold it, or nobody acts.

    Raises:
        DamagedError: no run remembers such numbers.
        RunFolderError: they do not fit the settings.
    """
    settings, units = experiment.settings, experiment.network.memory_units
    environment = settings.environment
    if not units or environment.source == "device" or settings.is_offline:
        return None
    collection = loaded.tensors["collection"]
    memory = column(collection, "memory", np.float32, (environment.num_envs, units))
    check_memory(memory, loaded.path)
    return memory


def check_memory(memory: Float[np.ndarray, "env unit"] | None, checkpoint: Path) -> None:
    """Refuse a memory that no run has.

    Raises:
        DamagedError: a network never remembers such numbers.
    """
    # A mean of hyperbolic tangents and zeros.
    if memory is not None and not (np.abs(memory) <= 1).all():
        raise DamagedError(f"{checkpoint} is damaged: no run has such a memory", checkpoint)


def _no_statistics(experiment: Experiment) -> Statistics | None:
    return empty_statistics(experiment.settings.environment, experiment.spec)


def _bytes(leaf: Any) -> int:
    return leaf.size * leaf.dtype.itemsize


def _like(experiment: Experiment) -> LearnerState:
    """Shapes of the learner's state; allocates no memory."""
    settings, network = experiment.settings.learning, experiment.network
    return jax.eval_shape(lambda params: init_learner(settings, network, params), network.shapes)


def to_tensors(
    experiment: Experiment,
    state: TrainState,
    logs: list[EnvironmentLog],
    interval: Interval,
    statistics: tuple[Statistics | None, Float[np.ndarray, " env"]],
    actors: ActorsState | None = None,
    memory: Float[np.ndarray, "env unit"] | None = None,
) -> tuple[dict[str, Tensors], Chunks]:
    """All arrays of a run between two rounds, by file and name; and those of each chunk.

    Args:
        experiment: the run's experiment.
        state: the training state; its chunks are read from it when they are asked for.
        logs: snapshot of each environment.
        interval: metrics of the updates since the last row of metrics.
        statistics: running statistics, as `HostSource.statistics` gives them.
        actors: what actors that run freely need; None: there are none.
        memory: what the network remembers of each environment's episode; None: nothing.
    """
    learner, layout = state.learner, experiment.network.layout

    def weights(vector: Float[Array, " weight"]) -> Tensors:
        return named(layout.unflatten(np.asarray(vector)))

    tensors: dict[str, Tensors] = {
        "q_network": weights(learner.params),
        _optimiser_file(experiment.settings.learning): named(
            (learner.opt_state, learner.num_updates)
        ),
        "collection": {
            "behaviour_params": np.asarray(state.behaviour_params),
            "statistics": interval.statistics,
            "td_errors": interval.td_errors,
            "env_episode": np.array([log.episode for log in logs], np.int64),
            "env_num_actions": np.array([len(log.actions) for log in logs], np.int64),
            "env_actions": np.concatenate([log.actions for log in logs]),
            "env_earlier_digest": _joined(log.earlier for log in logs),
            "env_digest": _joined(log.digest for log in logs),
            "discounted_returns": statistics[1],
        },
    }
    if memory is not None:
        tensors["collection"] = {**tensors["collection"], "memory": memory}
    if learner.target_params is not None:
        tensors["target_network"] = weights(learner.target_params)
    if learner.average_params is not None:
        tensors[_AVERAGE] = weights(learner.average_params)
    agent = eval_file(experiment.settings.learning)
    tensors[agent] = {**tensors[agent], **statistics_tensors(statistics[0])}
    if actors is not None:
        tensors[ACTORS_FILE] = {
            "chunks": np.array(actors.chunks, np.int64),
            "updates": np.array([each.updates for each in actors.weights], np.int64),
            "params": np.array([each.params for each in actors.weights], np.float32),
        }
    chunks: Chunks = {}
    if state.replay is not None and experiment.settings.saving.checkpoint_replay == "all":
        tensors[REPLAY], chunks = replay_tensors(experiment, state.replay)
    if (saved := demonstrations(experiment)) is not None and state.demonstrations is not None:
        tensors[DEMONSTRATIONS], others = replay_tensors(experiment, state.demonstrations, saved)
        chunks |= others
    return tensors, chunks


def check_finite(tensors: Mapping[str, Tensors], ticks: int, clock: Clock) -> None:
    """Refuse to save parameters that are not finite.

    Args:
        tensors: what is to be saved.
        ticks: of the run's clock so far.
        clock: what it counts.

    Raises:
        DivergedError: a weight, or a number of the optimiser's state, is not finite.
    """
    for file in ("q_network", "target_network", _AVERAGE, "optimiser"):
        for name, array in tensors.get(file, {}).items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise DivergedError(
                    f"training diverged by {clock.at(ticks)}: {file} {name} is not finite, "
                    "so no checkpoint is written; try a lower learning_rate"
                )


def from_checkpoint(
    loaded: Loaded, experiment: Experiment, ticks: int, updates: int
) -> tuple[TrainState, list[EnvironmentLog], Interval]:
    """The reverse of `to_tensors`; reads the chunks.

    Args:
        loaded: a checkpoint with all its files; without that of the buffer, this is empty.
        experiment: the run's experiment.
        ticks: of the run's clock so far.
        updates: updates of the run so far.

    Raises:
        DamagedError: a chunk is damaged, or no run writes what the buffer holds.
        RunFolderError: the arrays do not fit the settings.
    """
    collection = loaded.tensors["collection"]
    learner, logs = learner_of(loaded, experiment), logs_of(loaded, experiment)
    interval = _interval(collection, experiment.settings.update_batch_size)
    behaviour = column(collection, "behaviour_params", np.float32, learner.params.shape)
    saved, replay = demonstrations(experiment), None
    if saved is not None and saved.file not in loaded.tensors:
        raise DamagedError(f"{loaded.path} is damaged: it lacks the run's data set", loaded.path)
    if experiment.buffer is not None:
        replay = replay_from(loaded, experiment, ticks)
    state = TrainState(
        learner=learner,
        replay=replay,
        behaviour_params=jnp.array(behaviour),
        params=jnp.copy(learner.params),
        eval_params=jnp.copy(learner.eval_params),
        ticks=ticks,
        updates=updates,
        demonstrations=saved and replay_from(loaded, experiment, ticks, saved),
    )
    return state, logs, interval


def learner_of(loaded: Loaded, experiment: Experiment) -> LearnerState:
    """The learner of a checkpoint, from its files of weights and of the optimiser.

    Raises:
        RunFolderError: the arrays do not fit the settings.
    """
    tensors, like = loaded.tensors, _like(experiment)

    def vector(file: str) -> Float[Any, " weight"]:
        found = filled(experiment.network.shapes, tensors[file])
        return jnp.array(experiment.network.layout.flatten(found))

    opt_state, num_updates = on_device(
        filled(
            (like.opt_state, like.num_updates),
            tensors[_optimiser_file(experiment.settings.learning)],
        )
    )
    return LearnerState(
        params=vector("q_network"),
        target_params=None if like.target_params is None else vector("target_network"),
        average_params=None if like.average_params is None else vector(_AVERAGE),
        opt_state=opt_state,
        num_updates=num_updates,
    )


def logs_of(loaded: Loaded, experiment: Experiment) -> list[EnvironmentLog]:
    """The snapshot of each environment in a checkpoint.

    Raises:
        RunFolderError: the snapshots do not fit the settings.
    """
    collection, num_envs = loaded.tensors["collection"], experiment.settings.environment.num_envs
    episode = column(collection, "env_episode", np.int64, (num_envs,))
    taken = column(collection, "env_num_actions", np.int64, (num_envs,))
    actions = column(collection, "env_actions", ACTION_DTYPE, (None,))
    earlier, digests = (
        column(collection, name, np.uint8, (num_envs * DIGEST_BYTES,)).reshape(num_envs, -1)
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


def actors_of(loaded: Loaded, experiment: Experiment) -> ActorsState | None:
    """What a checkpoint holds of actors that run freely; None if the run has none.

    Raises:
        RunFolderError: the arrays do not fit the settings.
    """
    count = experiment.settings.environment.asynchronous_actors
    if count is None:
        return None
    tensors, size = loaded.tensors[ACTORS_FILE], experiment.network.layout.size
    chunks = column(tensors, "chunks", np.int64, (count,))
    updates = column(tensors, "updates", np.int64, (None,))
    params = column(tensors, "params", np.float32, (len(updates), size))
    counts = [*chunks.tolist(), *updates.tolist()]
    if not all(0 <= each <= _MAX for each in counts) or not np.isfinite(params).all():
        raise DamagedError(f"{loaded.path} is damaged: no run has such actors", loaded.path)
    weights = map(Weights, updates.tolist(), params)
    return ActorsState(tuple(chunks.tolist()), tuple(weights))


def _joined(digests: Iterable[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(digests), np.uint8)


def _interval(collection: Tensors, batch_size: int) -> Interval:
    return Interval(
        column(collection, "statistics", np.float32, (None, len(STATISTICS))),
        column(collection, "td_errors", np.float32, (None, batch_size)),
    )
