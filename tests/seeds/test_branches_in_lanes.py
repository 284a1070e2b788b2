"""Rare branches and failing environments where several seeds are one program."""

from dataclasses import replace

import jax
import jax.extend.core
import numpy as np
import pytest

import frankrl
from frankrl.config.presets import load_preset
from frankrl.core.errors import EnvironmentFailedError
from frankrl.core.numerics import own_numerics
from frankrl.environments import describe
from frankrl.training import Experiment, init_train_state
from frankrl.training.device.batch import SeedBatch, compiled_batch
from frankrl.training.device.chunk import make_chunk
from frankrl.training.device.rounds import first_carry, round_of, schedule_for, source_on_device

ENV = "frankrl/CartPole-functional-v0"
SHORT = {
    "learning_starts_env_steps": 64,
    "hidden_widths": (8,),
    "num_envs": 2,
    "vector_steps_per_round": 4,
    "batch_size": 16,
    "replay_capacity": 400,
    "source": "device",
}


@pytest.mark.parametrize("preset", ["default", "pqn"])
def test_branches_stay_branches_in_lanes(preset):
    """A select would compute both sides in every step: resets, and PQN's values of last states."""
    settings = load_preset(preset).with_changes(num_envs=2, hidden_widths=(8,), source="device")
    experiment = Experiment.of(settings.resolved(), describe(ENV, {}), 0)
    source, state = source_on_device(experiment), init_train_state(experiment)
    one_round = round_of(experiment, source)
    carry = first_carry(one_round, state, source)
    counts = np.zeros(1, np.int64)
    schedule = schedule_for(experiment, one_round, 0, 0, counts)
    alone = jax.make_jaxpr(make_chunk(one_round))(carry, source.seed, schedule, np.int32(1))
    leaves, structure = jax.tree.flatten(carry)
    both = [np.stack([leaf, leaf]) for leaf in leaves]
    lanes = jax.make_jaxpr(compiled_batch(one_round, structure, 2))(
        both, np.stack([source.seed] * 2), schedule, np.int32(1)
    )
    assert conditionals(lanes.jaxpr) == conditionals(alone.jaxpr) > 1


def conditionals(jaxpr):
    """How many there are in a program and in all its parts."""
    return sum(
        (equation.primitive.name == "cond")
        + sum(conditionals(part) for part in jax.extend.core.jaxprs_in_params(equation.params))
        for equation in jaxpr.eqns
    )


def test_a_lane_whose_environment_fails_ends_and_the_others_go_on():
    with own_numerics():
        settings = frankrl.Settings().with_changes(**SHORT).resolved()
        first = Experiment.of(settings, describe(ENV, {}), 0)
        batch, lanes = SeedBatch(2), []
        for index in range(2):
            experiment = replace(first, seed=index)
            source, state = source_on_device(experiment), init_train_state(experiment)
            if index:
                # Its pole stands nowhere.
                states = source.states
                broken = jax.tree.map(
                    lambda leaf: leaf * np.nan if leaf.dtype == np.float32 else leaf, states.state
                )
                source.states = states._replace(state=broken)
            lanes.append(batch.rounds_of(index)(experiment, source, state, lambda at: at + 32))
        batch.advance()
        assert next(lanes[0]).ticks == 8
        with pytest.raises(
            EnvironmentFailedError, match=r"environment 0 .*, episode 0, env step 1 "
        ):
            next(lanes[1])
        batch.leave(1)
        batch.advance()
        assert next(lanes[0]).ticks == 40
