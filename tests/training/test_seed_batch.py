"""Runs that are put together as one program."""

import sys
import types
from dataclasses import replace

import numpy as np
import optax
import pytest
from in_memory import experiment_of

from frankrl.config import Settings
from frankrl.core.errors import RunFolderError
from frankrl.core.numerics import own_numerics
from frankrl.training import init_train_state
from frankrl.training.device import batch
from frankrl.training.device.batch import SeedBatch
from frankrl.training.device.rounds import device_rounds, source_on_device

ENV = "frankrl/CartPole-functional-v0"
SMALL = {
    "algorithm": "pqn",
    "num_envs": 2,
    "vector_steps_per_round": 4,
    "minibatches": 2,
    "epochs_per_round": 1,
    "hidden_widths": (4,),
    "optimiser": "sgd",
    "source": "device",
    "total_env_steps": 800,
}


def experiment(**changes):
    return experiment_of(ENV, Settings().with_changes(**SMALL | changes), 0)


def joined(one, lanes, index, **counts):
    """Has the run of a lane join, at other counts than the beginning's if they are given."""
    state = init_train_state(one)._replace(**counts)
    rounds = lanes.rounds_of(index)
    return rounds(replace(one, seed=index), source_on_device(one), state, lambda at: at + 16)


@pytest.mark.parametrize("counts", [{"ticks": 400, "updates": 100}, {"updates": 4}])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_run_that_does_not_stand_where_the_others_do_is_refused(index, counts):
    one, lanes = experiment(), SeedBatch(3)
    others = [each for each in range(3) if each != index]
    joined(one, lanes, others[0])
    joined(one, lanes, others[1])
    with pytest.raises(
        RunFolderError, match=f"the one with seed {index} stands at .*, the others at env step 0 "
    ):
        joined(one, lanes, index, **counts)


def test_no_run_joins_after_the_first_chunk_or_twice():
    with own_numerics():
        one, lanes = experiment(), SeedBatch(2)
        joined(one, lanes, 0)
        with pytest.raises(RuntimeError, match="lane 0"):
            joined(one, lanes, 0)
        lanes.advance()
        with pytest.raises(RuntimeError, match="lane 1"):
            joined(one, lanes, 1, ticks=16, updates=4)


@pytest.mark.slow
@pytest.mark.parametrize("in_lanes", [True, False])
def test_a_changed_optimiser_is_taken_although_the_run_before_is_not_gone(in_lanes, monkeypatch):
    module = types.ModuleType("my_optimisers")
    monkeypatch.setitem(sys.modules, "my_optimisers", module)
    held, weights = [], []
    with own_numerics():
        for rate in (0.5, 0.0):
            module.slow = optax.sgd(rate)
            one = experiment(optimiser="my_optimisers:slow")
            begun = np.array(init_train_state(one).params)
            if in_lanes:
                lanes = SeedBatch(1)
                rounds = joined(one, lanes, 0)
                lanes.advance()
            else:
                rounds = device_rounds(
                    one, source_on_device(one), init_train_state(one), lambda at: at + 16
                )
            weights.append(np.array(next(rounds).output().params))
            held.append((one, rounds))
    assert not np.array_equal(weights[0], begun)
    np.testing.assert_array_equal(weights[1], begun)


@pytest.mark.slow
def test_the_program_is_made_once_with_an_optimiser_of_the_users_own(monkeypatch):
    module = types.ModuleType("my_optimisers")
    module.slow = optax.sgd(0.01)
    monkeypatch.setitem(sys.modules, "my_optimisers", module)
    made = []

    def make_chunk(one_round, of=batch.make_chunk):
        made.append(one_round)
        return of(one_round)

    monkeypatch.setattr(batch, "make_chunk", make_chunk)
    with own_numerics():
        one, lanes = experiment(optimiser="my_optimisers:slow"), SeedBatch(2)
        rounds = [joined(one, lanes, index) for index in range(2)]
        for _ in range(3):
            lanes.advance()
            ends = {next(each).ticks for each in rounds}
    assert len(ends) == 1
    assert len(made) == 1
