"""CQL and cloning of a network with memory: the same rows, by a loop over the sequences."""

import functools

import jax
import numpy as np
import pytest
from small_networks import ACTIONS, in_jax, network_of, settings_of
from small_sequences import SIZE, SPEC, random_sequences

from frankrl.learning import NO_NOISE, init_learner, update
from frankrl.learning.recurrent import sequence_cloning_terms, sequence_terms

ALPHA = 0.5
TERMS = jax.jit(sequence_terms, static_argnums=(0, 1))


@functools.cache
def made(**changes):
    settings = settings_of(
        memory="gru", memory_units=SPEC.memory_units, activation="tanh", **changes
    )
    return settings.learning, network_of(settings)


def outputs_in_a_loop(network, params, batch):
    """The outputs at each learned step, one observation after the other; and -log π(a)."""
    first, count = SPEC.burn_in_steps, SPEC.learned_steps
    outputs, memory = np.zeros((SIZE, count, ACTIONS)), batch.memory
    for time in range(first + count):
        found, memory_after = network.step(params, batch.observation[:, time], memory)
        memory = np.where(batch.is_shown[:, time, None], memory_after, memory)
        if time >= first:
            outputs[:, time - first] = found
    chosen = np.take_along_axis(outputs, batch.action[..., None].astype(int), axis=2)[..., 0]
    return outputs, np.log(np.exp(outputs).sum(axis=2)) - chosen


def test_cloning_of_sequences_is_the_mean_over_the_steps_that_belong():
    _, network = made(algorithm="bc", dataset="data")
    batch, params = random_sequences(0, is_masked=False), network.init(1)
    outputs, losses = outputs_in_a_loop(network, params, batch)
    terms = jax.jit(functools.partial(sequence_cloning_terms, network))(
        in_jax(params), in_jax(batch)
    )
    belongs = batch.belongs.reshape(-1)
    np.testing.assert_allclose(
        np.asarray(terms.logits)[belongs], outputs.reshape(-1, ACTIONS)[belongs], rtol=1e-4
    )
    assert float(terms.loss) == pytest.approx(losses[batch.belongs].mean(), rel=1e-5)


def test_an_update_of_cloning_takes_sequences_and_has_no_target_network():
    learning, network = made(algorithm="bc", dataset="data")
    state = init_learner(learning, network, network.init(1))
    run = jax.jit(lambda state, batch: update(learning, network, state, batch, 1e-2))
    first, output = run(state, random_sequences(0, is_masked=False))
    for _ in range(20):
        first, later = run(first, random_sequences(0, is_masked=False))
    assert first.target_params is None
    assert output.td_errors.shape == (SIZE,)
    assert float(later.metrics[0]) < float(output.metrics[0])


def test_cql_adds_its_term_to_each_step_of_a_sequence_that_belongs():
    batch, found = random_sequences(0, is_masked=False), []
    for alpha in (0.0, ALPHA):
        learning, network = made(cql_weight=alpha)
        params, target = (in_jax(network.init(seed)) for seed in (1, 2))
        terms = TERMS(learning, network, params, target, in_jax(batch), NO_NOISE, None)
        found.append(terms.of_rows.of_loss)
    _, losses = outputs_in_a_loop(network, network.init(1), batch)
    expected = float(found[0].loss) + ALPHA * losses[batch.belongs].mean()
    assert float(found[1].loss) == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(found[0].predictions.losses, found[1].predictions.losses, rtol=1e-6)
