"""The random numbers of updates: a function of the seed and the update's number alone."""

import jax
import numpy as np

from frankrl.core.random import Use, normals, uniforms
from frankrl.learning import UpdateNoise
from frankrl.networks import QNetwork


def update_noise(
    network: QNetwork, batch_size: int, seed: int, first_update: int, count: int
) -> UpdateNoise:
    """What the next updates need of noise and fractions.

    Args:
        network: for what it asks for.
        batch_size: transitions of an update.
        seed: the run's.
        first_update: number of the first update, from 0.
        count: how many updates to draw for.
    """
    drawn = UpdateNoise()
    if size := network.noise_size:
        noise = normals(seed, Use.LEARNING_NOISE, first_update, count, width=2 * size)
        noise = noise.astype(np.float32)
        drawn = drawn._replace(online_noise=noise[:, :size], target_noise=noise[:, size:])
    if samples := network.head.num_fractions:
        shape = (2, batch_size, samples)
        table = uniforms(seed, Use.FRACTIONS, first_update, count, width=int(np.prod(shape)))
        table = table.astype(np.float32).reshape(count, *shape)
        drawn = drawn._replace(fractions=table[:, 0], target_fractions=table[:, 1])
    return drawn


def noise_shapes(network: QNetwork, batch_size: int) -> UpdateNoise:
    """The shapes of what one update needs of them; no memory is taken for them.

    Arguments are those of `update_noise`.
    """
    shapes = UpdateNoise()
    if size := network.noise_size:
        noise = jax.ShapeDtypeStruct((size,), np.float32)
        shapes = shapes._replace(online_noise=noise, target_noise=noise)
    if samples := network.head.num_fractions:
        fractions = jax.ShapeDtypeStruct((batch_size, samples), np.float32)
        shapes = shapes._replace(fractions=fractions, target_fractions=fractions)
    return shapes
