"""Rounds of a remote source beside those of the host's source, number by number."""

import contextlib
from typing import Any

import failing_envs  # noqa: F401 - registers environments
import gymnasium
import jax
import numpy as np
import probe_envs
import pytest
from actors_here import ActorsHere
from in_memory import source_of
from long_forms import some_of

from frankrl.config import Settings
from frankrl.core.errors import ActorsLostError, EnvironmentFailedError, EnvironmentUnusableError
from frankrl.core.random import Use, uniforms
from frankrl.core.types import FinalInfo, FinishedEpisode, Steps
from frankrl.environments import describe_for
from frankrl.experience import Collected, Source, make_policy
from frankrl.experience.remote import RemoteSource, parts_of, together
from frankrl.experience.whole_batch import WholeBatch
from frankrl.training import Experiment
from frankrl.training.remote import remote

NUM_ENVS = 5
EPSILON = {"epsilon_decay_env_steps": 200}
MEMORY = EPSILON | {"memory": "gru", "memory_units": 5}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "numbers": ("CartPole-v1", EPSILON),
    "several steps a round": ("CartPole-v1", EPSILON | {"vector_steps_per_round": 3}),
    "noise": ("CartPole-v1", {"noisy": True, "dueling": True}),
    "layer norm, quantiles": ("CartPole-v1", EPSILON | {"layer_norm": True, "distribution": "iqn"}),
    "masks, final infos": ("MaskedFailing-v0", {"env_kwargs": {"share": 0.0}}),
    "leaves": ("FrankSpace-v0", {"env_kwargs": {"observation": "nested"}}),
    "numbered values": ("FrozenLake-v1", EPSILON | {"q_function": "table"}),
    "pictures": ("MinAtar/Breakout-v1", EPSILON),
    "pictures on the device": ("MinAtar/Breakout-v1", EPSILON | {"acting": "device"}),
    "stacks": ("MinAtar/Breakout-v1", {"frame_stack": 3, "vector_steps_per_round": 2}),
    "memory": ("CartPole-v1", MEMORY | {"vector_steps_per_round": 3}),
    "memory on the device": ("CartPole-v1", MEMORY | {"acting": "device", "frame_stack": 2}),
    "memory, restarts": (
        "MaskedFailing-v0",
        MEMORY
        | {
            "env_kwargs": {"share": 0.3},
            "restart_failed_envs": 99,
            "vector_steps_per_round": 4,
        },
    ),
    "restarts": (
        "MaskedFailing-v0",
        {
            "env_kwargs": {"share": 0.3},
            "restart_failed_envs": 99,
            "vector_steps_per_round": 4,
        },
    ),
}


def experiment_of(env_id, **changes):
    if changes.get("q_function") != "table":
        changes = {"hidden_widths": (16, 16)} | changes
    settings = Settings().with_changes(**{"num_envs": NUM_ENVS} | changes).resolved()
    return Experiment.of(settings, describe_for(env_id, settings), 3)


def played(experiment: Experiment, source: Source, rounds: int, start: int = 0) -> list[Any]:
    """What a source gives in so many rounds, in each of which other parameters act."""
    policy = make_policy(experiment.settings.training.acting, experiment.network)
    first = experiment.network.layout.flatten(experiment.network.init(experiment.seed))
    found, size = [], experiment.settings.round_ticks

    def load(number: int) -> None:
        change = 1 + uniforms(0, Use.EXPLORATION, number, 1, width=len(first))[0] / 2
        policy.load((first * change).astype(np.float32))

    for number in range(start, start + rounds):
        load(number)
        collected = source.collect(policy, number * size)
        if number % 3 and number + 1 < start + rounds:
            load(number + 1)
            # It does not change what is saved of this round.
            source.look_ahead(policy, (number + 1) * size)
        found.append((jax.tree.map(np.copy, collected), source.digests(), source.snapshot()))
    return found


def assert_same(ours: Any, theirs: Any) -> None:
    one, structure = jax.tree.flatten(ours)
    other, its = jax.tree.flatten(theirs)
    assert structure == its
    for a, b in zip(one, other, strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_array_equal(a, b)


SOME = ("numbers", "masks, final infos", "leaves", "pictures on the device", "memory, restarts")


@pytest.mark.parametrize("kind", some_of(KINDS, SOME))
def test_any_number_of_actors_gives_the_bits_of_one_process(kind):
    env_id, changes = KINDS[kind]
    experiment = experiment_of(env_id, **changes)
    with contextlib.closing(source_of(experiment)) as source:
        expected = played(experiment, source, 40)
    ends = sum(len(collected.episodes) for collected, *_ in expected)
    assert ends > 5 or kind == "leaves"
    for num_actors in (1, 2, 4, 5):
        with contextlib.closing(remote(ActorsHere, num_actors)(experiment)) as source:
            assert_same(played(experiment, source, 40), expected)


@pytest.mark.parametrize("kind", ["several steps a round", "stacks", "restarts", "noise", "memory"])
def test_lost_actors_are_replaced_and_the_bits_stay(kind):
    env_id, changes = KINDS[kind]
    experiment = experiment_of(env_id, **changes)
    with contextlib.closing(source_of(experiment)) as source:
        expected = played(experiment, source, 30)
    requests = iter(range(10_000))
    # A third of all rounds is asked of an actor that dies with it, and so do some in its place.
    actors = ActorsHere(lambda _, method, __: method == "collect" and next(requests) % 9 in (3, 7))
    with contextlib.closing(remote(lambda: actors, 3)(experiment)) as source:
        assert_same(played(experiment, source, 30), expected)
    assert sum(actor.has_died for actor in actors.started) > 20


def test_an_actor_that_dies_while_it_is_restored_is_replaced_too():
    experiment = experiment_of("CartPole-v1", **EPSILON)
    with contextlib.closing(source_of(experiment)) as source:
        expected = played(experiment, source, 12)
    fatal = {(0, "states"), (1, "collect"), (3, "restore"), (4, "collect")}

    def dies(number, method, arguments):
        return (number, method) in fatal and (method != "collect" or arguments[1].env_steps > 20)

    actors = ActorsHere(dies)
    with contextlib.closing(remote(lambda: actors, 2)(experiment)) as source:
        assert_same(played(experiment, source, 12), expected)
    assert [actor.has_died for actor in actors.started] == [True, True, False, True, True, False]


def test_an_actor_that_cannot_be_started_is_tried_again_and_the_bits_stay():
    experiment = experiment_of("CartPole-v1", **EPSILON)
    with contextlib.closing(source_of(experiment)) as source:
        expected = played(experiment, source, 12)
    actors = ActorsHere(
        lambda number, method, given: (
            number == 1 and method == "collect" and given[1].env_steps > 20
        ),
        lambda number: number not in (0, 3),
    )
    with contextlib.closing(remote(lambda: actors, 2)(experiment)) as source:
        assert_same(played(experiment, source, 12), expected)
    assert actors.tries == 5


def test_where_no_actor_can_be_started_one_sentence_says_so():
    said = "environments 0 to 2 was lost, and so were 3 in its place: no process can be started"
    actors = ActorsHere(starts=lambda number: False)
    with pytest.raises(ActorsLostError, match=said):
        remote(lambda: actors, 2)(experiment_of("CartPole-v1"))
    # In the middle of a run, its source stays where it was.
    actors = ActorsHere(lambda *given: given[1] == "collect", lambda number: number < 2)
    source = remote(lambda: actors, 2)(experiment_of("CartPole-v1"))
    with pytest.raises(ActorsLostError, match=said):
        played(experiment_of("CartPole-v1"), source, 1)
    assert [len(log.actions) for log in source.snapshot()] == [0] * NUM_ENVS


def test_a_snapshot_goes_on_with_another_number_of_actors_or_none():
    experiment = experiment_of("MinAtar/Breakout-v1", **EPSILON, frame_stack=2)
    with contextlib.closing(source_of(experiment)) as source:
        expected = played(experiment, source, 40)
    logs = expected[19][2]
    for make in (source_of, remote(ActorsHere, 1), remote(ActorsHere, 4)):
        with contextlib.closing(make(experiment)) as source:
            played(experiment, source, 2)
            # That it has been asked for a round does not count.
            source.look_ahead(make_policy("auto", experiment.network), 10)
            assert source.restore(logs) == []
            assert_same(played(experiment, source, 20, start=20), expected[20:])


@pytest.mark.parametrize("dies", [False, True])
def test_a_memory_goes_on_with_another_number_of_actors_or_none(dies):
    experiment = experiment_of("CartPole-v1", **KINDS["memory"][1])
    size = experiment.settings.round_ticks
    with contextlib.closing(source_of(experiment)) as source:
        played(experiment, source, 13)
        logs, memory = source.snapshot(), source.memory()
        assert memory is not None
        assert memory.any()
        expected = played(experiment, source, 9, start=13)
    fatal = {(0, "restore_memory"), (2, "restore"), (3, "restore_memory")} if dies else set()
    actors = ActorsHere(lambda number, method, _: (number, method) in fatal)
    for make in (source_of, remote(ActorsHere, 1), remote(lambda: actors, 2)):
        with contextlib.closing(make(experiment)) as source:
            played(experiment, source, 2)
            source.look_ahead(make_policy("auto", experiment.network), 2 * size)
            different = source.restore(logs)
            source.restore_memory(memory, different)
            np.testing.assert_array_equal(source.memory(), memory)
            assert_same(played(experiment, source, 9, start=13), expected)
    assert sum(actor.has_died for actor in actors.started) == len(fatal)


def test_environments_that_do_not_come_to_their_state_begin_their_next_episode():
    experiment = experiment_of("CartPole-v1", **EPSILON)
    with contextlib.closing(source_of(experiment)) as source:
        logs = played(experiment, source, 20)[-1][2]
    for index in (1, 4):
        logs[index].actions[-1] ^= 1
    found = []
    for make in (source_of, remote(ActorsHere, 2)):
        with contextlib.closing(make(experiment)) as source:
            assert source.restore(logs) == [1, 4]
            found.append((source.snapshot(), source.digests(), played(experiment, source, 9, 20)))
    assert_same(*found)
    assert [log.episode - logs[i].episode for i, log in enumerate(found[0][0])] == [0, 1, 0, 0, 1]


def test_restarts_are_counted_over_all_actors():
    env_id, changes = KINDS["restarts"]
    experiment = experiment_of(env_id, **changes | {"restart_failed_envs": 3})
    for make in (source_of, remote(ActorsHere, 5)):
        with contextlib.closing(make(experiment)) as source:
            with pytest.raises(EnvironmentFailedError, match="the wheel came off"):
                played(experiment, source, 40)
            # The state is that of the last whole round, from which it fails again.
            again = source.snapshot()
            assert [log.digest for log in again] == source.digests() or make is source_of


def test_an_actor_whose_successors_die_ends_the_run_in_one_sentence():
    actors = ActorsHere(lambda number, method, _: number > 1 or (number, method) == (1, "collect"))
    source = remote(lambda: actors, 2)(experiment_of("CartPole-v1"))
    with pytest.raises(ActorsLostError, match="environments 3 to 4 was lost, and so were 3 in its"):
        played(experiment_of("CartPole-v1"), source, 1)
    assert [log.episode for log in source.snapshot()] == [0] * NUM_ENVS


def test_a_successor_that_does_not_come_to_the_same_state_ends_the_run():
    experiment = experiment_of("CartPole-v1")
    actors = ActorsHere(lambda number, *_: number == 1 and fatal)
    fatal = False
    with contextlib.closing(remote(lambda: actors, 2)(experiment)) as source:
        played(experiment, source, 5)
        fatal = True
        assert isinstance(source, RemoteSource)
        source._running[4].actions[0] ^= 1
        with pytest.raises(ActorsLostError, match="environment 4 did not replay to the same bits"):
            played(experiment, source, 1, start=6)


class AnotherCounting(gymnasium.Env):
    """As `FrankSpace-v0`, but with other actions."""

    observation_space = probe_envs.OBSERVATION_SPACES["float64"]
    action_space = gymnasium.spaces.Discrete(4)

    def reset(self, *, seed=None, options=None) -> Any:
        return np.zeros(3), {}


def test_an_actor_with_another_environment_of_this_name_refuses(monkeypatch):
    experiment = experiment_of("FrankSpace-v0")
    entry = gymnasium.spec("FrankSpace-v0")
    monkeypatch.setattr(entry, "entry_point", AnotherCounting)
    with pytest.raises(EnvironmentUnusableError, match="another environment where the actor with"):
        remote(ActorsHere, 2)(experiment)


def test_weights_are_shared_once_a_round():
    experiment = experiment_of("CartPole-v1")
    actors = ActorsHere()
    with contextlib.closing(remote(lambda: actors, 4)(experiment)) as source:
        policy = make_policy("auto", experiment.network)
        for number in range(6):
            source.collect(policy, 5 * number)
            source.look_ahead(policy, 5 * number + 5)
    assert actors.num_shared == 7


def test_actors_on_another_processor_are_named_once(monkeypatch):
    from frankrl.experience.remote import actor, source

    experiment = experiment_of("CartPole-v1")
    monkeypatch.setattr(actor, "cpu_model", lambda: "Theirs 9000")
    monkeypatch.setattr(source, "cpu_model", lambda: "Ours 1")
    with contextlib.closing(remote(ActorsHere, 2)(experiment)) as made:
        found = [collected.not_exact_because for collected, *_ in played(experiment, made, 3)]
    assert found == [("an actor acts on Theirs 9000, and the learner is on Ours 1",), (), ()]


def test_rows_are_put_together_in_the_order_of_env_steps():
    """Against rows that say themselves where they belong."""
    moments, parts = 3, parts_of(7, 3)
    assert parts == [range(3), range(3, 5), range(5, 7)]
    ends = {(0, 6), (0, 1), (1, 3), (2, 0), (2, 6), (2, 4)}

    def collected(part):
        rows = [(t, i) for t in range(moments) for i in part]
        here = [row for row in rows if row in ends]
        last = np.zeros((len(rows), 2))
        last[: len(here)] = here
        return Collected(
            Steps(
                observation={"at": np.array([*rows, *((moments, i) for i in part)])},
                mask=None,
                action=np.array([10 * t + i for t, i in rows]),
                reward=np.array([float(i) for _, i in rows]),
                is_last=np.array([row in ends for row in rows]),
                terminated=np.array([row in ends and row[1] == 6 for row in rows]),
                last_observation={"at": last},
                last_mask=None,
            ),
            [FinishedEpisode(7 * t + i + 1, i, 0, 0.0, 0) for t, i in here],
            {7 * t + i + 1: FinalInfo({"i": i}, {}) for t, i in here},
            [],
            [part[-1]],
        )

    # The parts answer in any order; their places are told.
    whole = together(parts, [collected(part) for part in parts])
    expected = collected(range(7))
    assert_same(whole._replace(cut=[]), expected._replace(cut=[]))
    assert whole.cut == [2, 4, 6]
    assert list(whole.final_infos) == sorted(7 * t + i + 1 for t, i in ends)


@pytest.mark.parametrize("torso", ["impala", "minatar"])
@pytest.mark.parametrize("acting", ["host", "device"])
def test_a_row_of_q_values_depends_on_its_place_and_not_on_the_other_rows(torso, acting):
    """Convolutions too, with any other rows."""
    size = 8 if torso == "minatar" else 3
    experiment = experiment_of("MinAtar/Breakout-v1", num_envs=size, torso=torso, acting=acting)
    drawn = np.random.default_rng(0)
    batch = drawn.integers(0, 2, (size, *experiment.spec.row_shape)).astype(bool)
    policy = make_policy(acting, experiment.network)
    policy.load(experiment.network.layout.flatten(experiment.network.init(0)))
    whole = policy.q_values(experiment.spec.observation(batch)).q_values.copy()
    for part in parts_of(size, 3):
        own = slice(part.start, part.stop)
        rows = WholeBatch(own, size).of(experiment.spec.observation(batch[own]))
        np.testing.assert_array_equal(policy.q_values(rows).q_values[own], whole[own])
