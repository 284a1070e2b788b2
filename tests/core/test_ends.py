import jax.numpy as jnp
import numpy as np
import pytest

from frankrl.core.ends import ends_world

TERMINATED = [False, True, False, True]
IS_LAST = [False, True, True, False]
"""Goes on; terminated; truncated; a lost life that counts as termination."""


@pytest.mark.parametrize("xp", [np, jnp])
@pytest.mark.parametrize(
    ("bootstrap_on", "expected"),
    [
        ("truncation", [False, True, False, True]),
        ("never", [False, True, True, True]),
        ("always", [False, False, False, False]),
    ],
)
def test_the_future_ends_where_the_setting_says(xp, bootstrap_on, expected):
    found = ends_world(bootstrap_on, xp.array(TERMINATED), xp.array(IS_LAST))
    assert found.dtype == bool
    assert found.tolist() == expected
