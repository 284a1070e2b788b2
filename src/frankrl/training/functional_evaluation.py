"""Greedy episodes of a functional environment, many of them in compiled calls."""

import contextlib
import functools
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt32

from frankrl.core.compiling import compiled_quickly
from frankrl.core.normalisation import Scales
from frankrl.core.numerics import in_own_jax, own_numerics
from frankrl.core.types import Observation
from frankrl.environments.functional.protocol import State
from frankrl.experience.device import DeviceEnvironments
from frankrl.networks import QNetwork

_MAX_STEPS_AT_ONCE = 1_000
"""Vector steps of one call, between which an evaluation can be stopped."""


class Episodes(NamedTuple):
    """Some episodes that are played at the same time, as far as they have come."""

    state: State
    observation: Observation
    mask: Bool[Array, "episode action"] | None
    seed: UInt32[Array, " episode"]
    is_running: Bool[Array, " episode"]
    memory: Float[Array, "episode unit"] | None
    """What the network remembers before `observation`; None without a memory."""
    episode_return: Float[Array, " episode"]
    length: Int[Array, " episode"]
    unfit: Bool[Array, " episode"]
    """Whether the environment gave what none may give, as in `DeviceStep.unfit`; ends it."""


@own_numerics()
def play(
    environments: DeviceEnvironments,
    network: QNetwork,
    vector: Float[Any, " weight"],
    scales: Scales | None,
    seeds: list[int],
    most_steps: int,
    after_call: Callable[[], None],
) -> tuple[Float[np.ndarray, " episode"], Int[np.ndarray, " episode"], bool]:
    """Returns and lengths of episodes with the action of highest Q-value in every state.

    An episode is the one that the environment's Gymnasium face plays after a reset with its seed.

    Args:
        environments: they step all episodes.
        network: computes Q-values.
        vector: its parameters.
        scales: how observations are normalised; None: they are not.
        seeds: of the episodes, at most one for each environment.
        most_steps: an episode is cut off after so many steps.
        after_call: called after each compiled call; may raise.

    Returns:
        Return and length of each episode, and whether the environment gave in any of them what none
        may give.
    """
    programs = _programs(environments, network)
    programs.wait()
    # Always as many, so that they are compiled once.
    padded = np.zeros(environments.num_envs, np.uint32)
    padded[: len(seeds)] = seeds
    episodes = programs.begin(padded, np.arange(environments.num_envs) < len(seeds))
    running = True
    while running:
        episodes, running = programs.advance(vector, scales, episodes, np.int32(most_steps))
        running = bool(running)
        after_call()
    found = np.asarray(episodes.episode_return), np.asarray(episodes.length)
    returns, lengths = (values[: len(seeds)] for values in found)
    return returns.astype(np.float64), lengths.astype(np.int64), bool(episodes.unfit.any())


def compile_beside(
    environments: DeviceEnvironments,
    network: QNetwork,
    vector: Float[Any, " weight"],
    scales: Scales | None,
) -> None:
    """Begin to compile what `play` needs, in a thread beside the compilation of the training.

    Does nothing if that has begun. Arguments as for `play`; of the last two only the shapes matter.
    """
    programs = _programs(environments, network)
    if programs.compiling is not None:
        return

    def compile_both() -> None:
        nobody = np.zeros(environments.num_envs, np.uint32)
        # What fails here fails again when it is played, and is told there.
        with contextlib.suppress(Exception):
            episodes = programs.begin(nobody, nobody > 0)
            programs.advance(vector, scales, episodes, np.int32(1))

    programs.compiling = threading.Thread(
        target=in_own_jax, args=(compile_both,), name="compile evaluations"
    )
    programs.compiling.start()


class _Programs:
    """The functions that begin episodes and play them on."""

    def __init__(self, environments: DeviceEnvironments, network: QNetwork) -> None:
        self.begin, self.advance = _functions(environments, network)
        self.compiling: threading.Thread | None = None
        """Compiles them, once it has been started."""

    def wait(self) -> None:
        """Wait for what is being compiled; it would be compiled twice."""
        if self.compiling is not None:
            self.compiling.join()


@functools.lru_cache(maxsize=8)
def _programs(environments: DeviceEnvironments, network: QNetwork) -> _Programs:
    return _Programs(environments, network)


def _functions(
    environments: DeviceEnvironments, network: QNetwork
) -> tuple[Callable[..., Episodes], Callable[..., tuple[Episodes, Bool[Array, ""]]]]:
    """The function that begins episodes, and the one that plays them on."""

    @functools.partial(jax.jit, compiler_options=compiled_quickly())
    def begin(seed: UInt32[Array, " episode"], chosen: Bool[Array, " episode"]) -> Episodes:
        state, observation, mask = environments.first(seed)
        zeros = jnp.zeros(seed.shape, jnp.float32)
        memory, length = environments.initial_memory(), zeros.astype(jnp.int32)
        unfit = chosen & environments.unfit(observation, mask, jnp.zeros_like(chosen))
        runs = chosen & ~unfit
        return Episodes(state, observation, mask, seed, runs, memory, zeros, length, unfit)

    def step(vector: Array, scales: Scales | None, most_steps: Array, now: Episodes) -> Episodes:
        shown = now.observation if scales is None else scales.of_observation(now.observation)
        params = network.layout.unflatten(vector)
        q_values, memory = network.q_step(params, shown, now.mask, now.memory)
        action, length = jnp.argmax(q_values, axis=1).astype(jnp.uint32), now.length + 1
        state, found = environments.next(now.state, action, now.seed, length)
        ended = found.terminated | found.truncated
        unfit = ~jnp.isfinite(found.reward)
        unfit |= environments.unfit(found.observation, found.mask, ended)

        def kept(new: Array, old: Array) -> Array:
            wide = now.is_running.reshape(-1, *[1] * (new.ndim - 1))
            return jnp.where(wide, new, old)

        following = Episodes(
            state,
            found.observation,
            found.mask,
            now.seed,
            now.is_running & ~(ended | unfit | (length >= most_steps)),
            memory,
            now.episode_return + found.reward,
            length,
            unfit,
        )
        # Those that have ended stay as they are.
        return jax.tree.map(kept, following, now)

    @jax.jit
    def advance(
        vector: Array, scales: Scales | None, episodes: Episodes, most_steps: Array
    ) -> tuple[Episodes, Bool[Array, ""]]:
        def goes_on(carry: tuple[Array, Episodes]) -> Array:
            return (carry[0] < _MAX_STEPS_AT_ONCE) & carry[1].is_running.any()

        def on(carry: tuple[Array, Episodes]) -> tuple[Array, Episodes]:
            return carry[0] + 1, step(vector, scales, most_steps, carry[1])

        _, after = jax.lax.while_loop(goes_on, on, (jnp.zeros((), jnp.int32), episodes))
        return after, after.is_running.any()

    return begin, advance
