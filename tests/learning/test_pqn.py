"""The updates of PQN, against a plain loop over Optax and over PyTorch's RAdam."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_networks import ACTIONS, INPUTS, network_of, settings_of

from frankrl.learning import Rollout, UpdateMetrics, init_learner, lambda_returns, pqn_updates
from frankrl.learning.optimiser import Gradient, init_optimiser, optimiser_step

STEPS, ENVS, RATE = 6, 4, 0.02
UPDATES = jax.jit(pqn_updates, static_argnums=(0, 1))


def made(**changes):
    """The learning settings and the network of a small PQN with LayerNorm."""
    given = {"algorithm": "pqn", "trace_decay": 0.6, "optimiser": "radam", **changes}
    settings = settings_of(activation="tanh", layer_norm=True, **given)
    return settings.learning, network_of(settings)


def random_rollout(seed, *, masked=False):
    random = np.random.default_rng(seed)
    mask = random.random((STEPS, ENVS, ACTIONS)) < 0.7
    mask[..., 0] = True
    terminated = random.random((STEPS, ENVS)) < 0.2
    return Rollout(
        observation=random.normal(size=(STEPS, ENVS, INPUTS)).astype(np.float32),
        action=random.integers(0, ACTIONS, (STEPS, ENVS)).astype(np.uint16),
        reward=random.normal(size=(STEPS, ENVS)).astype(np.float32),
        discount=np.where(terminated, 0, 0.9).astype(np.float32),
        next_values=random.normal(size=(STEPS, ENVS)).astype(np.float32),
        is_last=terminated | (random.random((STEPS, ENVS)) < 0.1),
        next_observation=np.zeros((STEPS, ENVS, INPUTS), np.float32),
        mask=mask if masked else None,
    )


def random_order(seed, epochs=2, batch=8):
    random = np.random.default_rng(seed)
    rows = [random.permutation(STEPS * ENVS) for _ in range(epochs)]
    return np.concatenate(rows).reshape(-1, batch)


def by_optax(learning, network, rollout, order):
    """Parameters, and the loss and the norm of the gradient of each update, by a loop over pytrees
    of parameters."""
    traces = np.where(rollout.is_last, 0, learning.trace_decay)
    targets = np.zeros((STEPS, ENVS))
    for env in range(ENVS):
        following = rollout.next_values[-1, env]
        for step in reversed(range(STEPS)):
            trace, value = traces[step, env], rollout.next_values[step, env]
            following = (1 - trace) * value + trace * following
            following = rollout.reward[step, env] + rollout.discount[step, env] * following
            targets[step, env] = following
    table = (rollout.observation.reshape(-1, INPUTS), rollout.action.ravel(), targets.ravel())
    states, actions, targets = (jnp.asarray(field.astype(np.float32)) for field in table)
    optimiser = optax.chain(
        optax.clip_by_global_norm(learning.max_gradient_norm),
        optax.radam(RATE, eps=learning.adam_epsilon),
    )
    params = jax.tree.map(jnp.asarray, network.init(0))
    state, seen = optimiser.init(params), []

    def loss(params, rows):
        q_values = network.apply(params, states[rows], None)
        return jnp.mean(
            (targets[rows] - q_values[jnp.arange(len(rows)), actions[rows].astype(int)]) ** 2
        )

    @jax.jit
    def one(params, state, rows):
        value, gradient = jax.value_and_grad(loss)(params, rows)
        steps, state = optimiser.update(gradient, state)
        return optax.apply_updates(params, steps), state, (value, optax.tree.norm(gradient))

    for rows in order:
        params, state, found = one(params, state, rows)
        seen.append(found)
    return params, np.array(seen)


@pytest.mark.parametrize("most", [10.0, 0.5])
def test_each_minibatch_is_one_step_along_the_gradient_of_its_squared_errors(most):
    learning, network = made(max_gradient_norm=most)
    rollout, order = random_rollout(0), random_order(0)
    state = init_learner(learning, network, network.init(0))
    state, output = UPDATES(learning, network, state, rollout, order, RATE)
    params, expected = by_optax(learning, network, rollout, order)
    np.testing.assert_allclose(state.params, network.layout.flatten(params), rtol=1e-4, atol=1e-5)
    metrics = UpdateMetrics(*output.metrics.T)
    np.testing.assert_allclose(metrics.loss, expected[:, 0], rtol=1e-4)
    np.testing.assert_allclose(metrics.gradient_norm, expected[:, 1], rtol=1e-3)
    assert output.td_errors.shape == order.shape
    assert int(state.num_updates) == len(order)


def test_there_is_no_frozen_copy():
    learning, network = made()
    state = init_learner(learning, network, network.init(0))
    assert state.target_params is None
    state, _ = UPDATES(learning, network, state, random_rollout(1), random_order(1), RATE)
    assert state.target_params is None


def test_the_targets_of_all_epochs_are_those_of_the_weights_that_acted():
    learning, network = made()
    rollout, order = random_rollout(2), random_order(2, epochs=3)
    state = init_learner(learning, network, network.init(0))
    _, output = UPDATES(learning, network, state, rollout, order, RATE)
    targets = lambda_returns(*map(jnp.asarray, rollout[2:6]), learning.trace_decay).ravel()
    found = UpdateMetrics(*output.metrics.T).mean_target
    np.testing.assert_allclose(found, targets[order].mean(axis=1), rtol=1e-5, atol=1e-6)


def test_actions_that_are_not_allowed_count_in_no_maximum():
    learning, network = made()
    rollout, order = random_rollout(3, masked=True), random_order(3)
    state = init_learner(learning, network, network.init(0))
    _, output = UPDATES(learning, network, state, rollout, order, RATE)
    q_values = network.apply(network.init(0), rollout.observation.reshape(-1, INPUTS), None)
    allowed = np.where(rollout.mask.reshape(-1, ACTIONS), q_values, -np.inf)
    expected = allowed.max(axis=1)[order[0]].mean()
    np.testing.assert_allclose(UpdateMetrics(*output.metrics[0]).mean_max_q, expected, rtol=1e-5)


@pytest.mark.slow
def test_radam_takes_the_steps_of_pytorch():
    torch = pytest.importorskip("torch")
    learning, network = made(max_gradient_norm=None, adam_epsilon=1e-6)
    start = network.layout.flatten(network.init(0))
    weights = torch.tensor(np.asarray(start), requires_grad=True)
    peer = torch.optim.RAdam([weights], lr=RATE, eps=1e-6)
    step = jax.jit(functools.partial(optimiser_step, learning, network.layout))
    ours = jnp.asarray(start)
    state = init_optimiser(learning, network.layout, ours)
    random = np.random.default_rng(0)
    for _ in range(30):
        gradient = random.normal(size=start.shape).astype(np.float32)
        ours, state = step(state, Gradient(gradient, ours, jnp.float32(0), RATE))
        weights.grad = torch.tensor(gradient)
        peer.step()
    np.testing.assert_allclose(ours, weights.detach().numpy(), rtol=1e-3, atol=1e-4)
