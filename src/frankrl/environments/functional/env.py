"""The Gymnasium face of a functional environment, compiled on the CPU."""

import functools
from typing import Any

import gymnasium
import jax
import numpy as np

from frankrl.core.numerics import in_own_jax
from frankrl.core.types import Array
from frankrl.environments.functional.protocol import (
    FRAMES_PER_SECOND,
    FunctionalEnvironment,
    FunctionalStep,
    Mask,
    State,
    episode_key,
    renderer,
    step_key,
)

_MASK = "action_mask"


class FunctionalEnv(gymnasium.Env[Any, Any]):
    """A functional environment as an ordinary one, one step at a time.

    An episode depends on its seed and the actions only.
    """

    metadata = {"render_modes": []}  # noqa: RUF012
    symmetries: Any
    """What the environment itself declares, if it does."""

    def __init__(self, functional: FunctionalEnvironment, render_mode: str | None = None) -> None:
        """Compiles when it is first reset and stepped.

        Args:
            functional: the environment.
            render_mode: `rgb_array` or none.
        """
        self.functional = functional
        self.observation_space = functional.observation_space
        self.action_space = functional.action_space
        self.max_episode_steps = functional.max_episode_steps
        self.render_mode = render_mode
        self._render = renderer(functional)
        if self._render is not None:
            rate = getattr(functional, "render_fps", FRAMES_PER_SECOND)
            self.metadata = {"render_modes": ["rgb_array"], "render_fps": rate}
        self.state: State = None
        self._seed = np.uint32(0)
        self._num_steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """A new episode. A seed of more than 32 bits is hashed to fewer, as NumPy does it."""
        super().reset(seed=seed, options=options)
        if seed is None or seed >= 2**32:
            seed = int(self.np_random.integers(2**31))
        self._seed = np.uint32(seed)
        self._num_steps = 0
        self.state, observation, mask = _compiled_reset(self.functional)(self._seed)
        return _on_host(observation), _info(mask)

    def first_info(self) -> dict[str, Any]:
        """An info as that of a reset, of which only the keys count; nothing is compiled."""
        key = jax.eval_shape(episode_key, np.uint32(0))
        mask = jax.eval_shape(self.functional.reset, key)[2]
        return {} if mask is None else {_MASK: np.ones(mask.shape, np.bool_)}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One step."""
        self._num_steps += 1
        self.state, step = _compiled_step(self.functional)(
            self.state, np.int32(action), self._seed, np.int32(self._num_steps)
        )
        return (
            _on_host(step.observation),
            float(step.reward),
            bool(step.terminated),
            bool(step.truncated),
            _info(step.mask),
        )

    def render(self) -> Any:
        """A picture of the state, if the environment draws one."""
        if self._render is None or self.render_mode is None:
            return None
        return self._render(self.state)


def _on_host(tree: Any) -> Any:
    return jax.tree.map(np.asarray, tree)


def _info(mask: Mask) -> dict[str, Any]:
    return {} if mask is None else {_MASK: np.asarray(mask)}


def _on_cpu(function: Any) -> Any:
    cpu = jax.devices("cpu")[0]
    compiled = jax.jit(function)

    def call(*arguments: Any) -> Any:
        # As on the device, and not as the process has set JAX for other environments.
        with jax.default_device(cpu):
            return in_own_jax(compiled, *arguments)

    return call


@functools.lru_cache(maxsize=32)
def _compiled_reset(functional: FunctionalEnvironment) -> Any:
    def reset(seed: Array) -> tuple[State, Any, Mask]:
        return functional.reset(step_key(episode_key(seed), 0))

    return _on_cpu(reset)


@functools.lru_cache(maxsize=32)
def _compiled_step(functional: FunctionalEnvironment) -> Any:
    def step(
        state: State, action: Array, seed: Array, number: Array
    ) -> tuple[State, FunctionalStep]:
        return functional.step(state, action, step_key(episode_key(seed), number))

    return _on_cpu(step)


def frank_env(name: str, render_mode: str | None = None, **kwargs: Any) -> FunctionalEnv:
    """The entry point of Frank's own functional environments.

    Gymnasium puts the time limit around it.
    """
    from frankrl.environments.functional.own import own

    return FunctionalEnv(own(name, kwargs), render_mode)
