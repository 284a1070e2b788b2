"""Distributional targets and losses, held against rlax and against hand-computed numbers."""

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
import scipy.stats
from quiet_rlax import rlax

from frankrl.config import LearningSettings, NetworkSettings
from frankrl.core.types import QuadrupleBatch, Scaling
from frankrl.learning import (
    UpdateDraws,
    batch_target,
    init_learner,
    judge,
    look_ahead,
    mean_of,
    target_says,
    td_errors,
    update,
)
from frankrl.learning.losses import quantile_huber
from frankrl.learning.returns import losses_of, projected, surprises_of, target_of
from frankrl.networks import CategoricalHead, make_q_network, pack

BATCH, INPUTS, ACTIONS, GAMMA = 6, 3, 4, 0.9
KINDS = {
    "c51": {"num_atoms": 11, "value_min": -4.0, "value_max": 4.0},
    "qr": {"num_quantiles": 7},
    "iqn": {"iqn_cosines": 5, "iqn_acting_fractions": 9},
}
SAMPLES = 8


def batch_of(seed=0):
    random = np.random.default_rng(seed)
    observation, following = random.normal(size=(2, BATCH, INPUTS)).astype(np.float32)
    return QuadrupleBatch(
        observation=jnp.asarray(observation),
        action=jnp.asarray(random.integers(0, ACTIONS, BATCH), jnp.uint16),
        reward=jnp.asarray(random.normal(size=BATCH), jnp.float32),
        next_observation=jnp.asarray(following),
        terminated=jnp.asarray(random.random(BATCH) < 0.4),
        num_steps=jnp.asarray(random.integers(1, 4, BATCH), jnp.uint8),
    )


def network_of(kind, seed, **changes):
    settings = NetworkSettings(
        hidden_widths=(6, 5), activation="tanh", distribution=kind, **KINDS[kind], **changes
    )
    network = make_q_network(settings, (INPUTS,), Scaling(), ACTIONS, seed)
    return jax.tree.map(lambda leaf: jnp.asarray(3 * leaf), network)


def draws_of(kind, seed=0):
    if kind != "iqn":
        return UpdateDraws()
    table = np.random.default_rng(seed).random((2, BATCH, SAMPLES)).astype(np.float32)
    return UpdateDraws(fractions=jnp.asarray(table[0]), target_fractions=jnp.asarray(table[1]))


def judged(kind, *, double=False, **settings):
    """Everything of one batch: with outputs of both networks, target and judgement."""
    learning = LearningSettings(gamma=GAMMA, double=double, **settings)
    online, target, batch, draws = (
        network_of(kind, 0),
        network_of(kind, 1),
        batch_of(),
        draws_of(kind),
    )
    says = target_says(learning, target, batch, draws)
    ahead = look_ahead(learning, online, batch, says, draws)
    y = batch_target(learning, online, batch, ahead)
    return online, target, batch, draws, says, y, judge(learning, online, batch, y, draws)


def discounts(batch):
    return jnp.where(batch.terminated, 0.0, GAMMA ** batch.num_steps.astype(jnp.float32))


@pytest.mark.filterwarnings("ignore:Rlax:PendingDeprecationWarning")
@pytest.mark.parametrize("double", [False, True])
def test_c51_agrees_with_rlax(double):
    online, target, batch, _, says, _, seen = judged("c51", double=double)
    support = jnp.asarray(online.head.support())
    outputs, following = online.outputs(batch.observation), says.next_outputs
    selector = online(batch.next_observation) if double else target(batch.next_observation)
    expected = jax.vmap(rlax.categorical_double_q_learning, in_axes=(None, 0, 0, 0, 0, None, 0, 0))(
        support,
        outputs,
        batch.action.astype(int),
        batch.reward,
        discounts(batch),
        support,
        following,
        selector,
    )
    np.testing.assert_allclose(seen.losses, expected, rtol=1e-5)


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("kind", ["qr", "iqn"])
def test_quantile_losses_agree_with_rlax(kind, double):
    online, target, batch, draws, says, _, seen = judged(kind, double=double, huber_delta=1.0)
    outputs = online.outputs(batch.observation, draws.fractions).swapaxes(1, 2)
    selector = (online if double else target).outputs(batch.next_observation).swapaxes(1, 2)
    own = draws.fractions
    if kind == "qr":
        own = jnp.broadcast_to(online.head.fractions(), (BATCH, KINDS["qr"]["num_quantiles"]))
    expected = jax.vmap(rlax.quantile_q_learning, in_axes=(0, 0, 0, 0, 0, 0, 0, None))(
        outputs,
        own,
        batch.action.astype(int),
        batch.reward,
        discounts(batch),
        selector,
        says.next_outputs.swapaxes(1, 2),
        1.0,
    )
    np.testing.assert_allclose(seen.losses, expected, rtol=1e-5)


def test_the_projection_agrees_with_rlax_also_beyond_the_ends():
    head = CategoricalHead(11, -4.0, 4.0)
    random = np.random.default_rng(0)
    returns = jnp.asarray(random.normal(0, 5, (50, 7)), jnp.float32)
    shares = jnp.asarray(random.dirichlet(np.ones(7), 50), jnp.float32)
    expected = jax.vmap(rlax.categorical_l2_project, in_axes=(0, 0, None))(
        jnp.sort(returns, axis=1), shares, jnp.asarray(head.support())
    )
    order = jnp.argsort(returns, axis=1)
    back = jnp.take_along_axis(shares, jnp.argsort(order, axis=1), axis=1)
    np.testing.assert_allclose(projected(head, returns, back), expected, atol=1e-6)


def test_a_return_between_two_atoms_is_shared_by_them():
    head = CategoricalHead(3, 0.0, 2.0)
    found = projected(head, jnp.float32([[1.25, 5.0]]), jnp.float32([[0.8, 0.2]]))
    np.testing.assert_allclose(found, [[0.0, 0.6, 0.4]], atol=1e-6)


def test_the_projection_keeps_the_mean_of_what_lies_between_the_ends():
    head = CategoricalHead(9, -2.0, 2.0)
    random = np.random.default_rng(1)
    returns = random.uniform(-2, 2, (20, 5)).astype(np.float32)
    shares = random.dirichlet(np.ones(5), 20).astype(np.float32)
    found = projected(head, jnp.asarray(returns), jnp.asarray(shares))
    np.testing.assert_allclose(mean_of(head, found), (returns * shares).sum(axis=1), atol=1e-5)


def test_a_quantile_loss_by_hand():
    """Two quantiles 0 and 2 at ¼ and ¾, targets 1 and 5, Huber with δ = 2."""
    found = quantile_huber(
        jnp.float32([[0.0, 2.0]]), jnp.float32([[0.25, 0.75]]), jnp.float32([[1.0, 5.0]]), 2.0
    )
    first = (0.25 * (0.5 * 1**2) / 2 + 0.25 * (2 * (5 - 1)) / 2) / 2
    second = (0.25 * (0.5 * 1**2) / 2 + 0.75 * (2 * (3 - 1)) / 2) / 2
    np.testing.assert_allclose(found, [first + second], rtol=1e-6)


def test_quantile_regression_finds_the_quantiles():
    """Of 1,000 returns, by gradient descent on the loss alone."""
    returns = jnp.asarray(np.sort(np.random.default_rng(0).gumbel(size=1000)), jnp.float32)
    fractions = jnp.float32([[0.1, 0.5, 0.9]])
    slope = jax.jit(jax.grad(lambda q: quantile_huber(q, fractions, returns[None], 0.01)[0]))
    quantiles = jnp.zeros((1, 3))
    for _ in range(2000):
        quantiles -= 0.02 * slope(quantiles)
    np.testing.assert_allclose(quantiles[0], np.quantile(returns, fractions[0]), atol=0.06)


@pytest.mark.parametrize("kind", KINDS)
def test_the_target_of_a_terminated_row_is_its_reward_alone(kind):
    online, _, batch, _, _, y, _ = judged(kind)
    means = mean_of(online.head, y)
    assert bool(batch.terminated.any())
    np.testing.assert_allclose(means[batch.terminated], batch.reward[batch.terminated], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_target_is_that_of_the_means_where_nothing_is_cut_off(kind):
    """y's mean is r + γⁿ · (mean of what the target network says of the best action)."""
    online, _, batch, _, says, y, seen = judged(kind)
    best = says.next_q_values.argmax(axis=1)
    following = says.next_outputs[jnp.arange(BATCH), best]
    if kind == "c51":
        values = (jax.nn.softmax(following) * online.head.support()).sum(axis=1)
    else:
        values = following.mean(axis=1)
    expected = batch.reward + discounts(batch) * values
    inside = jnp.abs(expected) < 0.1 if kind == "c51" else jnp.ones(BATCH, bool)
    found = mean_of(online.head, y)
    np.testing.assert_allclose(found[inside], expected[inside], atol=0.3 if kind == "c51" else 1e-5)
    np.testing.assert_allclose(
        td_errors(online, y, seen.chosen_q), found - seen.chosen_q, atol=1e-6
    )


@pytest.mark.parametrize("kind", KINDS)
def test_no_gradient_reaches_the_target_network(kind):
    learning, batch, draws = LearningSettings(gamma=GAMMA), batch_of(), draws_of(kind)
    online = network_of(kind, 0)

    def loss(target):
        says = target_says(learning, target, batch, draws)
        y = batch_target(learning, online, batch, look_ahead(learning, online, batch, says, draws))
        return judge(learning, online, batch, y, draws).losses.sum()

    slopes = jax.grad(loss)(network_of(kind, 1))
    assert all(bool(jnp.all(leaf == 0)) for leaf in jax.tree.leaves(slopes))


@pytest.mark.parametrize("kind", KINDS)
def test_learning_the_same_batch_brings_q_to_its_target(kind):
    """γ = 0, so the target is the reward."""
    learning = LearningSettings(gamma=0.0, max_gradient_norm=None)
    state, batch = init_learner(learning, network_of(kind, 0)), batch_of()
    step = jax.jit(lambda state, draws: update(learning, state, batch, 1e-2, draws)[0])
    for number in range(1500):
        state = step(state, draws_of(kind, number))
    chosen = state.online(batch.observation)[jnp.arange(BATCH), batch.action]
    np.testing.assert_allclose(chosen, batch.reward, atol=0.15)


@pytest.mark.parametrize(("function", "others"), [(target_of, 3), (losses_of, 4), (mean_of, 1)])
def test_a_head_that_nobody_has_written_functions_for_is_refused(function, others):
    with pytest.raises((NotImplementedError, jaxtyping.TypeCheckError)):
        function(object(), *[None] * others)


def test_fractions_are_asked_of_iqn_alone():
    network, batch = network_of("qr", 0), batch_of()
    packed = pack(network)
    np.testing.assert_array_equal(
        packed.outputs(batch.observation), network.outputs(batch.observation)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_priorities_are_made_of_how_far_apart_the_distributions_are(kind):
    """C51: SciPy's relative entropy. Quantiles: their loss."""
    network, batch = network_of(kind, 0), batch_of()
    settings, draws = LearningSettings(gamma=GAMMA), draws_of(kind)
    says = target_says(settings, pack(network_of(kind, 1)), batch, draws)
    ahead = look_ahead(settings, network, batch, says, draws)
    target = batch_target(settings, network, batch, ahead)
    seen = judge(settings, network, batch, target, draws)
    errors = td_errors(network, target, seen.chosen_q)
    found = surprises_of(network.head, seen.losses, errors, target)
    if kind == "c51":
        expected = scipy.stats.entropy(target, jax.nn.softmax(seen.chosen), axis=-1)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        unavoidable = losses_of(network.head, settings, jnp.log(target + 1e-30), target, None)
        agreed = surprises_of(network.head, unavoidable, errors, target)
        np.testing.assert_allclose(agreed, 0, atol=1e-6)
    else:
        np.testing.assert_array_equal(found, seen.losses)
