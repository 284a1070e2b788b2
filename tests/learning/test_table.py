"""A Q-table learned by the same update is Watkins' rule."""

import jax
import numpy as np
import pytest

from frankrl.config import Settings
from frankrl.core.types import Transition
from frankrl.environments.leaves import Leaf
from frankrl.learning import init_learner, make_head, updates
from frankrl.networks import make_q_network

STATES, ACTIONS, NUM, ALPHA = 6, 3, 200, 0.2
SETTINGS = Settings().with_changes(
    q_function="table",
    optimiser="sgd",
    max_gradient_norm=None,
    target_period_updates=1,
)
LEAF = Leaf("", (), np.dtype(np.int32), (STATES,), (0,))
TABLE = make_q_network(SETTINGS.network, (LEAF,), ACTIONS, make_head(SETTINGS))


def transitions(batch_size):
    random = np.random.default_rng(0)
    shape = (NUM, batch_size)
    return Transition(
        observation=random.integers(0, STATES, shape).astype(np.int32),
        action=random.integers(0, ACTIONS, shape).astype(np.uint16),
        reward=random.normal(size=shape).astype(np.float32),
        next_observation=random.integers(0, STATES, shape).astype(np.int32),
        discount=np.where(random.random(shape) < 0.2, 0, 0.9).astype(np.float32),
    )


@pytest.mark.parametrize("batch_size", [1, 4])
def test_each_update_is_watkins_rule(batch_size):
    """Q(s, a) ← Q(s, a) + α (r + γ max Q(s′, ·) - Q(s, a)) in a plain loop.

    The squared error's slope is twice the error, and the loss a mean over the batch.
    """
    batches = transitions(batch_size)
    params = TABLE.init(0)
    state = init_learner(SETTINGS.learning, TABLE, params)
    rate = np.float32(ALPHA * batch_size / 2)
    several = jax.jit(updates, static_argnums=(0, 1))
    state, output = several(SETTINGS.learning, TABLE, state, batches, rate)

    table = np.zeros((STATES, ACTIONS))
    errors = np.zeros((NUM, batch_size))
    for number in range(NUM):
        before = table.copy()
        for row in range(batch_size):
            s, a, r, following, discount = (part[number, row] for part in batches[:5])
            y = r + discount * before[following].max()
            errors[number, row] = y - before[s, a]
            table[s, a] += ALPHA * errors[number, row]
    found = TABLE.layout.unflatten(np.asarray(state.params)).output
    assert found.shape == (STATES, ACTIONS)
    np.testing.assert_allclose(found, table, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(output.td_errors, errors, rtol=1e-3, atol=1e-5)


def test_a_cell_that_was_not_taken_stays_as_it_is():
    state = init_learner(SETTINGS.learning, TABLE, TABLE.init(0))
    batch = jax.tree.map(lambda part: part[:1], transitions(1))
    several = jax.jit(updates, static_argnums=(0, 1))
    state, _ = several(SETTINGS.learning, TABLE, state, batch, np.float32(0.1))
    found = np.asarray(TABLE.layout.unflatten(state.params).output)
    changed = np.argwhere(found).tolist()
    assert changed == [[int(batch.observation[0, 0]), int(batch.action[0, 0])]]
