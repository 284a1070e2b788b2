"""Random numbers of updates; they depend only on the seed and the number of the update."""

import jax
import numpy as np

from frankrl.core.random import Use, normals, uniforms
from frankrl.learning import UpdateNoise
from frankrl.networks import QNetwork


def update_noise(
    network: QNetwork, batch_size: int, seed: int, first_update: int, count: int
) -> UpdateNoise:
    """Noise and fractions of some updates.

    Args:
        network: decides which random numbers are needed.
        batch_size: transitions per update.
        seed: the run's seed.
        first_update: number of the first update, from 0.
        count: number of updates.
    """
    found = UpdateNoise()
    if size := network.noise_size:
        noise = normals(seed, Use.LEARNING_NOISE, first_update, count, width=2 * size)
        noise = noise.astype(np.float32)
        found = found._replace(online_noise=noise[:, :size], target_noise=noise[:, size:])
    if samples := network.head.num_fractions:
        shape = (2, batch_size, samples)
        table = uniforms(seed, Use.FRACTIONS, first_update, count, width=int(np.prod(shape)))
        table = table.astype(np.float32).reshape(count, *shape)
        found = found._replace(fractions=table[:, 0], target_fractions=table[:, 1])
    return found


def noise_shapes(network: QNetwork, batch_size: int) -> UpdateNoise:
    """Shapes of the random numbers of one update; allocates no memory.

    Arguments as for `update_noise`.
    """
    shapes = UpdateNoise()
    if size := network.noise_size:
        noise = jax.ShapeDtypeStruct((size,), np.float32)
        shapes = shapes._replace(online_noise=noise, target_noise=noise)
    if samples := network.head.num_fractions:
        fractions = jax.ShapeDtypeStruct((batch_size, samples), np.float32)
        shapes = shapes._replace(fractions=fractions, target_fractions=fractions)
    return shapes
