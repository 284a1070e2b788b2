"""Repeat after me in JAX, with the transitions of `frankrl/RepeatAfterMe-v0`."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Int, UInt8

from frankrl.core.types import Array
from frankrl.environments import repeat_after_me as on_host
from frankrl.environments.functional.protocol import FunctionalStep, Key, Mask

RecentSymbols = Int[Array, " time"]
"""The newest symbols, the oldest first: that one must be repeated now."""


@dataclass(frozen=True)
class RepeatAfterMe:
    """`frankrl/RepeatAfterMe-v0` without its time limit."""

    delay: int = on_host.DELAY
    """How long a symbol must be remembered. [steps]"""
    num_symbols: int = on_host.NUM_SYMBOLS
    """Number of symbols, all equally likely, and of actions."""

    reward_threshold = on_host.REWARD_THRESHOLD
    max_episode_steps = None
    render_fps = 4

    def __post_init__(self) -> None:
        on_host.check(self.delay, self.num_symbols)

    @property
    def observation_space(self) -> spaces.Discrete:
        """The newest symbol."""
        return spaces.Discrete(self.num_symbols)

    @property
    def action_space(self) -> spaces.Discrete:
        """The symbols."""
        return spaces.Discrete(self.num_symbols)

    def reset(self, key: Key) -> tuple[RecentSymbols, Int[Array, ""], Mask]:
        """The first symbol; symbol 0 stands before it."""
        symbol = self._symbol(key)
        return jnp.zeros(self.delay + 1, jnp.int32).at[-1].set(symbol), symbol, None

    def step(
        self, state: RecentSymbols, action: Int[Array, ""], key: Key
    ) -> tuple[RecentSymbols, FunctionalStep]:
        """Pay the action and show the next symbol."""
        symbol = self._symbol(key)
        reward = (action == state[0]).astype(jnp.float32)
        after = jnp.append(state[1:], symbol)
        no = jnp.zeros((), jnp.bool)
        return after, FunctionalStep(symbol, None, reward, no, no)

    def _symbol(self, key: Key) -> Int[Array, ""]:
        return jax.random.randint(key, (), 0, self.num_symbols, jnp.int32)

    def render(self, state: RecentSymbols) -> UInt8[np.ndarray, "height width 3"]:
        """The same picture."""
        return on_host.picture(np.asarray(state), self.num_symbols)
