"""Targets, gradients and metrics where some actions are not allowed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from learning_run import UPDATE, UPDATES, begun, setup
from small_networks import ACTIONS, BATCH, KINDS, in_jax, random_batch, random_noise, stacked

from frankrl.core.types import Scaling, Transition
from frankrl.learning import NO_NOISE, ExpectedHead, UpdateMetrics
from frankrl.learning.loss_terms import batch_targets, bootstrap, target_outputs
from frankrl.networks import Encoder, Flatten, LayeredNetwork, NetworkParams, Readout, Table

TARGET_Q, ONLINE_Q = [2.0, 5.0, 3.0], [4.0, 9.0, 1.0]
LOOKUP = LayeredNetwork(
    Encoder((Flatten((1,), Scaling()),)), Readout((), "relu", Table(3), ExpectedHead())
)
"""Q-values whatever the state, where an observation is a one."""


def random_masks(random, size):
    """Masks that allow at least one action each."""
    allowed = random.random((size, ACTIONS)) < 0.5
    allowed[np.arange(size), random.integers(0, ACTIONS, size)] = True
    return allowed


def masked_batch(seed, size=BATCH):
    random = np.random.default_rng(seed)
    mask, next_mask = random_masks(random, size), random_masks(random, size)
    actions = [random.choice(np.flatnonzero(row)) for row in mask]
    return random_batch(seed, size)._replace(
        action=np.array(actions, np.uint16), mask=mask, next_mask=next_mask
    )


def targets_of(made, params, target_params, batch, noise=NO_NOISE):
    learning, network = made
    outputs = target_outputs(learning, network, target_params, batch, noise)
    following = bootstrap(learning, network, params, batch, outputs, noise)
    return batch_targets(network.head, batch, following)


TARGETS = jax.jit(targets_of, static_argnums=0)


@pytest.mark.parametrize(
    ("double", "discount", "allowed", "expected"),
    [
        # y = 1 + ½ · 3: the 5 is not allowed.
        (False, 0.5, [True, False, True], 2.5),
        # Of 4 and 1 the Q-network picks the first action: y = 1 + ½ · 2.
        (True, 0.5, [True, False, True], 2.0),
        (False, 0.0, [True, False, True], 1.0),
        (True, 0.0, [True, False, True], 1.0),
        # After an end there may be nothing left to do.
        (False, 0.0, [False, False, False], 1.0),
        (True, 0.0, [False, False, False], 1.0),
    ],
)
def test_the_target_takes_its_maximum_over_allowed_actions(double, discount, allowed, expected):
    target, online = (
        NetworkParams(((),), (), jnp.array([values]), ()) for values in (TARGET_Q, ONLINE_Q)
    )
    batch = Transition(
        observation=jnp.ones((1, 1)),
        action=jnp.array([0], jnp.uint16),
        reward=jnp.array([1.0]),
        next_observation=jnp.ones((1, 1)),
        discount=jnp.array([discount]),
        mask=jnp.ones((1, 3), bool),
        next_mask=jnp.array([allowed]),
    )
    learning = setup(double=double).learning
    assert TARGETS((learning, LOOKUP), online, target, batch).tolist() == [expected]


NEXT_ALLOWED = np.array([True, False, True, False])


def praising(network, params):
    """The same parameters, but of what is not allowed the network expects the most."""
    size = network.head.atoms or 1
    bias = np.array(params.output.bias).reshape(ACTIONS, size)
    bias[~NEXT_ALLOWED] += 1e4 * np.linspace(0.5, 1, size)
    return params._replace(output=params.output._replace(bias=bias.ravel()))


@pytest.mark.parametrize(
    ("kind", "choice"),
    [
        *((kind, choice) for kind in KINDS for choice in ("plain", "double")),
        *((kind, "munchausen") for kind in KINDS if kind != "c51"),
    ],
)
def test_what_is_not_allowed_next_never_counts_in_a_target(kind, choice):
    """However much both networks expect of it; nor what is not allowed in s, with Munchausen."""
    made = setup(kind, **({} if choice == "plain" else {choice: True}))
    network, noise = made.network, random_noise(made.network, 0)
    batch = random_batch(0)._replace(action=np.zeros(BATCH, np.uint16))
    honest = network.init(0), network.init(1)
    tempted = tuple(praising(network, params) for params in honest)

    def targets(params, mask):
        mask = np.broadcast_to(mask, (BATCH, ACTIONS))
        return np.asarray(TARGETS(made, *params, batch._replace(mask=mask, next_mask=mask), noise))

    found = targets(tempted, NEXT_ALLOWED)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, targets(honest, NEXT_ALLOWED), rtol=1e-6)
    assert np.abs(targets(tempted, True) - targets(honest, True)).max() > 0.1


@pytest.mark.parametrize(
    "made",
    [
        setup(dueling=True, layer_norm=True, polyak_window_updates=5),
        setup("c51", double=True),
        setup("qr", munchausen=True),
    ],
    ids=["mean", "c51", "qr"],
)
def test_every_number_of_masked_updates_is_finite(made):
    batches = stacked([masked_batch(seed) for seed in range(10)])
    noise = stacked([random_noise(made.network, seed) for seed in range(10)])
    weights = np.ones((10, BATCH), np.float32)
    found = UPDATES(*made, begun(made), batches, 1e-2, noise, weights)
    for leaf in jax.tree.leaves(found):
        assert np.isfinite(leaf).all()


def test_where_nothing_of_the_future_counts_a_mask_changes_no_gradient():
    """The mask only hides what was not taken: the weights move as they do without it."""
    made = setup(optimiser="sgd", max_gradient_norm=None)
    batch = masked_batch(3)._replace(discount=np.zeros(BATCH, np.float32))
    begin = begun(made)
    found, output = UPDATE(*made, begin, batch, 0.1)
    expected, plain = UPDATE(*made, begin, batch._replace(mask=None, next_mask=None), 0.1)
    np.testing.assert_allclose(found.params, expected.params, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(output.td_errors, plain.td_errors, rtol=1e-6)
    assert np.abs(found.params - begin.params).max() > 1e-3


def test_the_reported_largest_q_values_are_those_of_allowed_actions():
    made, batch = setup(), masked_batch(1)
    begin = begun(made)
    _, output = UPDATE(*made, begin, batch, 0.1)
    params = in_jax(made.network.init(0))
    q_values = np.asarray(made.network.q_values(params, jnp.asarray(batch.observation)))
    expected = [row[allowed].max() for row, allowed in zip(q_values, batch.mask, strict=True)]
    assert float(UpdateMetrics(*output.metrics).mean_max_q) == pytest.approx(
        np.mean(expected), rel=1e-5
    )
