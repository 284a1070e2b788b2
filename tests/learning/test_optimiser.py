"""Optimisers of the user's own."""

import functools
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from long_forms import some_of
from small_networks import in_jax, network_of, random_batch, settings_of

import frankrl
from frankrl.core.errors import SettingError
from frankrl.learning import init_learner, update
from frankrl.learning.optimiser import Gradient, init_optimiser, optimiser_step
from frankrl.runs import list_checkpoints, load_checkpoint

RATE = 0.03


def learned(optimiser, *, most=None, num_updates=5):
    """The parameters after some updates, and the gradients on the way."""
    settings = settings_of(optimiser=optimiser, max_gradient_norm=most).learning
    network = network_of(settings_of())
    state = init_learner(settings, network, network.init(0))
    step = jax.jit(functools.partial(update, settings, network))
    for number in range(num_updates):
        state, _ = step(state, in_jax(random_batch(number)), jnp.float32(RATE))
    return network, state


@pytest.mark.parametrize("most", [None, 0.5])
@pytest.mark.parametrize(
    "own",
    ["optax:adam", optax.adam(RATE), lambda rate: optax.adam(rate)],
    ids=["name", "object", "function"],
)
def test_adam_as_ones_own_is_franks_adam(own, most):
    _, expected = learned("adam", most=most)
    _, found = learned(own, most=most)
    np.testing.assert_allclose(found.params, expected.params, rtol=1e-5, atol=1e-6)


def masked_decay(learning_rate):
    return optax.chain(
        optax.add_noise(0.01, 0.55, jax.random.key(3)),
        optax.adamw(
            learning_rate,
            weight_decay=0.1,
            mask=lambda params: jax.tree.map(lambda leaf: leaf.ndim > 1, params),
        ),
        optax.masked(optax.trace(0.5), lambda params: jax.tree.map(lambda x: x.ndim > 1, params)),
        optax.contrib.reduce_on_plateau(),
    )


def test_an_optimiser_gets_the_parameters_in_their_structure():
    """The oracle is Optax's own loop over the pytrees."""
    settings = settings_of(optimiser=masked_decay, max_gradient_norm=None).learning
    network = network_of(settings_of())
    layout, weights = network.layout, jnp.asarray(network.layout.flatten(network.init(0)))
    state = jax.jit(functools.partial(init_optimiser, settings, layout))(weights)
    step = jax.jit(functools.partial(optimiser_step, settings, layout))
    plain, tree = masked_decay(RATE), layout.unflatten(weights)
    expected = plain.init(tree)

    @jax.jit
    def plain_step(gradient, tree, state):
        steps, state = plain.update(layout.unflatten(gradient), state, tree, value=1.5)
        return optax.apply_updates(tree, steps), state

    random = np.random.default_rng(0)
    for _ in range(3):
        gradient = jnp.asarray(random.normal(size=layout.size).astype(np.float32))
        weights, state = step(state, Gradient(gradient, weights, jnp.float32(1.5), RATE))
        tree, expected = plain_step(gradient, tree, expected)
    np.testing.assert_allclose(weights, layout.flatten(tree), rtol=1e-6)
    assert all(leaf.dtype != jax.random.key(0).dtype for leaf in jax.tree.leaves(state))


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (lambda: None, r"called with the learning rate, it raised TypeError"),
        (lambda rate: 3, r"must be a function of the learning rate.*; it gave 3"),
        ("optax:no_such", "has no 'no_such'"),
        ("math:pi", r"optimiser math:pi must be.*; it is 3.14"),
        (
            optax.GradientTransformation(lambda params: (), lambda g, s, p: 1 / 0),
            "update raised ZeroDivisionError",
        ),
        (
            optax.GradientTransformation(lambda params: (), lambda g, s, p: (g.hidden, s)),
            "update must give a step for each array",
        ),
        (
            optax.GradientTransformation(lambda params: "all", lambda g, s, p: (g, s)),
            "its state has 'all' at '', which is no array",
        ),
        (
            lambda rate: optax.sgd(rate) if rate > 0 else optax.sgd(1),
            "cannot be compiled.*TracerBool",
        ),
    ],
)
def test_what_is_wrong_with_it_is_said_in_one_sentence(own, words):
    with pytest.raises(SettingError, match=words):
        learned(own, num_updates=1)


class Changing:
    """Makes an optimiser by what it holds, which can change."""

    begin = rate = 0.5

    def __call__(self, learning_rate):
        begin, rate = self.begin, self.rate

        def update(gradient, state, params=None):
            return jax.tree.map(lambda leaf: -rate * leaf, gradient), state

        return optax.GradientTransformation(lambda params: jnp.float32(begin), update)


def test_a_changed_optimiser_begins_as_it_is_now():
    own = Changing()
    _, first = learned(own, num_updates=0)
    own.begin = 2.0
    _, second = learned(own, num_updates=0)
    assert [float(state.opt_state) for state in (first, second)] == [0.5, 2.0]


@pytest.mark.parametrize("as_object", some_of([True, False], [True]))
def test_a_run_learns_with_the_optimiser_as_it_is_now(as_object, tmp_path, monkeypatch):
    """By a name, as after a reload of its module, and as an object that was changed."""
    module = types.ModuleType("changing")
    monkeypatch.setitem(sys.modules, "changing", module)
    own, weights = Changing(), []
    for number, rate in enumerate((0.5, 0.0)):
        own.rate = rate
        module.own = own if as_object else optax.sgd(rate)
        run = tmp_path / str(number)
        frankrl.train(
            "CartPole-v1",
            out=run,
            optimiser=own if as_object else "changing:own",
            preset="default",
            hidden_widths=(8,),
            num_envs=2,
            batch_size=8,
            learning_starts_env_steps=20,
            total_env_steps=60,
            evaluate_every_env_steps=None,
            final_evaluation_episodes=None,
        )
        (checkpoint,) = list_checkpoints(run / "checkpoints")
        tensors = load_checkpoint(checkpoint, {"q_network": 10**6, "target_network": 10**6}).tensors
        weights.append(tensors["q_network"])
    begun = tensors["target_network"]
    assert all((weights[1][name] == begun[name]).all() for name in begun)
    assert any((weights[0][name] != begun[name]).any() for name in begun)
