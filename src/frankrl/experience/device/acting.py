"""ε-greedy actions in compiled code, by the same draws wherever a round stands."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, UInt32

from frankrl.core.device_random import as_below, as_normals, as_uniforms, random_bits
from frankrl.core.random import Use
from frankrl.core.types import Array, Observation
from frankrl.networks import QNetwork, perturb


class ActingDraws(NamedTuple):
    """Random numbers of one step of all environments."""

    coins: Float[Array, " env"]
    """Uniform in [0, 1); below ε the environment explores."""
    choices: UInt32[Array, " env"]
    """32 bits; they pick the random action."""


def acting_draws(
    seed: UInt32[Array, "2"], env_steps: UInt32[Array, ""], num_envs: int
) -> ActingDraws:
    """Coins and choices for the next step of all environments, after `env_steps`."""
    bits = random_bits(seed, Use.EXPLORATION, env_steps, num_envs, width=2)
    return ActingDraws(as_uniforms(bits[:, 0]), bits[:, 1])


def greedy_values(
    network: QNetwork,
    vector: Float[Array, " weight"],
    observation: Observation,
    mask: Bool[Array, "env action"] | None,
    memory: Float[Array, "env unit"] | None,
    seed: UInt32[Array, "2"],
    vector_step: UInt32[Array, ""],
) -> tuple[Float[Array, "env action"], Float[Array, "env unit"] | None]:
    """Q-values for acting, and the memory after these observations; with noisy layers under the
    noise of this step."""
    params = network.layout.unflatten(vector)
    if size := network.noise_size:
        bits = random_bits(seed, Use.ACTING_NOISE, vector_step, 1, width=size)
        params = perturb(params, as_normals(bits[0]))
    return network.q_step(params, observation, mask, memory)


def epsilon_greedy(
    q_values: Float[Array, "env action"], epsilon: Float[Array, " env"], draws: ActingDraws
) -> UInt32[Array, " env"]:
    """An ε-greedy action for every environment; arguments as for the host's `epsilon_greedy`."""
    greedy = jnp.argmax(q_values, axis=1).astype(jnp.uint32)
    allowed = q_values != -np.inf
    number = as_below(draws.choices, jnp.sum(allowed, axis=1, dtype=jnp.uint32))
    chosen = jnp.cumsum(allowed, axis=1, dtype=jnp.uint32) > number[:, None]
    explored = jnp.argmax(chosen, axis=1).astype(jnp.uint32)
    return jnp.where(draws.coins < epsilon, explored, greedy)
