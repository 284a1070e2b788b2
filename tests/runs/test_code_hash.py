"""Objects of one's own are told apart by what they are made of."""

import dataclasses
import functools
import subprocess
import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from frankrl.runs.code_hash import told


def scaled(factor, *, shift=0.0):
    return factor + shift


def enclosing(value):
    def inner(x):
        return x, value

    return inner


@dataclasses.dataclass
class Record:
    value: Any


class Named(NamedTuple):
    value: Any


class Uses:
    """Something whose content changes as it is used."""

    def __init__(self, count=0):
        self.count = count

    def act(self):
        return self.count


OPTIMISERS = [
    lambda: optax.adamw(1e-3),
    lambda: optax.adamw(1e-4),
    lambda: optax.adamw(1e-3, weight_decay=0.1),
    lambda: optax.sgd(0.1),
    lambda: optax.sgd(0.2, momentum=0.9),
    lambda: optax.adamw(optax.linear_schedule(1e-3, 1e-4, 100)),
    lambda: optax.adamw(optax.linear_schedule(1e-3, 1e-5, 100)),
    lambda: optax.chain(optax.add_noise(0.1, 0.5, jax.random.key(1)), optax.sgd(0.1)),
    lambda: optax.chain(optax.add_noise(0.1, 0.5, jax.random.key(2)), optax.sgd(0.1)),
]
VALUES = [1, 1.0, True, "1", (1, 2), [1, 2], {"a": 1}, {"a": 2}, {1, 2}, None]
ARRAYS = [np.zeros(2), np.ones(2), np.ones(2, np.float32), np.ones((1, 2)), jnp.ones(2)]
HOLDERS = [
    enclosing,
    lambda value: functools.partial(scaled, value),
    lambda value: functools.partial(scaled, 1, shift=value),
    lambda value: lambda x, y=value: x,
    lambda value: jax.jit(enclosing(value)),
    Record,
    Named,
]


def test_optimisers_differ_by_their_arguments_and_are_equal_if_made_alike():
    found = [told(make()) for make in OPTIMISERS]
    assert len(set(found)) == len(OPTIMISERS)
    assert found == [told(make()) for make in OPTIMISERS]


@pytest.mark.parametrize("hold", HOLDERS)
def test_what_an_object_holds_tells_it_apart(hold):
    values = [*VALUES, *ARRAYS, optax.sgd(0.1), optax.sgd(0.2), jax.random.key(3)]
    assert len({told(hold(value)) for value in values}) == len(values)


def test_it_is_the_same_in_another_process():
    """Also what is sorted by hashes of text, and what has an address in its `repr`."""
    code = (
        "import sys, hashlib; sys.path.insert(0, 'tests/runs')\n"
        "from test_code_hash import *\n"
        "made = [make() for make in OPTIMISERS]\n"
        "values = [*VALUES, *ARRAYS, {'a', 'b', 'c'}, Uses()]\n"
        "made += [hold(value) for hold in HOLDERS for value in values]\n"
        "print(hashlib.sha256(b'.'.join(map(told, made))).hexdigest())\n"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert found[0] == found[1] != ""


def test_nothing_that_one_can_hold_stops_it():
    class Awkward:
        def __getattr__(self, name):
            raise RuntimeError(name)

    around: list = []
    around.append(around)
    deep: Any = ()
    for _ in range(5_000):
        deep = (deep,)
    for value in (Awkward(), around, deep, list(range(100_000)), object(), np.array([Uses()])):
        assert b"0x" not in told(enclosing(value))
    without_source = [eval(f"lambda x: x + {number}") for number in (1, 2)]  # noqa: S307
    assert told(without_source[0]) != told(without_source[1])
    assert told(Uses(1)) == told(Uses(2))
