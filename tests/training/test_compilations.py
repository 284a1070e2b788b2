"""How often a run compiles its learner: once for each number of updates that a round can have."""

import itertools

import jax
import pytest
from in_memory import experiment_of, source_of
from long_forms import some_of

from frankrl.config import Settings
from frankrl.training import init_train_state, rounds
from frankrl.training.learner_call import compiled_learn

CASES = [
    # replay_ratio, numbers, replay_sampling
    (1.0, {0, 4}, "prioritised"),
    (0.3, {0, 1, 2}, "uniform"),
    (0.1, {0, 1}, "uniform"),
    (2.3, {0, 9, 10}, "uniform"),
    (2.3, {0, 9, 10}, "prioritised"),
]


@pytest.mark.parametrize(
    ("replay_ratio", "numbers", "replay_sampling"), some_of(CASES, default=CASES[:2])
)
def test_a_run_compiles_for_no_updates_and_for_their_number_rounded_down_and_up(
    replay_ratio, numbers, replay_sampling
):
    settings = Settings().with_changes(
        hidden_widths=(8,),
        num_envs=4,
        batch_size=4,
        learning_starts_env_steps=10,
        replay_capacity=2_000,
        replay_ratio=replay_ratio,
        replay_sampling=replay_sampling,
    )
    experiment = experiment_of("CartPole-v1", settings, seed=0)
    state, source = init_train_state(experiment), source_of(experiment)
    structure = jax.tree.structure((state.learner, state.replay, None))
    compiled_learn.cache_clear()
    parts = (experiment.settings.learning, experiment.network, experiment.replay)
    learn = compiled_learn(*parts, structure, None, None)
    results = itertools.islice(rounds(experiment, source, state), 60)
    done = [0, *(result.updates for result in results)]
    source.close()
    assert {after - first for first, after in itertools.pairwise(done)} == numbers
    assert learn._cache_size() == len(numbers)
