import copy
import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from quiet_rlax import rlax

from frankrl.config import LearningSettings, NetworkSettings
from frankrl.core.types import QuadrupleBatch, Scaling
from frankrl.learning import (
    UpdateStatistics,
    init_learner,
    learning_rate_at,
    update,
    updates,
)
from frankrl.learning import learner as learner_module
from frankrl.networks import PackedNetwork, make_q_network, pack

RATE, BATCH, INPUTS, ACTIONS = 1e-2, 8, 3, 4
BETA1, BETA2 = 0.9, 0.999


def network(seed=0, widths=(5, 6)):
    settings = NetworkSettings(hidden_widths=widths, activation="tanh")
    return make_q_network(settings, (INPUTS,), Scaling(), ACTIONS, seed)


def random_batch(seed):
    random = np.random.default_rng(seed)
    observation, following = random.normal(size=(2, BATCH, INPUTS)).astype(np.float32)
    return QuadrupleBatch(
        observation=observation,
        action=random.integers(0, ACTIONS, BATCH).astype(np.uint16),
        reward=(3 * random.normal(size=BATCH)).astype(np.float32),
        next_observation=following,
        terminated=random.random(BATCH) < 0.3,
        num_steps=random.integers(1, 4, BATCH).astype(np.uint8),
    )


def one_update(settings, state, batch, rate):
    """The update, and the target network's copy when it is due."""
    batches = jax.tree.map(lambda rows: rows[None], batch)
    state, table, *_ = updates(settings, state, batches, jnp.uint32(1), rate)
    return state, UpdateStatistics(*table[0])


STEP = jax.jit(one_update, static_argnums=0)


@functools.cache
def learn(settings, num_updates, rate=RATE):
    """States after 0, 1, … updates, each on a batch of its own."""
    states, statistics = [init_learner(settings, network())], []
    for number in range(num_updates):
        state, figures = STEP(settings, states[-1], random_batch(number), rate)
        states.append(state)
        statistics.append(figures)
    return states, statistics


def weights(network):
    """Float64 arrays W₁, b₁, W₂, b₂, …"""
    if isinstance(network, PackedNetwork):
        network = network.network()
    return [np.array(a, np.float64) for layer in network.layers for a in (layer.weight, layer.bias)]


def leaves(tree):
    return [np.array(leaf) for leaf in jax.tree.leaves(tree)]


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(leaves(first), leaves(second), strict=True))


def numpy_forward(parameters, x):
    """Activations of every layer, the last one linear."""
    activations = [x]
    for index in range(0, len(parameters), 2):
        x = x @ parameters[index] + parameters[index + 1]
        if index + 2 < len(parameters):
            x = np.tanh(x)
        activations.append(x)
    return activations


class NumpyLearner:
    """The same algorithm in float64, with derivatives by hand."""

    def __init__(self, settings, network):
        self.settings = settings
        self.online = weights(network)
        self.target = copy.deepcopy(self.online)
        self.first = [np.zeros_like(p) for p in self.online]
        self.second = [np.zeros_like(p) for p in self.online]
        self.updates = 0

    def gradient(self, batch):
        settings, rows = self.settings, np.arange(BATCH)
        values = numpy_forward(self.target, batch.next_observation)[-1]
        picker = numpy_forward(self.online, batch.next_observation)[-1]
        best = np.argmax(picker if settings.double else values, axis=1)
        future = settings.gamma ** batch.num_steps.astype(float) * values[rows, best]
        self.y = batch.reward + np.where(batch.terminated, 0, future)
        activations = numpy_forward(self.online, batch.observation)
        error = self.y - activations[-1][rows, batch.action]
        if settings.loss == "mse":
            self.loss, slope = np.mean(error**2), 2 * error
        else:
            delta, size = settings.huber_delta, np.abs(error)
            parts = np.where(size <= delta, error**2 / 2, delta * (size - delta / 2))
            self.loss, slope = np.mean(parts), np.clip(error, -delta, delta)
        flowing = np.zeros((BATCH, ACTIONS))
        flowing[rows, batch.action] = -slope / BATCH
        gradients = []
        for index in range(len(self.online) - 2, -1, -2):
            below = activations[index // 2]
            gradients = [below.T @ flowing, flowing.sum(axis=0), *gradients]
            flowing = flowing @ self.online[index].T * (1 - below**2)
        return gradients

    def update(self, batch, rate):
        gradients = self.gradient(batch)
        self.norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
        most = self.settings.max_gradient_norm
        if most is not None and self.norm > most:
            gradients = [g * most / self.norm for g in gradients]
        self.updates += 1
        if self.settings.optimiser == "sgd":
            for p, g in zip(self.online, gradients, strict=True):
                p -= rate * g
            return self.refresh()
        for p, m, v, g in zip(self.online, self.first, self.second, gradients, strict=True):
            m[...] = BETA1 * m + (1 - BETA1) * g
            v[...] = BETA2 * v + (1 - BETA2) * g**2
            unbiased = m / (1 - BETA1**self.updates), v / (1 - BETA2**self.updates)
            p -= rate * unbiased[0] / (np.sqrt(unbiased[1]) + self.settings.adam_epsilon)
        return self.refresh()

    def refresh(self):
        tau = self.settings.tau
        if self.updates % self.settings.target_period_updates == 0:
            pairs = zip(self.target, self.online, strict=True)
            self.target = [(1 - tau) * old + tau * new for old, new in pairs]


@pytest.mark.parametrize(
    "settings",
    [
        LearningSettings(max_gradient_norm=None, target_period_updates=100),
        LearningSettings(max_gradient_norm=0.5, target_period_updates=3),
        LearningSettings(double=True, max_gradient_norm=None, target_period_updates=2),
        LearningSettings(loss="huber", huber_delta=0.7, gamma=0.9, target_period_updates=4),
        LearningSettings(loss="huber", double=True, max_gradient_norm=0.1, adam_epsilon=1e-3),
        LearningSettings(tau=0.1, target_period_updates=1, max_gradient_norm=None),
        LearningSettings(tau=0.5, target_period_updates=3),
        LearningSettings(optimiser="sgd", target_period_updates=2),
        LearningSettings(optimiser="sgd", max_gradient_norm=None, tau=0.3, double=True),
    ],
    ids=["notes", "clip", "double", "huber", "all", "follow", "half", "descent", "descent_follow"],
)
def test_ten_updates_agree_with_numpy_and_derivatives_by_hand(settings):
    oracle = NumpyLearner(settings, network())
    states, statistics = learn(settings, 10)
    for number, (state, figures) in enumerate(zip(states[1:], statistics, strict=True)):
        batch = random_batch(number)
        q_values = numpy_forward(oracle.online, batch.observation)[-1]
        chosen = q_values[np.arange(BATCH), batch.action]
        oracle.update(batch, RATE)
        for found, expected in zip(weights(state.online), oracle.online, strict=True):
            np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-5)
        for found, expected in zip(weights(state.target), oracle.target, strict=True):
            np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-5)
        expected = {
            "loss": oracle.loss,
            "mean_q": chosen.mean(),
            "mean_max_q": q_values.max(axis=1).mean(),
            "mean_target": oracle.y.mean(),
            "mean_abs_td_error": np.abs(oracle.y - chosen).mean(),
            "gradient_norm": oracle.norm,
        }
        assert figures._asdict() == pytest.approx(expected, rel=2e-3, abs=1e-4)


@pytest.mark.parametrize("double", [False, True])
def test_one_update_agrees_with_rlax_and_optax(double):
    settings = LearningSettings(double=double, loss="huber", max_gradient_norm=None)
    batch, online = random_batch(0), jax.tree.map(jnp.asarray, network(0))
    frozen = jax.tree.map(jnp.asarray, network(1))
    discount = jnp.where(batch.terminated, 0.0, 0.99**batch.num_steps)
    action = batch.action.astype(np.int32)

    def loss(network):
        q, following = network(batch.observation), frozen(batch.next_observation)
        if double:
            picker = network(batch.next_observation)
            errors = jax.vmap(rlax.double_q_learning)(
                q, action, batch.reward, discount, following, picker
            )
        else:
            errors = jax.vmap(rlax.q_learning)(q, action, batch.reward, discount, following)
        return jnp.mean(rlax.huber_loss(errors))

    adam = optax.adam(RATE)
    step, _ = adam.update(jax.jit(jax.grad(loss))(online), adam.init(online), online)
    expected = optax.apply_updates(online, step)

    state = init_learner(settings, network(0))
    state = dataclasses.replace(state, target=pack(frozen))
    found, _ = STEP(settings, state, batch, RATE)

    for a, b in zip(weights(found.online), weights(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_the_target_network_starts_as_a_copy():
    given = network()
    state = init_learner(LearningSettings(), given)
    assert same(state.online.network(), given)
    assert same(state.target.network(), given)
    assert state.num_updates == 0


@pytest.mark.parametrize("period", [1, 3, 4])
def test_the_target_network_is_copied_after_every_nth_update_and_frozen_in_between(period):
    states, _ = learn(LearningSettings(target_period_updates=period), 9)
    for number, (before, after) in enumerate(itertools.pairwise(states), start=1):
        assert int(after.num_updates) == number
        assert same(after.target, after.online if number % period == 0 else before.target)
        assert not same(after.online, before.online)


@pytest.mark.parametrize("double", [False, True])
def test_no_gradient_reaches_the_target_network(double):
    settings = LearningSettings(double=double)
    state = init_learner(settings, network())

    def loss(target):
        moved = dataclasses.replace(state, target=target)
        batch = jax.tree.map(jnp.asarray, random_batch(0))
        return update(settings, moved, batch, RATE)[1].loss

    assert not any(leaf.any() for leaf in leaves(jax.jit(jax.grad(loss))(state.target)))


def pointers(tree):
    return [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(tree)]


@pytest.mark.parametrize("period", [1, 2])
def test_no_two_leaves_of_the_state_share_a_buffer(period):
    given = jax.tree.map(jnp.asarray, network())
    settings = LearningSettings(target_period_updates=period)
    begun = init_learner(settings, given)
    states, _ = learn(settings, 2)
    assert len({*pointers(begun), *pointers(given)}) == len(pointers(begun) + pointers(given))
    for state in states:
        assert len(set(pointers(state))) == len(pointers(state))


def test_a_donated_state_can_be_updated():
    settings = LearningSettings(target_period_updates=2)
    step = jax.jit(functools.partial(one_update, settings), donate_argnums=0)
    state = init_learner(settings, network())
    expected, _ = learn(settings, 4)
    for number in range(4):
        state, _ = step(state, random_batch(number), RATE)
    assert same(state, expected[-1])


def test_the_double_switch_changes_the_update_only_once_the_networks_differ():
    plain, _ = learn(LearningSettings(), 2)
    double, _ = learn(LearningSettings(double=True), 2)
    np.testing.assert_allclose(
        np.concatenate([leaf.ravel() for leaf in leaves(plain[1].online)]),
        np.concatenate([leaf.ravel() for leaf in leaves(double[1].online)]),
        rtol=1e-5,
    )
    assert not same(plain[2].online, double[2].online)


@pytest.mark.parametrize("used", [0, 4, 7])
@pytest.mark.parametrize(("period", "chunk"), [(1, 16), (3, 2), (3, 16), (100, 5)])
def test_several_updates_at_once_are_the_same_as_one_after_another(
    monkeypatch, used, period, chunk
):
    monkeypatch.setattr(learner_module, "_CHUNK_UPDATES", chunk)
    settings = LearningSettings(target_period_updates=period)
    expected, figures = learn(settings, 7)
    batches = jax.tree.map(lambda *rows: np.stack(rows), *map(random_batch, range(7)))
    # A function of its own: what was compiled for another size of chunk must not be used.
    several = jax.jit(functools.partial(updates, settings))
    state, table, errors, surprises = several(
        init_learner(settings, network()), batches, used, RATE
    )
    assert int(state.num_updates) == used
    for found, wanted in zip(leaves(state), leaves(expected[used]), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    rows = [list(map(float, row)) for row in figures[:used]] + [[0.0] * 6] * (7 - used)
    np.testing.assert_allclose(table, rows, rtol=1e-4, atol=1e-5)
    mean_abs = rows[used - 1][UpdateStatistics._fields.index("mean_abs_td_error")] if used else 0
    np.testing.assert_allclose(np.abs(errors).mean(), mean_abs, rtol=1e-4)
    assert surprises is None


@pytest.mark.parametrize("span", [1, 3, 100])
def test_the_weights_that_play_are_averaged_over_the_updates(span):
    states, _ = learn(LearningSettings(polyak_window_updates=span), 8)
    plain, _ = learn(LearningSettings(), 8)
    expected = np.zeros(0)
    for number, state in enumerate(states[1:], start=1):
        weights = np.array(state.online.weights, np.float64)
        share = 1 / min(number, span)
        expected = weights if number == 1 else (1 - share) * expected + share * weights
        np.testing.assert_allclose(state.playing, expected, rtol=1e-5, atol=1e-6)
    everything = [state.online.weights for state in states[1:]]
    if span == 100:
        np.testing.assert_allclose(states[-1].playing, np.mean(everything, axis=0), atol=1e-6)
    assert same(states[-1].online, plain[-1].online)
    assert plain[-1].average is None
    np.testing.assert_array_equal(plain[-1].playing, plain[-1].online.weights)


def test_the_gradient_norm_is_reported_before_clipping():
    _, clipped = learn(LearningSettings(max_gradient_norm=1e-3), 1)
    _, free = learn(LearningSettings(max_gradient_norm=None), 1)
    assert float(clipped[0].gradient_norm) == float(free[0].gradient_norm) > 1e-3


def test_a_gradient_below_the_limit_is_left_as_it_is():
    roomy, _ = learn(LearningSettings(max_gradient_norm=1e6), 3)
    free, _ = learn(LearningSettings(max_gradient_norm=None), 3)
    assert same(roomy[-1].online, free[-1].online)


def test_a_learning_rate_of_zero_moves_nothing():
    states, _ = learn(LearningSettings(), 3, rate=0.0)
    assert same(states[0].online, states[-1].online)


def test_the_learning_rate_stays_where_no_end_is_given():
    settings = LearningSettings(learning_rate=3e-4)
    assert [learning_rate_at(settings, n) for n in (0, 50, 1000)] == [3e-4] * 3


@pytest.mark.parametrize("end", [2e-3, 5e-2])
def test_the_learning_rate_moves_linearly_and_then_stays(end):
    settings = LearningSettings(
        learning_rate=1e-2, learning_rate_end=end, learning_rate_decay_env_steps=50
    )
    steps = np.arange(0, 201)
    found = [learning_rate_at(settings, int(n)) for n in steps]
    np.testing.assert_allclose(found, np.interp(steps, [0, 50], [1e-2, end]), rtol=1e-12)


def test_updates_on_the_same_batch_bring_q_to_the_notes_target():
    settings = LearningSettings(gamma=0.99, target_period_updates=10**6)
    batch = random_batch(0)
    state = init_learner(settings, network())
    values = np.asarray(state.target(batch.next_observation)).max(axis=1)
    y = batch.reward + np.where(batch.terminated, 0, 0.99**batch.num_steps * values)
    for _ in range(1500):
        state, figures = STEP(settings, state, batch, RATE)
    q_values = np.asarray(state.online(batch.observation))
    np.testing.assert_allclose(q_values[np.arange(BATCH), batch.action], y, atol=0.05)
    assert float(figures.loss) < 1e-3


def test_weights_multiply_each_quadruples_loss_and_gradient():
    """The same as a batch in which each quadruple stands as often as its weight says."""
    settings = LearningSettings(loss="huber", optimiser="sgd", max_gradient_norm=None)
    batch, begun = random_batch(0), init_learner(settings, network())
    weights = np.array([0, 1, 2, 3, 0, 1, 0, 1], np.float32)
    batches = jax.tree.map(lambda rows: rows[None], batch)
    weighted, table, errors, surprises = updates(
        settings, begun, batches, jnp.uint32(1), RATE, weights=jnp.asarray(weights)[None]
    )
    repeated = jax.tree.map(lambda rows: np.repeat(rows, weights.astype(int), axis=0)[None], batch)
    plain, plain_table, _, nothing = updates(settings, begun, repeated, jnp.uint32(1), RATE)
    assert nothing is None
    np.testing.assert_allclose(weighted.online.weights, plain.online.weights, atol=1e-6)
    loss = UpdateStatistics(*table[0]).loss
    np.testing.assert_allclose(loss, UpdateStatistics(*plain_table[0]).loss, rtol=1e-5)
    before = begun.online.network()
    chosen = before(batch.observation)[np.arange(BATCH), batch.action]
    follows = before(batch.next_observation).max(axis=1) * ~batch.terminated
    target = batch.reward + settings.gamma**batch.num_steps * follows
    np.testing.assert_allclose(errors, target - chosen, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(surprises[0], np.abs(errors), rtol=1e-6)


def test_the_td_errors_are_those_of_the_last_batch_that_was_used():
    settings = LearningSettings(target_period_updates=2)
    begun = init_learner(settings, network())
    batches = jax.tree.map(lambda *rows: np.stack(rows), *map(random_batch, range(5)))
    assert not np.asarray(updates(settings, begun, batches, jnp.uint32(0), RATE).td_errors).any()
    for used in range(1, 6):
        before = updates(settings, begun, batches, jnp.uint32(used - 1), RATE).state
        batch = random_batch(used - 1)
        follows = np.asarray(before.target(batch.next_observation)).max(axis=1)
        y = batch.reward + np.where(batch.terminated, 0, 0.99**batch.num_steps * follows)
        chosen = np.asarray(before.online(batch.observation))[np.arange(BATCH), batch.action]
        found = updates(settings, begun, batches, jnp.uint32(used), RATE).td_errors
        np.testing.assert_allclose(found, y - chosen, rtol=1e-4, atol=1e-5)


def test_updates_that_were_not_due_say_nothing_of_how_wrong_the_network_was():
    settings = LearningSettings()
    begun = init_learner(settings, network())
    batches = jax.tree.map(lambda *rows: np.stack(rows), *map(random_batch, range(5)))
    weights = jnp.ones((5, BATCH))
    *_, all_five = updates(settings, begun, batches, jnp.uint32(5), RATE, weights=weights)
    *_, three = updates(settings, begun, batches, jnp.uint32(3), RATE, weights=weights)
    np.testing.assert_array_equal(three[:3], all_five[:3])
    assert not np.asarray(three[3:]).any()
