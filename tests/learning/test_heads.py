"""What holds of every kind of head."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from small_networks import (
    ACTIONS,
    BATCH,
    KINDS,
    in_jax,
    network_of,
    numbers,
    random_batch,
    random_noise,
    settings_of,
)

from frankrl.config import Settings
from frankrl.learning import make_head
from frankrl.networks import Head

STATES = np.random.default_rng(5).normal(size=(BATCH, 4)).astype(np.float32)
PERCENTS = (10, 50, 90)


def head_of(kind, **changes):
    return make_head(settings_of(kind, **changes))


def outputs_of(kind, seed=0, **changes):
    """A network's outputs for each action."""
    network = network_of(settings_of(kind, **changes), numbers(4))
    return network, network.apply(network.init(seed), STATES)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_all_parts_that_a_head_has_to_give(kind):
    head = head_of(kind)
    assert isinstance(head, Head)
    assert not inspect.isabstract(type(head))
    assert Head.__abstractmethods__ == {
        "q_values",
        "target",
        "losses",
        "target_mean",
        "priorities",
        "loss_name",
    }


@pytest.mark.parametrize("part", sorted(Head.__abstractmethods__))
def test_a_kind_without_one_of_them_cannot_be_made(part):
    lacking = type("Lacking", (type(head_of("mean")),), {part: getattr(Head, part)})
    with pytest.raises(TypeError, match=part):
        lacking()


@pytest.mark.parametrize("kind", KINDS)
def test_heads_of_the_same_settings_are_equal_and_hash_alike(kind):
    assert head_of(kind) == head_of(kind)
    assert hash(head_of(kind)) == hash(head_of(kind))
    assert [head_of(other) == head_of(kind) for other in KINDS].count(True) == 1


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("mean", {"loss": "huber"}),
        ("c51", {"num_atoms": 12}),
        ("c51", {"value_min": -5.0}),
        ("qr", {"num_quantiles": 8}),
        ("qr", {"huber_delta": 2.0}),
        ("iqn", {"iqn_cosines": 6}),
        ("iqn", {"iqn_samples": 7}),
        ("iqn", {"iqn_acting_fractions": 10}),
        ("iqn", {"huber_delta": 2.0}),
    ],
)
def test_every_setting_of_a_kind_reaches_its_head(kind, change):
    assert head_of(kind, **change) != head_of(kind)


def test_a_delta_of_huber_counts_only_with_huber():
    assert head_of("mean").huber_delta is None
    assert head_of("mean", loss="huber", huber_delta=0.7).huber_delta == 0.7


@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_numpy_and_jax_agree_for_every_head(kind, layer_norm, dueling):
    settings = settings_of(kind, layer_norm=layer_norm, dueling=dueling)
    network = network_of(settings, numbers(4))
    params = network.init(0)
    found = network.q_values(params, STATES)
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float32
    assert found.shape == (BATCH, ACTIONS)
    compiled = jax.jit(network.q_values)(params, STATES)
    np.testing.assert_allclose(found, compiled, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_q_values_are_the_means_of_what_the_heads_give(kind):
    network, outputs = outputs_of(kind)
    outputs = outputs.astype(np.float64)
    if kind == "mean":
        expected = outputs
    elif kind == "c51":
        expected = scipy.special.softmax(outputs, axis=-1) @ np.linspace(-4, 4, 11)
    else:
        expected = outputs.mean(axis=-1)
    found = network.q_values(network.init(0), STATES)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_states_q_values_do_not_depend_on_what_stands_beside_it(kind):
    network, _ = outputs_of(kind)
    params = network.init(0)
    alone = network.q_values(params, STATES[3:4])
    np.testing.assert_allclose(network.q_values(params, STATES)[3], alone[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_advantages_have_mean_zero_over_actions_in_every_atom(kind):
    """With dueling, the mean over actions of what is said is what the value's outputs say."""
    network, found = outputs_of(kind, dueling=True)
    params = network.init(0)
    atoms = network.head.atoms or 1
    value = params.output._replace(
        weight=params.output.weight[:, :atoms], bias=params.output.bias[:atoms]
    )
    lone = network_of(settings_of(kind), numbers(4), num_actions=1)
    expected = lone.apply(params._replace(output=value), STATES)[:, 0]
    np.testing.assert_allclose(found.mean(axis=1), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_fractions_are_asked_of_iqn_alone(kind):
    assert head_of(kind).num_fractions == (KINDS["iqn"]["iqn_samples"] if kind == "iqn" else 0)


@pytest.mark.parametrize("kind", KINDS)
def test_no_gradient_flows_through_a_target(kind):
    network, outputs = outputs_of(kind)
    batch = in_jax(random_batch(0))

    def total(next_outputs, reward):
        target = network.head.target(batch._replace(reward=reward), next_outputs)
        return jnp.sum(target * jnp.cos(jnp.arange(target.size).reshape(target.shape)))

    slopes = jax.jit(jax.grad(total, argnums=(0, 1)))(jnp.asarray(outputs[:, 0]), batch.reward)
    assert not any(slope.any() for slope in slopes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_prediction_that_equals_its_target_has_no_error_of_its_mean(kind):
    """What is said of the actions taken becomes the target, by r = 0 and a discount of 1."""
    network, _ = outputs_of(kind)
    head, fractions = network.head, random_noise(network, 0).fractions
    chosen = network.apply(network.init(0), STATES, fractions)[:, 0]
    batch = random_batch(0)._replace(
        reward=np.zeros(BATCH, np.float32), discount=np.ones(BATCH, np.float32)
    )

    @jax.jit
    def judge(chosen, batch, fractions):
        target = head.target(batch, chosen)
        losses = head.losses(chosen, target, fractions)
        return head.target_mean(target), losses, head.priorities(losses, jnp.zeros(BATCH), target)

    mean, losses, priorities = judge(chosen, batch, fractions)
    np.testing.assert_allclose(mean, head.q_values(chosen), rtol=1e-5, atol=1e-5)
    if kind in ("mean", "c51"):
        np.testing.assert_allclose(priorities, 0, atol=1e-6)
    else:
        np.testing.assert_array_equal(priorities, losses)


@pytest.mark.parametrize("kind", ["c51", "qr", "iqn"])
def test_percentiles_are_those_of_returns_drawn_from_the_distribution(kind):
    network, outputs = outputs_of(kind)
    head = network.head
    distribution = head.distribution(3 * outputs[:, 0])
    assert isinstance(distribution, np.ndarray)
    for own in distribution:
        if kind == "c51":
            returns, shares = np.linspace(-4, 4, 11), own / own.sum()
        else:
            returns, shares = own, np.full(len(own), 1 / len(own))
        drawn = np.random.default_rng(0).choice(returns, 100_001, p=shares)
        expected = np.percentile(drawn, PERCENTS, method="inverted_cdf")
        found = head.percentiles(own, PERCENTS)
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_mean_has_no_distribution_and_no_percentiles():
    head = head_of("mean")
    assert head.distribution(np.zeros(3, np.float32)) is None
    with pytest.raises(TypeError, match="ExpectedHead predicts only the mean"):
        head.percentiles(np.zeros(1, np.float32), PERCENTS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_settings_that_size_a_head_are_settings(kind):
    assert set(head_of(kind).sized_by) <= set(Settings().values())


@pytest.mark.parametrize("kind", KINDS)
def test_larger_sizes_make_larger_outputs(kind):
    """IQN's grow with the batch of fractions, not with the network."""
    settings = settings_of(kind)
    for name in head_of(kind).sized_by:
        if name == "hidden_widths":
            continue
        larger = settings.with_changes(**{name: settings.values()[name] + 3})
        sizes = []
        for each in (settings, larger):
            network = network_of(each, numbers(4))
            fractions = None
            if name == "iqn_samples":
                fractions = random_noise(network, 0).fractions
            sizes.append(network.apply(network.init(0), STATES, fractions).size)
        assert sizes[1] > sizes[0]


def test_what_is_told_of_a_head_names_its_numbers():
    assert head_of("mean").loss_name == "(y − Q)²"
    assert "0.7" in head_of("mean", loss="huber", huber_delta=0.7).loss_name
    assert "from -4 to 4" in head_of("c51").target_note
    assert "2.5" in head_of("qr", huber_delta=2.5).loss_name
    assert "6 fractions" in head_of("iqn").next_value_note
