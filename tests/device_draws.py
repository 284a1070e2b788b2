"""Lets the host draw what the device draws, so that both can be compared step by step."""

import jax
import numpy as np

from frankrl import algorithm
from frankrl.core.device_random import episode_seeds, random_bits, seed_words
from frankrl.core.random import Use
from frankrl.environments import gymnasium_vector
from frankrl.experience import host_source
from frankrl.replay import host_samplers, prioritised

BITS = jax.jit(random_bits, static_argnums=(1, 3, 4))


def bits(seed, use, start, count, width):
    """Random bits of the device."""
    return np.asarray(BITS(seed_words(seed), use, np.uint32(start), count, width))


def draw_on_the_device(monkeypatch):
    """Let the host draw what the device draws, as 64-bit numbers."""

    def exploration(seed, env_steps, num_envs):
        found = bits(seed, Use.EXPLORATION, env_steps, num_envs, 2)
        return (found[:, 0] >> 8) / 2**24, found[:, 1] / 2**32

    def reset(seed, use, env_index, episode):
        episodes = np.full(env_index + 1, episode, np.uint32)
        return int(episode_seeds(seed_words(seed), use, episodes, 2**31 - 2**21)[-1])

    for module in (algorithm, host_source):
        monkeypatch.setattr(module, "exploration_draws", exploration)
    monkeypatch.setattr(
        host_samplers, "uniforms", lambda *given, width: bits(*given, width) / 2**32
    )
    monkeypatch.setattr(
        prioritised,
        "uniforms",
        lambda *given, width: ((bits(*given, width) >> 8) / 2**24).astype(np.float32),
    )
    monkeypatch.setattr(gymnasium_vector, "reset_seed", reset)
