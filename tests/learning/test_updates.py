"""Several updates in one call, and the state that they hand on."""

import jax
import numpy as np
import pytest
from learning_run import RATE, REFRESH, UPDATE, UPDATES, begun, learn, setup
from long_forms import some_of
from small_networks import (
    BATCH,
    in_jax,
    random_batch,
    random_noise,
    stacked,
)

from frankrl.learning import UpdateMetrics, init_learner, refresh_target, update

NUM = 7
CASES = {
    "notes": setup(target_period_updates=3),
    "double": setup(double=True, loss="huber", polyak_window_updates=4, tau=0.2),
    "munchausen": setup("qr", munchausen=True, dueling=True, target_period_updates=2),
    "c51": setup("c51", noisy=True, layer_norm=True, target_period_updates=3),
    "iqn": setup("iqn", optimiser="sgd", double=True, target_period_updates=2),
}
WEIGHTED = ("double", "c51")


def part(tree, number):
    return jax.tree.map(lambda rows: rows[number], tree)


def leaves(tree):
    return [np.array(leaf) for leaf in jax.tree.leaves(tree)]


def several(network):
    """Batches and noise of `NUM` updates."""
    batches = stacked([random_batch(number) for number in range(NUM)])
    return batches, stacked([random_noise(network, number) for number in range(NUM)])


@pytest.mark.parametrize(
    ("name", "weighted"),
    some_of([(name, name in WEIGHTED) for name in CASES], [("double", True), ("iqn", False)]),
)
def test_several_updates_at_once_are_the_same_as_one_after_another(name, weighted):
    """Within float32's rounding: XLA may add up a batch in another order inside of a loop."""
    made = CASES[name]
    batches, noise = several(made.network)
    weights = None
    if weighted:
        weights = np.random.default_rng(0).random((NUM, BATCH)).astype(np.float32)
    found, output = UPDATES(*made, begun(made), batches, RATE, noise, weights)

    state, outputs = begun(made), []
    for number in range(NUM):
        own = (part(noise, number), part(weights, number))
        state, single = UPDATE(*made, state, part(batches, number), RATE, *own)
        state = REFRESH(made.learning, state)
        outputs.append(single)
    assert int(found.num_updates) == NUM
    assert jax.tree.structure(found) == jax.tree.structure(state)
    for one, other in zip(leaves(found), leaves(state), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert (output.priorities is None) is not weighted
    for one, other in zip(leaves(output), leaves(stacked(outputs)), strict=True):
        assert one.shape[0] == NUM
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_the_same_updates_give_the_same_bits():
    made = CASES["iqn"]
    batches, noise = several(made.network)
    results = [leaves(UPDATES(*made, begun(made), batches, RATE, noise)) for _ in range(2)]
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_updates_leave_the_state_as_it_is():
    made = CASES["notes"]
    batches = jax.tree.map(lambda rows: rows[None][:0], random_batch(0))
    state, output = UPDATES(*made, begun(made), batches, RATE)
    for one, other in zip(leaves(state), leaves(begun(made)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert output.metrics.shape == (0, len(UpdateMetrics._fields))
    assert output.td_errors.shape == (0, BATCH)


def test_two_learners_of_the_same_settings_share_one_compilation():
    traced = []

    def counted(settings, network, state, batch):
        traced.append(network)
        return update(settings, network, state, batch, RATE)

    compiled = jax.jit(counted, static_argnums=(0, 1))
    for _ in range(2):
        made = setup("qr", dueling=True, double=True)
        compiled(*made, begun(made), random_batch(0))
    assert len(traced) == 1
    other = setup("qr", dueling=True)
    compiled(*other, begun(other), random_batch(0))
    assert len(traced) == 2


def test_a_learner_begins_with_copies_of_the_given_parameters():
    made = setup(polyak_window_updates=3)
    given, state = made.network.init(0), begun(made)
    for vector in (state.params, state.target_params, state.average_params):
        found = made.network.layout.unflatten(np.asarray(vector))
        for one, other in zip(leaves(found), leaves(given), strict=True):
            np.testing.assert_array_equal(one, other)
    assert state.num_updates == 0
    assert begun(setup()).average_params is None


def test_a_learner_of_shapes_takes_no_memory():
    made = setup(hidden_widths=(10**8, 10**8))
    shapes = jax.eval_shape(lambda params: init_learner(*made, params), made.network.shapes)
    assert shapes.params.shape == (made.network.layout.size,)
    assert made.network.layout.size > 10**16


def pointers(tree):
    return [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(tree)]


@pytest.mark.parametrize("period", [1, 2])
def test_no_two_leaves_of_the_state_share_a_buffer(period):
    made = setup(target_period_updates=period, polyak_window_updates=3)
    given = in_jax(made.network.init(0))
    state = init_learner(*made, given)
    assert len({*pointers(state), *pointers(given)}) == len(pointers(state) + pointers(given))
    batches = stacked([random_batch(number) for number in range(2)])
    after, _ = UPDATES(*made, state, batches, RATE)
    assert len(set(pointers(after))) == len(pointers(after))


def test_a_donated_state_can_be_updated():
    made = setup(target_period_updates=2)

    def one(state, batch):
        state, _ = update(*made, state, batch, RATE)
        return refresh_target(made.learning, state)

    donating = jax.jit(one, donate_argnums=0)
    keeping = jax.jit(one)
    given, kept = begun(made), begun(made)
    for number in range(4):
        given = donating(given, random_batch(number))
        kept = keeping(kept, random_batch(number))
    for one, other in zip(leaves(given), leaves(kept), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("window", [1, 3, 100])
def test_the_parameters_that_act_greedily_are_averaged_over_the_updates(window):
    """A plain mean of the first of them, then one that forgets."""
    states, _ = learn(setup(polyak_window_updates=window), 8)
    plain, _ = learn(setup(), 8)
    expected = np.zeros(0)
    for number, state in enumerate(states[1:], start=1):
        params = np.array(state.params, np.float64)
        share = 1 / min(number, window)
        expected = params if number == 1 else (1 - share) * expected + share * params
        np.testing.assert_allclose(state.eval_params, expected, rtol=1e-5, atol=1e-6)
    if window == 100:
        mean = np.mean([state.params for state in states[1:]], axis=0)
        np.testing.assert_allclose(states[-1].eval_params, mean, atol=1e-6)
    np.testing.assert_allclose(states[-1].params, plain[-1].params, rtol=1e-5, atol=1e-7)
    assert plain[-1].average_params is None
    np.testing.assert_array_equal(plain[-1].eval_params, plain[-1].params)
