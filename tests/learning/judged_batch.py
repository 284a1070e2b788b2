"""One batch as two networks judge it, for tests of the kinds of heads."""

import functools
from typing import Any, NamedTuple

import jax
from small_networks import KINDS, network_of, random_batch, random_noise, settings_of

from frankrl.core.types import Transition
from frankrl.learning import UpdateNoise, predictions
from frankrl.learning.loss_terms import (
    Bootstrap,
    Predictions,
    TargetOutputs,
    batch_targets,
    bootstrap,
    target_outputs,
)
from frankrl.networks import NetworkParams, QNetwork

GAMMA = 0.9


class JudgedBatch(NamedTuple):
    """Everything that an update computes of a batch before its gradient, by JAX; what it was given
    is NumPy's."""

    network: QNetwork
    params: NetworkParams
    target_params: NetworkParams
    batch: Transition
    noise: UpdateNoise
    outputs: TargetOutputs
    bootstrap: Bootstrap
    targets: Any
    predictions: Predictions


def params_of(network: QNetwork, seed: int) -> NetworkParams:
    """Weights three times as large as at the beginning, so that networks are far apart."""
    return jax.tree.map(lambda leaf: 3 * leaf, network.init(seed))


@functools.cache
def judged(kind: str, **changes) -> JudgedBatch:
    """A batch, judged by the Q-network of seed 0 and the target network of seed 1."""
    assert kind in KINDS
    settings = settings_of(kind, activation="tanh", gamma=GAMMA, **changes)
    learning, network = settings.learning, network_of(settings)
    batch, noise = random_batch(0, gamma=GAMMA), random_noise(network, 0)
    params, target_params = params_of(network, 0), params_of(network, 1)

    @jax.jit
    def judge(params, target_params, batch, noise):
        outputs = target_outputs(learning, network, target_params, batch, noise)
        following = bootstrap(learning, network, params, batch, outputs, noise)
        targets = batch_targets(network.head, batch, following)
        return outputs, following, targets, predictions(network, params, batch, targets, noise)

    return JudgedBatch(
        network, params, target_params, batch, noise, *judge(params, target_params, batch, noise)
    )
