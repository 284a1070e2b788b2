"""The random numbers that networks ask for: noise of noisy layers, fractions of IQN."""

import numpy as np
from jaxtyping import Float

from frankrl.config import Settings
from frankrl.core.random import Use, normals, uniforms
from frankrl.learning import UpdateDraws
from frankrl.networks import ImplicitHead, QNetwork


def update_draws(
    settings: Settings, network: QNetwork, seed: int, first_update: int, count: int
) -> UpdateDraws:
    """What the next updates need, each a function of the seed and the update's number alone.

    Args:
        settings: the run's.
        network: one of the run's, for what it asks for.
        seed: the run's.
        first_update: number of the first update, from 0.
        count: how many updates to draw for.
    """
    draws = UpdateDraws()
    if size := network.noise_size:
        noise = normals(seed, Use.LEARNING_NOISE, first_update, count, width=2 * size)
        noise = noise.astype(np.float32)
        draws = draws._replace(online_noise=noise[:, :size], target_noise=noise[:, size:])
    if isinstance(network.head, ImplicitHead):
        shape = (2, settings.replay.batch_size, settings.learning.iqn_samples)
        width = int(np.prod(shape))
        table = uniforms(seed, Use.FRACTIONS, first_update, count, width=width)
        table = table.astype(np.float32).reshape(count, *shape)
        draws = draws._replace(fractions=table[:, 0], target_fractions=table[:, 1])
    return draws


def acting_noise(
    network: QNetwork, seed: int, vector_step: int
) -> Float[np.ndarray, " noise"] | None:
    """The noise that all environments act under in one step; none without noisy layers."""
    if not network.noise_size:
        return None
    table = normals(seed, Use.ACTING_NOISE, vector_step, 1, width=network.noise_size)
    return table[0].astype(np.float32)
