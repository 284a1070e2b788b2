"""The gradient step: against NumPy with derivatives by hand, against rlax and optax."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from learning_run import RATE, UPDATE, UPDATES, begun, learn, setup, step
from numpy_learner import NumpyLearner, arrays, forward
from quiet_rlax import rlax
from small_networks import (
    BATCH,
    KINDS,
    in_jax,
    random_batch,
    random_noise,
    stacked,
)

from frankrl.learning import UpdateMetrics, learning_rate_at, update

ROWS = np.arange(BATCH)
NETWORK = setup().network
"""Its layers are those of every small network whose head is a mean."""


def unflat(vector):
    return NETWORK.layout.unflatten(np.asarray(vector))


def q_values(vector, observation):
    return NETWORK.q_values(unflat(vector), observation)


@pytest.mark.parametrize(
    "made",
    [
        setup(max_gradient_norm=None, target_period_updates=100),
        setup(max_gradient_norm=0.5, target_period_updates=3),
        setup(double=True, max_gradient_norm=None, target_period_updates=2),
        setup(loss="huber", huber_delta=0.7, target_period_updates=4),
        setup(loss="huber", double=True, max_gradient_norm=0.1, adam_epsilon=1e-3),
        setup(tau=0.1, target_period_updates=1, max_gradient_norm=None),
        setup(tau=0.5, target_period_updates=3),
        setup(optimiser="sgd", target_period_updates=2),
        setup(optimiser="sgd", max_gradient_norm=None, tau=0.3, double=True),
    ],
    ids=["notes", "clip", "double", "huber", "all", "follow", "half", "descent", "descent_follow"],
)
def test_ten_updates_agree_with_numpy_and_derivatives_by_hand(made):
    oracle = NumpyLearner(made.learning, NETWORK.init(0))
    states, metrics = learn(made, 10)
    for number, (state, own) in enumerate(zip(states[1:], metrics, strict=True)):
        batch = random_batch(number)
        outputs = forward(oracle.online, batch.observation)[-1]
        chosen = outputs[ROWS, batch.action]
        oracle.update(batch, RATE)
        for vector, wanted in ((state.params, oracle.online), (state.target_params, oracle.target)):
            for found, expected in zip(arrays(unflat(vector)), wanted, strict=True):
                np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-5)
        expected = {
            "loss": oracle.loss,
            "mean_q": chosen.mean(),
            "mean_max_q": outputs.max(axis=1).mean(),
            "mean_target": oracle.y.mean(),
            "mean_abs_td_error": np.abs(oracle.y - chosen).mean(),
            "gradient_norm": oracle.norm,
        }
        assert own._asdict() == pytest.approx(expected, rel=2e-3, abs=1e-4)


@pytest.mark.parametrize("double", [False, True])
def test_one_update_agrees_with_rlax_and_optax(double):
    made = setup(double=double, loss="huber", max_gradient_norm=None)
    batch, online, frozen = random_batch(0), NETWORK.init(0), in_jax(NETWORK.init(1))
    action = batch.action.astype(np.int32)

    def loss(params, batch):
        q = NETWORK.q_values(params, batch.observation)
        following = NETWORK.q_values(frozen, batch.next_observation)
        given = (q, action, batch.reward, batch.discount, following)
        if double:
            picker = NETWORK.q_values(params, batch.next_observation)
            errors = jax.vmap(rlax.double_q_learning)(*given, picker)
        else:
            errors = jax.vmap(rlax.q_learning)(*given)
        return jnp.mean(rlax.huber_loss(errors))

    @jax.jit
    def adam_step(params, batch):
        adam = optax.adam(RATE)
        moved, _ = adam.update(jax.grad(loss)(params, batch), adam.init(params), params)
        return optax.apply_updates(params, moved)

    expected = adam_step(online, batch)

    state = dataclasses.replace(begun(made), target_params=NETWORK.layout.flatten(frozen))
    found, _ = step(made, state, batch)
    for a, b in zip(arrays(unflat(found.params)), arrays(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("double", [False, True])
def test_no_gradient_reaches_the_target_network(double):
    made = setup(double=double)
    state, batch = begun(made), in_jax(random_batch(0))

    def loss(target_params):
        moved = dataclasses.replace(state, target_params=target_params)
        return update(*made, moved, batch, RATE)[1].metrics[0]

    assert not jax.jit(jax.grad(loss))(state.target_params).any()


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_that_of_the_loss_with_its_target_held_fixed(kind):
    """By differences of the loss along a random direction."""
    made = setup(kind, optimiser="sgd", max_gradient_norm=None)
    batch, noise, begin = random_batch(0), random_noise(made.network, 0), begun(made)

    def moved_by(rate, state):
        return UPDATE(*made, state, batch, rate, noise)

    after, _ = moved_by(1.0, begin)
    gradient = np.asarray(begin.params - after.params, np.float64)
    direction = np.random.default_rng(0).normal(size=gradient.size)
    direction /= np.linalg.norm(direction)
    width = 0.01
    losses = []
    for sign in (1, -1):
        params = begin.params + np.float32(sign * width * direction)
        losses.append(float(moved_by(0.0, dataclasses.replace(begin, params=params))[1].metrics[0]))
    assert (losses[0] - losses[1]) / (2 * width) == pytest.approx(
        gradient @ direction, rel=0.02, abs=2e-3
    )


def test_the_double_switch_changes_the_update_only_once_the_networks_differ():
    plain, _ = learn(setup(), 2)
    double, _ = learn(setup(double=True), 2)
    np.testing.assert_allclose(plain[1].params, double[1].params, rtol=1e-5)
    assert not np.array_equal(plain[2].params, double[2].params)


def test_the_gradient_norm_is_reported_before_clipping():
    _, clipped = learn(setup(max_gradient_norm=1e-3), 1)
    _, free = learn(setup(max_gradient_norm=None), 1)
    assert float(clipped[0].gradient_norm) == pytest.approx(float(free[0].gradient_norm), rel=1e-6)
    assert float(free[0].gradient_norm) > 1e-3


def test_a_gradient_below_the_limit_is_left_as_it_is():
    roomy, _ = learn(setup(max_gradient_norm=1e6), 3)
    free, _ = learn(setup(max_gradient_norm=None), 3)
    np.testing.assert_allclose(roomy[-1].params, free[-1].params, rtol=1e-6, atol=1e-8)


def test_a_learning_rate_of_zero_moves_nothing():
    states, _ = learn(setup(), 3, rate=0.0)
    np.testing.assert_array_equal(states[0].params, states[-1].params)


def test_the_learning_rate_stays_where_no_end_is_given():
    made = setup(learning_rate=3e-4)
    assert [learning_rate_at(made.learning, n) for n in (0, 50, 1000)] == [3e-4] * 3


@pytest.mark.parametrize("end", [2e-3, 5e-2])
def test_the_learning_rate_moves_linearly_and_then_stays(end):
    made = setup(learning_rate=1e-2, learning_rate_end=end, learning_rate_decay_env_steps=50)
    found = [learning_rate_at(made.learning, n) for n in range(201)]
    expected = np.interp(np.arange(201), [0, 50], [1e-2, end])
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_decay_without_a_duration_is_refused():
    with pytest.raises(ValueError, match=r"call Settings\.resolved first"):
        learning_rate_at(setup(learning_rate_end=1e-4).learning, 0)


def repeated_batch(batch, count):
    return jax.tree.map(lambda rows: np.broadcast_to(rows, (count, *rows.shape)), batch)


def test_updates_on_the_same_batch_bring_q_to_the_notes_target():
    made = setup(target_period_updates=10**6)
    batch, state = random_batch(0), begun(made)
    values = q_values(state.target_params, batch.next_observation).max(axis=1)
    y = batch.reward + batch.discount * values
    state, output = UPDATES(*made, state, repeated_batch(batch, 1500), RATE)
    chosen = q_values(state.params, batch.observation)[ROWS, batch.action]
    np.testing.assert_allclose(chosen, y, atol=0.05)
    assert UpdateMetrics(*output.metrics[-1]).loss < 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_learning_the_same_batch_brings_the_mean_of_every_head_to_its_target(kind):
    """Without a discount, so the target is the reward."""
    made = setup(kind, max_gradient_norm=None)
    network = made.network
    batch = random_batch(0)._replace(
        discount=np.zeros(BATCH, np.float32),
        reward=np.linspace(-3, 3, BATCH, dtype=np.float32),
    )
    noise = in_jax(stacked([random_noise(network, number) for number in range(1500)]))
    state, _ = UPDATES(*made, begun(made), repeated_batch(batch, 1500), 2e-2, noise)
    params = network.layout.unflatten(np.asarray(state.params))
    chosen = network.q_values(params, batch.observation)[ROWS, batch.action]
    np.testing.assert_allclose(chosen, batch.reward, atol=0.15)


def test_weights_multiply_each_transitions_loss_and_gradient():
    """The same as a batch in which each transition stands as often as its weight says."""
    made = setup(loss="huber", optimiser="sgd", max_gradient_norm=None)
    batch, state = random_batch(0), begun(made)
    counts = np.array([0, 1, 2, 3, 0, 1, 0, 1])
    weighted, output = UPDATE(*made, state, batch, RATE, weights=counts.astype(np.float32))
    repeated = jax.tree.map(lambda rows: np.repeat(rows, counts, axis=0), batch)
    plain, plain_output = UPDATE(*made, state, repeated, RATE)
    np.testing.assert_allclose(weighted.params, plain.params, atol=1e-6)
    loss = UpdateMetrics(*output.metrics).loss
    assert float(loss) == pytest.approx(float(plain_output.metrics[0]), rel=1e-5)


def test_td_errors_and_priorities_are_those_before_the_update():
    made = setup()
    states, _ = learn(made, 3)
    batch, state = random_batch(3), states[-1]
    weights = np.linspace(0.1, 1, BATCH, dtype=np.float32)
    _, output = UPDATE(*made, state, batch, RATE, weights=weights)
    _, unweighted = UPDATE(*made, state, batch, RATE)
    follows = q_values(state.target_params, batch.next_observation).max(axis=1)
    y = batch.reward + batch.discount * follows
    expected = y - q_values(state.params, batch.observation)[ROWS, batch.action]
    np.testing.assert_allclose(output.td_errors, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(unweighted.td_errors, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(output.priorities, np.abs(output.td_errors), rtol=1e-6)
    assert unweighted.priorities is None
