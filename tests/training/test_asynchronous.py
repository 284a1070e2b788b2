"""Actors that run freely: whatever the order of arrival, a run repeats from its own record."""

import collections
import contextlib
import dataclasses
import itertools
import shutil
import sqlite3
import threading

import jax
import numpy as np
import pytest
from actors_here import ActorsHere
from actors_in_turn import ActorsInTurn, arrived, random_order

from frankrl.config import Settings
from frankrl.core.errors import ActorsLostError, EnvironmentUnusableError, SettingError
from frankrl.core.types import Arrival
from frankrl.environments import describe_for
from frankrl.experience import AsynchronousSource, FreeActor, RecordedFeed
from frankrl.explaining import cost_of, reopen
from frankrl.explaining.origin import origins
from frankrl.runs import (
    RunDescription,
    RunFolder,
    all_versions,
    list_checkpoints,
    machine_facts,
)
from frankrl.training import Checkpointed, Experiment, Trainer, init_train_state, rounds
from frankrl.training.asynchronous import FreeActorPlan, asynchronous

pytestmark = pytest.mark.slow

SEED, ACTORS, ENVS, STEPS = 3, 3, 2, 6
CHUNK = ENVS * STEPS
CHOSEN = {
    "asynchronous_actors": ACTORS,
    "num_envs": ACTORS * ENVS,
    "vector_steps_per_round": STEPS,
    "hidden_widths": (8,),
    "batch_size": 8,
    "n_step": 3,
    "replay_sampling": "prioritised",
    "replay_capacity": 500,
    "replay_ratio": 0.5,
    "learning_starts_env_steps": 10 * CHUNK,
    "target_period_updates": 20,
    "log_every_env_steps": 5 * CHUNK,
    "evaluate_every_env_steps": None,
    "final_evaluation_episodes": None,
    "checkpoint_every_env_steps": 20 * CHUNK,
    "keep_checkpoints": 4,
    "total_env_steps": 60 * CHUNK,
}


def experiment_of(**changes):
    settings = Settings().with_changes(**(CHOSEN | changes)).resolved()
    return Experiment.of(settings, describe_for("CartPole-v1", settings), SEED)


def trainer(path, actors, experiment, **how):
    settings = experiment.settings
    description = RunDescription(
        "CartPole-v1", "default", SEED, settings, all_versions(settings), machine_facts()
    )
    return Trainer.begin(
        path, description, experiment, make_source=asynchronous(lambda: actors), **how
    )


def state_of(training):
    """All tensors of a run between two rounds, as NumPy arrays of their own."""
    return jax.tree.map(np.array, training.state()._replace(ticks=0, updates=0))


def assert_same(one, other):
    leaves, structure = jax.tree.flatten(one)
    others, other_structure = jax.tree.flatten(other)
    assert structure == other_structure
    for leaf, other_leaf in zip(leaves, others, strict=True):
        np.testing.assert_array_equal(leaf, other_leaf)


def followed(training, states, until=None):
    """Train to the end of the budget, or up to an env step; keeps the state at each checkpoint."""
    with contextlib.closing(training):
        for event in training.events(lambda: until is not None and training.ticks >= until):
            if isinstance(event, Checkpointed):
                states[event.env_steps] = state_of(training)


def recorded(path):
    with contextlib.closing(sqlite3.connect(path / "metrics.sqlite")) as metrics:
        rows = metrics.execute("SELECT * FROM arrivals ORDER BY env_steps").fetchall()
    return {row[0]: Arrival(*row) for row in rows}


def repeated(experiment, arrivals):
    """The state after each round of a run that is repeated from its beginning, by env steps."""
    settings, spec = experiment.settings, experiment.spec
    actors = [FreeActor(settings, experiment.network, spec, SEED, n) for n in range(ACTORS)]
    source = AsynchronousSource(settings, RecordedFeed(actors, arrivals), experiment.updates_due)
    with contextlib.closing(source):
        results = rounds(experiment, source, init_train_state(experiment))
        for result in itertools.islice(results, len(arrivals)):
            state = jax.tree.map(np.array, result.state()._replace(ticks=0, updates=0))
            yield result, state, source


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of three actors in a random order, resumed once within."""
    path, states = tmp_path_factory.mktemp("asynchronous") / "run", {}
    first, second = (ActorsInTurn(random_order(ACTORS, seed)) for seed in (1, 2))
    experiment = experiment_of()
    followed(trainer(path, first, experiment), states, until=33 * CHUNK)
    resumed = Trainer.resume(
        RunFolder.open(path), experiment, make_source=asynchronous(lambda: second)
    )
    followed(resumed, states)
    return path, states, first.order[:33] + second.order[: 60 - 33]


def test_the_run_records_in_which_order_chunks_arrived_and_with_which_weights(run):
    path, _, order = run
    found, updates_due = recorded(path), experiment_of().updates_due
    assert list(found) == [CHUNK * (number + 1) for number in range(60)]
    assert [(each.actor, each.chunk) for each in found.values()] == arrived(order, 60)
    # Two chunks of each actor are under way: the weights are those at its last arrival but one.
    # A run that goes on asks for all anew.
    taken = {actor: [0, 0] for actor in range(ACTORS)}
    for number, each in enumerate(found.values()):
        if number == 33:
            taken = {actor: [33, 33] for actor in range(ACTORS)}
        asked_at = taken[each.actor].pop(0)
        taken[each.actor].append(number + 1)
        assert each.updates == updates_due((asked_at - 1) * CHUNK), number
    assert len({each.updates for each in found.values()}) > 20


def test_a_run_repeats_from_its_record_to_the_same_bits_at_every_checkpoint(run):
    path, states, _ = run
    compared = 0
    for result, state, _source in repeated(experiment_of(), recorded(path)):
        if result.ticks in states:
            assert_same(state, states[result.ticks])
            compared += 1
    # Also where the run was stopped, and at its end.
    assert sorted(states) == [at * CHUNK for at in (20, 33, 40, 60)]
    assert compared == 4


def test_any_update_opens_from_the_checkpoint_before_it_to_the_same_state(run):
    """Chunks that were under way there came later, with weights that only the checkpoint holds."""
    path, _, _ = run
    folder, experiment = RunFolder.open(path), experiment_of()
    from_beginning = {
        result.ticks: state for result, state, _ in repeated(experiment, recorded(path))
    }
    # The first update of its round, so that all compile the same.
    starts = set()
    for update in (73, 157, 265):
        cost = cost_of(folder, update)
        opened = reopen(folder, update, cost=cost)
        assert opened.record.update == update
        found = jax.tree.map(np.array, opened.state._replace(ticks=0, updates=0))
        assert_same(found, from_beginning[cost.verified_tick])
        starts.add(cost.first_tick)
    assert starts == {20 * CHUNK, 33 * CHUNK, 40 * CHUNK}


def test_a_transition_is_traced_to_the_environment_that_took_it(run):
    path, _, _ = run
    folder, experiment = RunFolder.open(path), experiment_of()
    env_steps = np.arange(0, 60 * CHUNK, 17)
    found = origins(folder, experiment.settings, SEED, env_steps.astype(np.uint32))
    expected = {}
    episodes = dict.fromkeys(range(ACTORS * ENVS), (0, 0))
    arrivals = list(recorded(path).values())
    for result, _, _ in repeated(experiment, recorded(path)):
        arrival = arrivals[result.ticks // CHUNK - 1]
        ended = {(e.env_steps - 1): e for e in result.collected.episodes}
        for row in range(CHUNK):
            at = result.ticks - CHUNK + row
            index = arrival.actor * ENVS + row % ENVS
            episode, step = episodes[index]
            expected[at] = (index, episode, step + 1)
            episodes[index] = (episode + 1, 0) if at in ended else (episode, step + 1)
            if at in ended:
                assert (ended[at].env_index, ended[at].episode) == (index, episode)
                assert ended[at].length == step + 1
    assert [(o.env_index, o.episode, o.step) for o in found] == [
        expected[at] for at in env_steps.tolist()
    ]
    ladder = [0.4 ** (1 + 7 * index / 5) for index in range(6)]
    assert [o.epsilon for o in found] == pytest.approx([ladder[o.env_index] for o in found])


def test_the_same_order_gives_the_same_run_and_another_order_another(run, tmp_path):
    found = {}
    for name, seed in (("same", 1), ("again", 1), ("other", 4)):
        states = {}
        actors = ActorsInTurn(random_order(ACTORS, seed))
        followed(trainer(tmp_path / name, actors, experiment_of()), states, until=20 * CHUNK)
        found[name] = states[20 * CHUNK]
    assert_same(found["same"], found["again"])
    assert not np.array_equal(found["same"].params, found["other"].params)


def test_lost_actors_are_replaced_and_the_run_still_repeats_from_its_record(tmp_path):
    """Whatever the order: here the clock decides it."""
    asked = collections.Counter()

    def dies(number, method, arguments):
        asked[number] += method == "collect"
        return asked[number] == {0: 2, 1: 1, 3: 1}.get(number)

    actors, states = ActorsHere(dies), {}
    followed(trainer(tmp_path / "run", actors, experiment_of()), states, until=20 * CHUNK)
    assert len(actors.started) == ACTORS + 3
    found = recorded(tmp_path / "run")
    assert len(found) == 20
    *_, (_, state, _) = repeated(experiment_of(), found)
    assert_same(state, states[20 * CHUNK])


def test_an_actor_that_is_lost_again_and_again_ends_the_run(tmp_path):
    actors = ActorsHere(lambda number, method, arguments: method == "collect" and number != 1)
    with pytest.raises(ActorsLostError, match=r"environments 0 to 1 was lost|4 to 5 was lost"):
        followed(trainer(tmp_path / "run", actors, experiment_of()), {})


def test_an_actor_that_is_lost_while_the_run_is_resumed_is_replaced(run, tmp_path):
    path, _, _ = run
    copy = tmp_path / "killed"
    shutil.copytree(path, copy)
    shutil.rmtree(list_checkpoints(copy / "checkpoints")[-1])
    fatal = {(1, "restore"), (2, "logs"), (ACTORS, "restore")}
    actors = ActorsHere(lambda number, method, _: (number, method) in fatal, lambda n: n != 4)
    resumed = Trainer.resume(
        RunFolder.open(copy), experiment_of(), make_source=asynchronous(lambda: actors)
    )
    states = {}
    followed(resumed, states)
    assert actors.tries > ACTORS + 3
    found = recorded(copy)
    assert len(found) == 60
    *_, (_, state, _) = repeated(experiment_of(), found)
    assert_same(state, states[60 * CHUNK])


def test_where_no_actor_can_be_started_one_sentence_says_so(tmp_path):
    actors = ActorsHere(starts=lambda number: number != 1 and number < ACTORS)
    with pytest.raises(ActorsLostError, match=r"2 to 3 was lost, and so were 3 in its place: no p"):
        trainer(tmp_path / "run", actors, experiment_of())
    assert not (tmp_path / "run").exists()


def test_without_priorities_of_their_own_new_transitions_get_the_largest():
    for changes, given in (
        ({}, True),
        ({"replay_sampling": "uniform"}, False),
        ({"distribution": "qr"}, False),
    ):
        experiment = experiment_of(**changes)
        actor = FreeActor(experiment.settings, experiment.network, experiment.spec, SEED, 0)
        chunk = actor.collect(0, np.zeros(experiment.network.layout.size, np.float32))
        actor.close()
        assert (chunk.steps.errors is not None) == given


def test_settings_of_a_run_that_goes_on_keep_its_actors(run):
    path, _, _ = run
    stored = RunFolder.open(path).description.settings
    assert stored.environment.asynchronous_actors == ACTORS
    assert dataclasses.asdict(stored.environment)["num_envs"] == ACTORS * ENVS


def test_actors_whose_environments_cannot_be_made_leave_nothing_behind(tmp_path, monkeypatch):
    def fails(plan):
        raise EnvironmentUnusableError("there is no such thing here")

    monkeypatch.setattr(FreeActorPlan, "make", fails)
    threads, actors = threading.active_count(), ActorsHere()
    with pytest.raises(EnvironmentUnusableError, match="no such thing"):
        trainer(tmp_path / "run", actors, experiment_of())
    assert threading.active_count() == threads
    assert not (tmp_path / "run").exists()


def test_frames_that_the_environment_stacks_by_itself_are_refused(tmp_path):
    settings = Settings().with_changes(**CHOSEN).resolved()
    spec = describe_for("CartPole-v1", settings)
    stacked = dataclasses.replace(spec.preprocessing, frame_stack=4)
    experiment = Experiment.of(settings, dataclasses.replace(spec, preprocessing=stacked), SEED)
    with pytest.raises(SettingError, match=r"is trained with frame_stack 4.*set frame_stack to 1"):
        asynchronous(ActorsHere)(experiment)
