"""Updates from sequences beside a loop over time, without a scan or a derivative by hand."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from long_forms import some_of
from small_networks import in_jax, network_of, random_batch, random_noise, settings_of
from small_sequences import SIZE, SPEC, TIME, random_sequences

from frankrl.core.types import Transition
from frankrl.learning import (
    NO_NOISE,
    batch_loss_terms,
    bootstrap_values,
    init_learner,
    of_actions,
    sequence_priorities,
    sequence_terms,
    td_target,
    under_noise,
    update,
    updates,
)
from frankrl.learning.munchausen import munchausen_bonus, soft_bootstrap
from frankrl.networks import masked, perturb

TERMS = jax.jit(sequence_terms, static_argnums=(0, 1))
UPDATE = jax.jit(update, static_argnums=(0, 1))
UPDATES = jax.jit(updates, static_argnums=(0, 1))
ROWS = SIZE * SPEC.learned_steps
CASES = {
    "notes": {},
    "double": {"double": True, "loss": "huber", "dueling": True, "layer_norm": True},
    "c51": {"kind": "c51", "double": True},
    "qr_rescaled": {"kind": "qr", "value_rescaling": True},
    "iqn_noisy": {"kind": "iqn", "noisy": True, "double": True},
    "munchausen": {"munchausen": True},
}


def setup(kind="mean", **changes):
    settings = settings_of(
        kind, memory="gru", memory_units=SPEC.memory_units, activation="tanh", **changes
    )
    return settings.learning, network_of(settings)


def memories(network, params, batch, *, burn_in=0):
    """The memory before each time, (time, batch, unit), step by step."""
    memory, found = batch.memory, []
    for time in range(TIME):
        found.append(memory)
        _, after = network.step(params, batch.observation[:, time], memory)
        memory = jnp.where(batch.is_shown[:, time, None], after, memory)
        if time < burn_in:
            memory = jax.lax.stop_gradient(memory)
    return jnp.stack(found)


def naive_loss(learning, network, params, target_params, batch, noise, weights):
    """The loss, and the losses and TD errors of each learned step, (batch, step)."""
    online, target = under_noise(params, noise), target_params
    if noise.target_noise is not None:
        target = perturb(target_params, noise.target_noise)
    own_memories = memories(network, online, batch, burn_in=SPEC.burn_in_steps)
    target_memories = memories(network, target, batch)
    losses, errors, rows = [], [], np.arange(SIZE)
    belongs, batch = batch.belongs, in_jax(batch)

    def q_values(params, memory, time, mask):
        outputs, _ = network.step(params, batch.observation[rows, time], memory[time, rows])
        return masked(network.head.q_values(outputs), mask)

    for step in range(SPEC.learned_steps):

        def of_rows(table, step=step):
            # The fractions of the rows of this step.
            if table is None:
                return None
            return table.reshape(SIZE, SPEC.learned_steps, -1)[:, step]

        now, arrival, taken = (
            SPEC.burn_in_steps + step,
            batch.arrival[:, step],
            batch.action[:, step],
        )
        next_outputs, _ = network.step(
            target,
            batch.observation[rows, arrival],
            target_memories[arrival, rows],
            of_rows(noise.target_fractions),
        )
        next_mask = batch.mask[rows, arrival]
        own_mask = batch.mask[:, now] | ~batch.belongs[:, step, None]
        next_q = q_values(target, target_memories, arrival, next_mask)
        reward = batch.reward[:, step]
        if learning.munchausen:
            own_q = q_values(target, target_memories, np.full(SIZE, now), own_mask)
            next_values = soft_bootstrap(learning, next_q, next_outputs)
            reward = reward + munchausen_bonus(learning, own_q, taken)
        else:
            picker = q_values(online, own_memories, arrival, next_mask) if learning.double else None
            next_values = bootstrap_values(next_q, picker, next_outputs)
        transition = Transition(None, taken, reward, None, batch.discount[:, step])
        targets = network.head.target(transition, next_values)
        fractions = of_rows(noise.fractions)
        outputs, _ = network.step(online, batch.observation[:, now], own_memories[now], fractions)
        chosen = of_actions(outputs, taken)
        losses.append(network.head.losses(chosen, targets, fractions))
        own_q = masked(network.head.q_values(outputs), own_mask)
        errors.append(network.head.target_mean(targets) - of_actions(own_q, taken))
    losses, errors = jnp.stack(losses, axis=1), jnp.stack(errors, axis=1)
    total, count = 0.0, 0
    for row, step in zip(*np.nonzero(belongs), strict=True):
        total, count = total + weights[row] * losses[row, step], count + 1
    return total / count, (losses, errors)


def given(name):
    learning, network = setup(**CASES[name])
    params, target = (jax.tree.map(lambda leaf: 2 * leaf, network.init(seed)) for seed in (0, 1))
    batch = random_sequences(3)
    noise = random_noise(network, 0, ROWS)
    weights = np.random.default_rng(5).uniform(0.2, 1, SIZE).astype(np.float32)
    return learning, network, in_jax(params), in_jax(target), batch, in_jax(noise), weights


@pytest.mark.parametrize("name", some_of(CASES, ["iqn_noisy"]))
def test_the_gradient_is_that_of_a_plain_loop_over_time(name):
    learning, network, params, target, batch, noise, weights = given(name)

    @jax.jit
    def naive(params):
        judged = jax.value_and_grad(
            lambda own: naive_loss(learning, network, own, target, batch, noise, weights),
            has_aux=True,
        )
        return judged(params)

    (loss, (losses, errors)), gradients = naive(params)
    found = jax.jit(
        lambda params: TERMS(
            learning, network, params, target, in_jax(batch), noise, jnp.asarray(weights)
        )
    )(params)
    of_loss = found.of_rows.of_loss
    counted = np.ravel(batch.belongs)
    np.testing.assert_allclose(of_loss.loss, loss, rtol=2e-5)
    own = np.asarray(of_loss.predictions.losses)[counted]
    np.testing.assert_allclose(own, np.ravel(losses)[counted], rtol=1e-4, atol=1e-5)
    td = network.head.target_mean(of_loss.targets) - of_loss.predictions.chosen_q
    np.testing.assert_allclose(td[counted], np.ravel(errors)[counted], rtol=1e-4, atol=1e-5)
    for one, other in zip(
        jax.tree.leaves(of_loss.gradients), jax.tree.leaves(gradients), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)


def test_the_burn_in_decides_the_memory():
    learning, network, params, target, batch, noise, _ = given("notes")
    batch = in_jax(replace(batch, is_shown=np.ones_like(batch.is_shown)))

    @jax.jit
    def loss(observation):
        changed = replace(batch, observation=observation)
        terms = TERMS(learning, network, params, target, changed, noise, None)
        return terms.of_rows.of_loss.loss

    assert loss(batch.observation.at[:, 0].add(1.0)) != loss(batch.observation)


def _without_burn_in(network, params, batch):
    before = SPEC.burn_in_steps
    burnt_in = network.remembered(
        params, batch.observation[:, :before], batch.is_shown[:, :before], batch.memory
    )
    return replace(
        batch,
        spec=SPEC._replace(burn_in_steps=0),
        observation=batch.observation[:, before:],
        is_shown=batch.is_shown[:, before:],
        memory=burnt_in[:, -1],
        mask=batch.mask[:, before:],
        arrival=batch.arrival - before,
    )


def test_a_burn_in_is_the_same_as_beginning_with_the_memory_that_it_leads_to():
    learning, network, params, _, batch, noise, _ = given("double")
    batch = in_jax(batch)

    def gradients(batch):
        terms = TERMS(learning, network, params, params, batch, noise, None)
        return terms.of_rows.of_loss.gradients

    found = gradients(batch)
    shorter = jax.jit(functools.partial(_without_burn_in, network))(params, batch)
    expected = gradients(shorter)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_a_gru_that_forgets_all_learns_as_a_layer_of_tanh():
    """With W_h = 0 and a closed update gate, h′ = tanh(W_in x + b_in), whatever came before."""
    settings = settings_of(hidden_widths=(), double=True, memory="gru", memory_units=4)
    learning, network = settings.learning, network_of(settings)
    plain = network_of(settings_of(hidden_widths=(4,), activation="tanh", double=True))
    params = in_jax(network.init(0))
    closed = jnp.where(jnp.arange(12) // 4 == 1, -100.0, params.memory.bias)
    memory = params.memory._replace(
        recurrent_weight=jnp.zeros((4, 12)), recurrent_bias=jnp.zeros(4), bias=closed
    )
    params = params._replace(memory=memory)
    layer = type(in_jax(plain.init(0)).hidden[0])(memory.input_weight[:, 8:], memory.bias[8:])
    own = in_jax(plain.init(0))._replace(hidden=(layer,), output=params.output)
    batch = in_jax(random_sequences(8, is_masked=False))
    found = TERMS(learning, network, params, params, batch, NO_NOISE, None)

    counted = np.nonzero(np.ravel(batch.belongs))[0]
    now = batch.observation[:, SPEC.burn_in_steps : SPEC.burn_in_steps + SPEC.learned_steps]
    arrived = batch.observation[np.arange(SIZE)[:, None], batch.arrival]
    rows = Transition(
        *(
            jnp.reshape(leaf, (ROWS, *leaf.shape[2:]))[counted]
            for leaf in (now, batch.action, batch.reward, arrived, batch.discount)
        )
    )

    @jax.jit
    def terms(own, rows):
        next_q = plain.q_values(own, rows.next_observation)
        targets = td_target(rows.reward, rows.discount, bootstrap_values(next_q))
        return batch_loss_terms(plain, own, rows, targets, NO_NOISE, None)

    expected = terms(own, rows)
    of_loss = found.of_rows.of_loss
    np.testing.assert_allclose(of_loss.loss, expected.loss, rtol=1e-5)
    np.testing.assert_allclose(
        of_loss.gradients.memory.input_weight[:, 8:], expected.gradients.hidden[0].weight, rtol=1e-4
    )
    np.testing.assert_allclose(
        of_loss.gradients.output.weight, expected.gradients.output.weight, rtol=1e-4
    )


def test_the_priority_of_a_sequence_is_a_share_of_its_largest_error_and_of_their_mean():
    errors = jnp.float32([1, 2, 9, 4, 7, 100, 3, 100, 100, 0, 0, 6, 5, 5, 100])
    belongs = jnp.array([[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 1, 1], [1, 1, 0]], bool)
    found = sequence_priorities(replace(random_sequences(0), belongs=belongs), errors)
    expected = [0.9 * 9 + 0.1 * 4, 0.9 * 7 + 0.1 * 5.5, 3, 0.9 * 6 + 0.1 * 2, 5]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_metrics_and_priorities_count_the_steps_that_belong():
    learning, network, params, _, batch, noise, weights = given("c51")
    state = init_learner(learning, network, params)
    found = TERMS(learning, network, params, params, in_jax(batch), noise, jnp.asarray(weights))
    _, output = UPDATE(learning, network, state, in_jax(batch), 1e-3, noise, jnp.asarray(weights))
    of_loss, counted = found.of_rows.of_loss, np.ravel(batch.belongs)
    chosen = np.asarray(of_loss.predictions.chosen_q)[counted]
    y = np.asarray(network.head.target_mean(of_loss.targets))[counted]
    best = np.asarray(of_loss.predictions.q_values).max(axis=-1)[counted]
    expected = [chosen.mean(), best.mean(), y.mean(), np.abs(y - chosen).mean()]
    np.testing.assert_allclose(output.metrics[1:5], expected, rtol=1e-4)
    first = np.cumsum(batch.belongs.sum(axis=1)) - batch.belongs.sum(axis=1)
    np.testing.assert_allclose(output.td_errors, (y - chosen)[first], rtol=1e-4, atol=1e-5)
    assert output.priorities.shape == (SIZE,)
    assert np.isfinite(output.priorities).all()


def test_several_updates_at_once_are_one_after_another():
    learning, network, params, _, _, _, _ = given("double")
    batches = [in_jax(random_sequences(seed)) for seed in range(3)]
    together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *batches)
    begun = init_learner(learning, network, params)
    found, _ = UPDATES(learning, network, begun, together, 1e-2, NO_NOISE)
    state = begun
    for batch in batches:
        state, _ = UPDATE(learning, network, state, batch, 1e-2, NO_NOISE)
    np.testing.assert_allclose(found.params, state.params, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("changes", [{}, {"algorithm": "bc", "dataset": "data"}], ids=["dqn", "bc"])
def test_a_network_learns_from_no_batch_of_the_other_kind(changes):
    learning, with_memory = setup(**changes)
    without = network_of(settings_of())
    sequences, transitions = random_sequences(0), random_batch(0)
    for network, batch in ((with_memory, transitions), (without, sequences)):
        state = init_learner(learning, network, network.init(0))
        with pytest.raises(TypeError, match=f"does not learn from {type(batch).__name__}"):
            update(learning, network, state, batch, 1e-3)
