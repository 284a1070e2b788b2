"""What a functional environment is: two pure functions of JAX, one environment at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Bool, Float, Int, UInt8

from frankrl.core.types import Array, Observation

GENERATOR = "threefry2x32"
"""JAX's generator of the keys, whatever the process has chosen for its own."""
FRAMES_PER_SECOND = 30
"""Of films of an environment that has no `render_fps` of its own."""
State = Any
"""A pytree of arrays whose dtypes and shapes never change: all that an environment remembers."""
Key = Any
"""A key of `jax.random`, used once."""
Mask = Bool[Array, " action"] | None
"""Which actions are allowed; None in an environment without action masks."""


class FunctionalStep(NamedTuple):
    """What one step shows."""

    observation: Observation
    """Of the state arrived at, s′, before any reset."""
    mask: Mask
    """Which actions are allowed in s′."""
    reward: Float[Array, ""]
    terminated: Bool[Array, ""]
    """s′ is terminal: nothing follows it."""
    truncated: Bool[Array, ""]
    """The time is up. Something would follow s′, so its value still counts."""


@runtime_checkable
class FunctionalEnvironment(Protocol):
    """An environment as pure functions, which callers compile, vmap and scan.

    It holds settings only, and compares and hashes by value where it can, so that two runs in the
    same environment share what is compiled. Nothing resets itself: whoever steps it resets it.
    """

    @property
    def observation_space(self) -> spaces.Space:
        """What `observation` holds, as Gymnasium says it."""
        ...

    @property
    def action_space(self) -> spaces.Discrete:
        """The actions. An action is numbered from `action_space.start` on, as in Gymnasium."""
        ...

    @property
    def reward_threshold(self) -> float | None:
        """Mean return at which it counts as solved; None if it names none."""
        ...

    @property
    def max_episode_steps(self) -> int | None:
        """Steps after which an episode is truncated, by Frank, whatever `step` says; None without
        a time limit."""
        ...

    def reset(self, key: Key) -> tuple[State, Observation, Mask]:
        """The first state of an episode, what it shows, and the actions allowed in it."""
        ...

    def step(self, state: State, action: Int[Array, ""], key: Key) -> tuple[State, FunctionalStep]:
        """The next state and what the step shows.

        The state after an episode's end is readable, but is never stepped.
        """
        ...


def renderer(
    environment: FunctionalEnvironment,
) -> Callable[[State], UInt8[np.ndarray, "height width 3"]] | None:
    """The environment's own `render(state)`, which draws a picture on the host; None without."""
    return getattr(environment, "render", None)


def state_mirror(environment: FunctionalEnvironment) -> Callable[[int, State], State] | None:
    """The environment's own `mirror_state(symmetry, state)`, the mirror image of a state; None
    without."""
    return getattr(environment, "mirror_state", None)


class TimedState(NamedTuple):
    """The state of an environment with a time limit around it."""

    state: State
    num_steps: Int[Array, ""]
    """Steps of this episode so far."""


@dataclass(frozen=True)
class Around:
    """What surrounds an environment has its spaces, and draws its pictures."""

    environment: FunctionalEnvironment

    @property
    def observation_space(self) -> spaces.Space:
        """That of the environment."""
        return self.environment.observation_space

    @property
    def action_space(self) -> spaces.Discrete:
        """That of the environment."""
        return self.environment.action_space

    @property
    def reward_threshold(self) -> float | None:
        """That of the environment."""
        return self.environment.reward_threshold

    @property
    def render_fps(self) -> int:
        """That of the environment. [pictures/s]"""
        return getattr(self.environment, "render_fps", FRAMES_PER_SECOND)

    @property
    def render(self) -> Callable[[State], UInt8[np.ndarray, "height width 3"]] | None:
        """That of the environment, if it draws pictures."""
        return renderer(self.environment)

    @property
    def mirror_state(self) -> Callable[[int, State], State] | None:
        """That of the environment, if it makes mirror images of states."""
        return state_mirror(self.environment)


@dataclass(frozen=True)
class TimeLimited(Around):
    """An environment with a time limit: episodes are truncated after so many steps.

    As Gymnasium's `TimeLimit`, an episode that ends by itself in its last step has both ends.
    """

    max_episode_steps: int

    @property
    def render(self) -> Callable[[TimedState], UInt8[np.ndarray, "height width 3"]] | None:
        """That of the environment, if it draws pictures."""
        render = renderer(self.environment)
        return None if render is None else lambda timed: render(timed.state)

    @property
    def mirror_state(self) -> Callable[[int, TimedState], TimedState] | None:
        """That of the environment; as many steps are left."""
        mirror = state_mirror(self.environment)
        if mirror is None:
            return None
        return lambda symmetry, timed: timed._replace(state=mirror(symmetry, timed.state))

    def reset(self, key: Key) -> tuple[TimedState, Observation, Mask]:
        """The first state of an episode."""
        state, observation, mask = self.environment.reset(key)
        return TimedState(state, jnp.zeros((), jnp.int32)), observation, mask

    def step(
        self, state: TimedState, action: Int[Array, ""], key: Key
    ) -> tuple[TimedState, FunctionalStep]:
        """The next state; truncated once the time is up."""
        after, step = self.environment.step(state.state, action, key)
        num_steps = state.num_steps + 1
        truncated = jnp.logical_or(step.truncated, num_steps >= self.max_episode_steps)
        return TimedState(after, num_steps), step._replace(truncated=truncated)


def episode_key(seed: Int[Array, ""]) -> Key:
    """The key of an episode that is reset with a seed below 2³¹."""
    return jax.random.key(seed, impl=GENERATOR)


def step_key(episode: Key, number: Int[Array, ""]) -> Key:
    """The key of an episode's step, from 1; 0 is that of its reset."""
    return jax.random.fold_in(episode, number)
