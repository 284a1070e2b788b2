"""Saliency: which pixels the value of a state depends on.

Source: Simonyan et al. (2013). https://arxiv.org/abs/1312.6034
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from frankrl.core.errors import SettingError
from frankrl.core.normalisation import Scales
from frankrl.core.numerics import own_numerics
from frankrl.core.types import Observation, Params
from frankrl.environments import EnvironmentSpec, PictureAxes
from frankrl.explaining.pictures import picture_leaves
from frankrl.networks import QNetwork

_FULL = 99
"""The percentile of a map's pixels that becomes 1."""

Map = Float[np.ndarray, "height width"]
SaliencyMaps = Callable[
    [Observation, Bool[np.ndarray, "1 action"] | None, Float[np.ndarray, "1 unit"] | None],
    list[Map],
]
"""Gives the map of each picture leaf, for a batch of one observation, its action mask, and what the
network remembers from before; None for the start of an episode, or without memory."""


@functools.partial(jax.jit, static_argnums=(0, 1))
def value_gradients(
    network: QNetwork,
    which: tuple[int, ...],
    params: Params,
    observation: Observation,
    mask: Bool[Array, "batch action"] | None = None,
    memory: Float[Array, "batch unit"] | None = None,
) -> list[Float[Array, "batch *leaf"]]:
    """∂ max_a Q(s, a; θ) / ∂ x for each number x of some leaves of an observation.

    The gradient is taken at float32 copies of the leaves, in the units of the observation: a
    picture of bytes gives the change of the value per step of brightness. The memory from before
    stays as it is.

    Args:
        network: the definition of the Q-network.
        which: positions of these leaves, in the order of `jax.tree.leaves`.
        params: θ.
        observation: a batch of observations.
        mask: which actions are allowed; None: all.
        memory: what the network remembers from before; None for a network without memory.
    """
    leaves, structure = jax.tree.flatten(observation)

    def values(numbers: list[Float[Array, "batch *leaf"]]) -> Float[Array, ""]:
        given = list(leaves)
        for position, leaf in zip(which, numbers, strict=True):
            given[position] = leaf
        q_values, _ = network.q_step(params, structure.unflatten(given), mask, memory)
        # An observation's value depends on its own pixels only, so the sum keeps them apart.
        return jnp.sum(jnp.max(q_values, axis=-1))

    return jax.grad(values)([leaves[position].astype(jnp.float32) for position in which])


def saliency_map(axes: PictureAxes, gradient: Float[np.ndarray, "*leaf"]) -> Map:
    """|gradient| at each pixel of the newest picture, summed over its channels, from 0 to 1.

    Its 99th percentile becomes 1. If that is 0, because few pixels count at all, its maximum does.

    Args:
        axes: how the leaf forms pictures.
        gradient: gradient with respect to the leaf of one observation.
    """
    pixels = axes.channels_last(np.abs(gradient)[np.newaxis])[0]
    newest = pixels[:, :, -axes.channels :].sum(axis=2)
    full = np.percentile(newest, _FULL) or newest.max()
    return np.minimum(newest / full, 1) if full else newest


def saliency_maps(
    network: QNetwork, params: Params, spec: EnvironmentSpec, scales: Scales | None = None
) -> SaliencyMaps:
    """The function that computes the saliency of an observation.

    Args:
        network: the definition of the Q-network.
        params: θ.
        spec: the environment.
        scales: how observations are normalised before the network gets them; None: they are not,
            or are already.

    Raises:
        SettingError: no leaf of its observations is a picture.
    """
    check_pictures(spec)
    found = picture_leaves(spec)
    which, on_device = tuple(found), jax.device_put(params)

    @own_numerics()
    def maps(observation: Observation, mask: Any, memory: Any) -> list[Map]:
        if scales is not None:
            observation = scales.of_observation(observation)
        if memory is None:
            memory = network.initial_memory(1)
        gradients = value_gradients(network, which, on_device, observation, mask, memory)
        return [
            saliency_map(leaf.axes, np.asarray(gradient)[0])
            for leaf, gradient in zip(found.values(), gradients, strict=True)
        ]

    return maps


def check_pictures(spec: EnvironmentSpec) -> None:
    """Check that an environment's observations hold a picture, for the option `--saliency`.

    Raises:
        SettingError: they hold none.
    """
    if not picture_leaves(spec):
        raise SettingError(
            f"--saliency shows which pixels count, and the observations of {spec.env_id} hold no "
            "picture: leave it out"
        )
