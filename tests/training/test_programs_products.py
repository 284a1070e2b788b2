"""The size of a batch's matrix products, by which programs are compiled for a GPU."""

import jax
import pytest
from in_memory import experiment_of

from frankrl.config import Settings
from frankrl.config.presets import load_preset
from frankrl.training import learner_call
from frankrl.training.device import batch as batch_module
from frankrl.training.device import chunk as chunk_module
from frankrl.training.device.rounds import round_of, source_on_device

# 4 numbers of CartPole, 8 units, 2 actions; biases count, and so do the numbers of LayerNorm.
_PRODUCTS = 4 * 8 + 8 + 8 * 2 + 2
_NORMALISED = _PRODUCTS + 2 * 8


@pytest.fixture
def asked(monkeypatch):
    """What `compiler_options` was asked for."""
    found = []
    for module in (learner_call, chunk_module, batch_module):
        monkeypatch.setattr(module, "compiler_options", found.append)
    return found


def test_those_of_a_learner_on_the_host_are_its_whole_batch(asked):
    settings = Settings().with_changes(hidden_widths=(8,), batch_size=4)
    experiment = experiment_of("CartPole-v1", settings, seed=0)
    structure = jax.tree.structure(0)
    compiled = learner_call.compiled_learn.__wrapped__
    compiled(settings.learning, experiment.network, experiment.replay, structure)
    assert asked == [4 * _PRODUCTS]


@pytest.mark.parametrize(
    ("preset", "changes", "products"),
    [
        ("default", {"batch_size": 4}, 4 * _PRODUCTS),
        # 2 environments, 6 steps of each, in 3 parts.
        ("pqn", {"num_envs": 2, "vector_steps_per_round": 6, "minibatches": 3}, 4 * _NORMALISED),
    ],
)
def test_those_of_a_program_on_the_device_are_of_all_its_runs(asked, preset, changes, products):
    settings = load_preset(preset).with_changes(hidden_widths=(8,), dueling=False, **changes)
    experiment = experiment_of("frankrl/CartPole-functional-v0", settings, seed=0)
    one_round = round_of(experiment, source_on_device(experiment))
    assert one_round.products == products
    chunk_module.compiled_chunk.__wrapped__(one_round)
    batch_module.compiled_batch.__wrapped__(one_round, None, 3)
    batch_module.computed_in_lanes(lambda number: number, 3, one_round.products)
    assert asked == [products, 3 * products, 3 * products]


@pytest.mark.parametrize("preset", ["default", "recurrent"])
def test_an_opened_update_has_those_of_its_run(preset):
    settings = load_preset(preset)
    experiment = experiment_of("frankrl/CartPole-functional-v0", settings, seed=0)
    of_update = experiment.network.num_products * experiment.settings.update_transitions
    assert round_of(experiment, source_on_device(experiment)).products == of_update
