"""C51: the projection, and the loss held against rlax."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from judged_batch import judged
from quiet_rlax import rlax

from frankrl.config import Settings
from frankrl.core.errors import SettingError
from frankrl.learning import make_head
from frankrl.learning.heads import CategoricalHead

HEAD = CategoricalHead(11, -4.0, 4.0)
PROJECTED = jax.jit(CategoricalHead.projected, static_argnums=0)
TARGET = jax.jit(CategoricalHead.target, static_argnums=0)


def test_the_atoms_are_evenly_spaced_from_the_lowest_to_the_highest_return():
    np.testing.assert_allclose(HEAD.support, -4 + 0.8 * np.arange(11), atol=1e-6)


@pytest.mark.parametrize(
    ("low", "high", "atoms"), [(1.0, 1.0000001, 51), (1e8, 1e8 + 9, 21), (-1e-46, 1e-46, 2)]
)
def test_returns_that_single_precision_cannot_tell_apart_are_refused(low, high, atoms):
    changes = {"distribution": "c51", "value_min": low, "value_max": high, "num_atoms": atoms}
    settings = Settings().with_changes(**changes)
    with pytest.raises(SettingError, match="not all different in single precision"):
        make_head(settings)


def test_huge_logits_do_not_overflow():
    head = CategoricalHead(5, -1.0, 3.0)
    logits = np.array([[[1e4, 0, 0, 0, 1e4]]], np.float32)
    np.testing.assert_allclose(head.q_values(logits), [[1.0]])
    np.testing.assert_allclose(jax.jit(head.q_values)(logits), [[1.0]])


@pytest.mark.filterwarnings("ignore:Rlax:PendingDeprecationWarning")
@pytest.mark.parametrize("double", [False, True])
def test_c51_agrees_with_rlax(double):
    found = judged("c51", double=double)
    support, batch = HEAD.support, found.batch
    params = found.params if double else found.target_params
    selector = found.network.q_values(params, batch.next_observation)
    axes = (None, 0, 0, 0, 0, None, 0, 0)
    expected = jax.jit(jax.vmap(rlax.categorical_double_q_learning, in_axes=axes))(
        support,
        found.network.apply(found.params, batch.observation),
        batch.action.astype(int),
        batch.reward,
        batch.discount,
        support,
        found.outputs.next_outputs,
        selector,
    )
    np.testing.assert_allclose(found.predictions.losses, expected, rtol=1e-5)


def test_the_projection_agrees_with_rlax_also_beyond_the_ends():
    random = np.random.default_rng(0)
    returns = np.sort(random.normal(0, 5, (50, 7)).astype(np.float32), axis=1)
    shares = random.dirichlet(np.ones(7), 50).astype(np.float32)
    project = jax.jit(jax.vmap(rlax.categorical_l2_project, in_axes=(0, 0, None)))
    expected = project(returns, shares, HEAD.support)
    np.testing.assert_allclose(PROJECTED(HEAD, returns, shares), expected, atol=1e-6)


def test_the_order_of_the_returns_changes_no_projection():
    random = np.random.default_rng(0)
    returns = random.normal(0, 5, (20, 7)).astype(np.float32)
    shares = random.dirichlet(np.ones(7), 20).astype(np.float32)
    order = random.permutation(7)
    expected = PROJECTED(HEAD, returns, shares)
    found = PROJECTED(HEAD, returns[:, order], shares[:, order])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_return_between_two_atoms_is_shared_by_them():
    head = CategoricalHead(3, 0.0, 2.0)
    found = PROJECTED(head, np.float32([[1.25, 5.0]]), np.float32([[0.8, 0.2]]))
    np.testing.assert_allclose(found, [[0.0, 0.6, 0.4]], atol=1e-6)


def test_the_projection_keeps_the_mean_of_what_lies_between_the_ends():
    random = np.random.default_rng(1)
    returns = random.uniform(-4, 4, (20, 5)).astype(np.float32)
    shares = random.dirichlet(np.ones(5), 20).astype(np.float32)
    found = PROJECTED(HEAD, returns, shares)
    np.testing.assert_allclose(
        HEAD.target_mean(found), (returns * shares).sum(axis=1), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)


def test_the_target_of_a_certain_return_is_r_plus_the_discounted_return():
    """Two atoms beside y share it: 1 + 0.5 · 0.8 = 1.4 lies between 0.8 and 1.6."""
    found = judged("c51")
    logits = np.full((1, 11), -1e9, np.float32)
    logits[0, 6] = 0
    batch = jax.tree.map(lambda part: part[:1], found.batch)
    batch = batch._replace(reward=np.float32([1]), discount=np.float32([0.5]))
    target = np.zeros((1, 11))
    target[0, 6:8] = 0.25, 0.75
    np.testing.assert_allclose(TARGET(HEAD, batch, logits), target, atol=1e-6)


def test_what_lies_beyond_the_highest_return_counts_as_it_in_the_mean_too():
    found = judged("c51")
    batch = found.batch._replace(reward=np.full_like(found.batch.reward, 100))
    target = TARGET(HEAD, batch, found.outputs.next_outputs[:, 0])
    np.testing.assert_allclose(HEAD.target_mean(target), 4.0, rtol=1e-6)


def test_priorities_are_the_relative_entropy_of_the_two_distributions():
    """By SciPy; where the network says what the target says it is 0."""
    found = judged("c51")
    losses = found.predictions.losses
    errors = jnp.zeros_like(losses)
    expected = scipy.stats.entropy(
        found.targets, jax.nn.softmax(found.predictions.chosen, axis=-1), axis=-1
    )
    priorities = HEAD.priorities(losses, errors, found.targets)
    np.testing.assert_allclose(priorities, expected, rtol=1e-4, atol=1e-5)
    unavoidable = HEAD.losses(jnp.log(found.targets + 1e-30), found.targets, None)
    agreed = HEAD.priorities(unavoidable, errors, found.targets)
    np.testing.assert_allclose(agreed, 0, atol=1e-6)


def test_a_categorical_head_of_other_ends_has_other_atoms():
    moved = dataclasses.replace(HEAD, low=-2.0)
    assert moved.support[0] == -2
    assert moved != HEAD
