"""Updates from sequences beside a loop over time, without a scan or a derivative by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from long_forms import some_of
from small_networks import ACTIONS, INPUTS, in_jax, network_of, random_noise, settings_of

from frankrl.core.types import Sequences, SequenceSpec, Transition
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

TERMS = jax.jit(sequence_terms, static_argnums=(0, 1, 2))
UPDATE = jax.jit(update, static_argnums=(0, 1, 7))
UPDATES = jax.jit(updates, static_argnums=(0, 1, 7))
SPEC = SequenceSpec(burn_in_steps=2, learned_steps=3, memory_units=4, priority_share=0.9)
SIZE, N_STEP, GAMMA = 5, 2, 0.9
TIME = SPEC.burn_in_steps + SPEC.learned_steps + N_STEP
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
    settings = settings_of(kind, memory="gru", memory_units=4, activation="tanh", **changes)
    return settings.learning, network_of(settings)


def random_sequences(seed, spec=SPEC, *, is_masked=True):
    """Sequences that begin and end anywhere; what is not shown holds other numbers."""
    random = np.random.default_rng(seed)
    count, after = spec.learned_steps, spec.burn_in_steps
    time = after + count + N_STEP
    begin = random.integers(0, after + 1, SIZE)
    length = random.integers(1, count + N_STEP + 1, SIZE)
    length[0], begin[0], length[1] = 1, after, count + N_STEP
    step, place = np.arange(count), np.arange(time)
    num_steps = np.clip(length[:, None] - step, 0, N_STEP)
    belongs = num_steps > 0
    terminated = (step + num_steps == length[:, None]) & (random.random((SIZE, 1)) < 0.5)
    mask = random.random((SIZE, time, ACTIONS)) < 0.6
    mask[..., 0] = True
    where = belongs.astype(np.float32)
    allowed = mask[:, after : after + count] * random.random((SIZE, count, ACTIONS))
    return Sequences(
        observation=random.normal(size=(SIZE, time, INPUTS)).astype(np.float32),
        is_shown=(place >= begin[:, None]) & (place <= after + length[:, None]),
        memory=random.uniform(-1, 1, (SIZE, spec.memory_units)).astype(np.float32),
        mask=mask if is_masked else None,
        action=np.where(belongs, np.argmax(allowed, axis=-1), 0).astype(np.uint16),
        reward=where * random.normal(size=(SIZE, count)).astype(np.float32),
        discount=np.where(belongs & ~terminated, GAMMA**num_steps, 0).astype(np.float32),
        arrival=(after + step + num_steps).astype(np.int32),
        belongs=belongs,
    )


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


@pytest.mark.parametrize("name", some_of(CASES, ("iqn_noisy", "munchausen")))
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
            learning, SPEC, network, params, target, in_jax(batch), noise, jnp.asarray(weights)
        )
    )(params)
    of_loss = found.of_rows.of_loss
    counted = np.ravel(batch.belongs)
    np.testing.assert_array_equal(found.belongs, counted)
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
    batch = in_jax(batch._replace(is_shown=np.ones_like(batch.is_shown)))

    @jax.jit
    def loss(observation):
        changed = batch._replace(observation=observation)
        terms = TERMS(learning, SPEC, network, params, target, changed, noise, None)
        return terms.of_rows.of_loss.loss

    assert loss(batch.observation.at[:, 0].add(1.0)) != loss(batch.observation)


def _without_burn_in(network, params, batch):
    before = SPEC.burn_in_steps
    burnt_in = network.remembered(
        params, batch.observation[:, :before], batch.is_shown[:, :before], batch.memory
    )
    return batch._replace(
        observation=batch.observation[:, before:],
        is_shown=batch.is_shown[:, before:],
        memory=burnt_in[:, -1],
        mask=batch.mask[:, before:],
        arrival=batch.arrival - before,
    )


def test_a_burn_in_is_the_same_as_beginning_with_the_memory_that_it_leads_to():
    learning, network, params, _, batch, noise, _ = given("double")
    batch = in_jax(batch)

    def gradients(spec, batch):
        terms = TERMS(learning, spec, network, params, params, batch, noise, None)
        return terms.of_rows.of_loss.gradients

    found = gradients(SPEC, batch)
    shorter = jax.jit(functools.partial(_without_burn_in, network))(params, batch)
    expected = gradients(SPEC._replace(burn_in_steps=0), shorter)
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
    found = TERMS(learning, SPEC, network, params, params, batch, NO_NOISE, None)

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
    errors = jnp.float32([1, 2, 9, 4, 7, 100, 3, 100, 100])
    belongs = jnp.array([1, 1, 1, 1, 1, 0, 1, 0, 0], bool)
    found = sequence_priorities(SPEC, errors, belongs)
    expected = [0.9 * 9 + 0.1 * 4, 0.9 * 7 + 0.1 * 5.5, 3]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_metrics_and_priorities_count_the_steps_that_belong():
    learning, network, params, _, batch, noise, weights = given("c51")
    state = init_learner(learning, network, params)
    found = TERMS(
        learning, SPEC, network, params, params, in_jax(batch), noise, jnp.asarray(weights)
    )
    _, output = UPDATE(
        learning, network, state, in_jax(batch), 1e-3, noise, jnp.asarray(weights), SPEC
    )
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
    found, _ = UPDATES(learning, network, begun, together, 1e-2, NO_NOISE, None, SPEC)
    state = begun
    for batch in batches:
        state, _ = UPDATE(learning, network, state, batch, 1e-2, NO_NOISE, None, SPEC)
    np.testing.assert_allclose(found.params, state.params, rtol=1e-4, atol=1e-6)
