"""Networks, batches and noise that are small enough to be computed in another way."""

import jax
import jax.numpy as jnp
import numpy as np

from frankrl.config import Settings
from frankrl.core.types import Transition
from frankrl.environments.leaves import Leaf
from frankrl.learning import UpdateNoise, make_head
from frankrl.networks import QNetwork, make_q_network

INPUTS, ACTIONS, BATCH = 3, 4, 8
KINDS = {
    "mean": {},
    "c51": {"num_atoms": 11, "value_min": -4.0, "value_max": 4.0},
    "qr": {"num_quantiles": 7},
    "iqn": {"iqn_cosines": 5, "iqn_acting_fractions": 9, "iqn_samples": 6},
}
"""Each kind of head, with what belongs to it."""


def settings_of(kind: str = "mean", **changes) -> Settings:
    """Settings of a small network with that kind of head."""
    choices = {"hidden_widths": (5, 6), "distribution": kind, **KINDS[kind], **changes}
    return Settings().with_changes(**choices)


def numbers(*shape: int) -> Leaf:
    """A leaf of plain numbers, alone in its observation."""
    return Leaf("", shape, np.dtype(np.float32))


def network_of(
    settings: Settings,
    *leaves: Leaf,
    num_actions: int = ACTIONS,
    noisy: bool | None = None,
    frame_stack: int = 1,
) -> QNetwork:
    """The definition that settings describe; of `INPUTS` plain numbers where no leaf is given."""
    return make_q_network(
        settings.network,
        leaves or (numbers(INPUTS),),
        num_actions,
        make_head(settings),
        noisy=settings.exploration.noisy if noisy is None else noisy,
        frame_stack=frame_stack,
    )


def in_jax(tree):
    """The same with JAX's arrays."""
    return jax.tree.map(jnp.asarray, tree)


def random_batch(seed: int, size: int = BATCH, gamma: float = 0.99) -> Transition:
    """NumPy transitions of one, two or three steps; some of them end."""
    random = np.random.default_rng(seed)
    observation, following = random.normal(size=(2, size, INPUTS)).astype(np.float32)
    terminated = random.random(size) < 0.3
    num_steps = random.integers(1, 4, size)
    return Transition(
        observation=observation,
        action=random.integers(0, ACTIONS, size).astype(np.uint16),
        reward=(3 * random.normal(size=size)).astype(np.float32),
        next_observation=following,
        discount=np.where(terminated, 0, gamma**num_steps).astype(np.float32),
    )


def random_noise(network: QNetwork, seed: int, size: int = BATCH) -> UpdateNoise:
    """What one update of that network needs."""
    random = np.random.default_rng(seed)
    found = UpdateNoise()
    if network.noise_size:
        noise = random.normal(size=(2, network.noise_size)).astype(np.float32)
        found = found._replace(online_noise=noise[0], target_noise=noise[1])
    if network.head.num_fractions:
        shape = (2, size, network.head.num_fractions)
        fractions = random.random(shape).astype(np.float32)
        found = found._replace(fractions=fractions[0], target_fractions=fractions[1])
    return found


def stacked(given):
    """Several of the same as one, with an axis in front."""
    return jax.tree.map(lambda *parts: np.stack(parts), *given)
