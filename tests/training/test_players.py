import time
from pathlib import Path

import numpy as np
import pytest

from frankrl.config import MAX_EVALUATION_ENVS, EvaluationSettings
from frankrl.config.presets import load_preset
from frankrl.core.errors import FrankWarning
from frankrl.core.random import Use
from frankrl.environments import EnvGroup, describe
from frankrl.experience import HostPolicy
from frankrl.experience.remote.processes import ProcessActor
from frankrl.jobs import Job, do_job, publish_job, work
from frankrl.learning import network_for
from frankrl.runs import RunDescription
from frankrl.training import Trainer, parts
from frankrl.training import evaluator as evaluator_module
from frankrl.training import players as module
from frankrl.training.evaluator import Evaluator
from frankrl.training.players import (
    NO_PLAYERS,
    Player,
    PlayerPlan,
    Players,
    PlayerWeights,
    one_of_several,
    start_players,
)
from frankrl.training.preparing import checked_experiment

SPEC = describe("CartPole-v1", {})
NETWORK = network_for(load_preset("CartPole-v1").resolved(), SPEC)
PARAMS = NETWORK.layout.flatten(NETWORK.init(3))
MOST_STEPS = 300
FEW_STEPS = EvaluationSettings(evaluation_max_episode_steps=MOST_STEPS)


def plan(spec=SPEC):
    return PlayerPlan(spec, NETWORK, MOST_STEPS)


@pytest.fixture(scope="module")
def player():
    actor = ProcessActor(plan())
    yield actor
    actor.close()


def started(*actors):
    """Players that have all started."""
    players = Players(actors, MAX_EVALUATION_ENVS)
    # One that has died has answered, too.
    while not all(actor.has_answered() for actor in actors):
        time.sleep(0.01)
    return players


def evaluated(players, episodes, hopeless_below=-np.inf):
    policy = HostPolicy(NETWORK)
    policy.load(PARAMS)
    evaluator = Evaluator(SPEC, settings=FEW_STEPS, players=players)
    return evaluator.evaluate(
        policy.q_values,
        episodes,
        Use.EVALUATION_RESET,
        5,
        hopeless_below=hopeless_below,
        weights=PlayerWeights(PARAMS, None),
    )


@pytest.mark.parametrize("episodes", [1, 2, 7, 60])
@pytest.mark.parametrize("hopeless_below", [-np.inf, 1_000])
def test_a_player_changes_no_bit_of_an_evaluation(player, episodes, hopeless_below):
    alone = evaluated(Players(), episodes, hopeless_below)
    together = evaluated(started(player), episodes, hopeless_below)
    np.testing.assert_array_equal(alone.returns, together.returns)
    np.testing.assert_array_equal(alone.lengths, together.lengths)


def test_a_player_plays_its_share(player):
    players = started(player).ready()
    playing = players.begun(PlayerWeights(PARAMS, None), {n: n for n in range(10)})
    assert playing.episodes == {1, 3, 5, 7, 9}
    ended = []
    while playing.are_running:
        ended += playing.advance()()
    assert {episode.episode for episode in ended} == playing.episodes


def test_episodes_of_a_player_that_dies_are_played_by_others():
    actor = ProcessActor(plan())
    players = started(actor).ready()
    actor.process.kill()
    with pytest.warns(FrankWarning, match="without other processes.* died"):
        found = evaluated(players, 6)
    np.testing.assert_array_equal(found.returns, evaluated(Players(), 6).returns)


def test_an_evaluation_goes_on_without_a_player_that_cannot_make_its_environment():
    other = SPEC.__class__(**{**vars_of(SPEC), "num_actions": 3})
    players = started(ProcessActor(plan(other)))
    with pytest.warns(FrankWarning, match="without other processes.* another environment"):
        found = evaluated(players, 6)
    assert len(players) == 0
    np.testing.assert_array_equal(found.returns, evaluated(Players(), 6).returns)


def vars_of(spec):
    return {name: getattr(spec, name) for name in spec.__dataclass_fields__}


class Made(EnvGroup):
    """Counts the environments that there are."""

    there = 0

    def __init__(self, spec, count, *others, **named):
        super().__init__(spec, count, *others, **named)
        self.count = count
        Made.there += count

    def close(self):
        super().close()
        Made.there -= self.count
        self.count = 0


@pytest.fixture
def made(monkeypatch):
    monkeypatch.setattr(Made, "there", 0)
    monkeypatch.setattr(module, "EnvGroup", Made)
    monkeypatch.setattr(evaluator_module, "EnvGroup", Made)
    return Made


def test_a_player_makes_no_environment_before_it_plays_and_as_many_as_it_needs(made):
    player = Player(plan())
    assert made.there == 0
    weights = PlayerWeights(PARAMS, None)
    for episodes, at_once, there in [(2, 12, 2), (7, 4, 4), (3, 12, 4), (60, 12, 12)]:
        player.begin(weights, {n: n for n in range(episodes)}, at_once)
        assert made.there == there
    player.close()
    assert made.there == 0


class Here:
    """A player in this process."""

    def __init__(self):
        self.player = Player(plan())

    def ask(self, method, *arguments):
        found = getattr(self.player, method)(*arguments)
        return lambda: found

    def has_answered(self):
        return True

    def hang_up(self):
        self.player.close()

    close = hang_up


@pytest.mark.parametrize("others", [1, 2, 8])
def test_all_processes_together_make_as_many_environments_as_one(made, others):
    players = Players([Here() for _ in range(others)], MAX_EVALUATION_ENVS)
    policy = HostPolicy(NETWORK)
    policy.load(PARAMS)
    evaluator = Evaluator(SPEC, settings=FEW_STEPS, players=players)
    arguments = policy.q_values, 60, Use.EVALUATION_RESET, 5
    evaluator.evaluate(*arguments)
    assert made.there == MAX_EVALUATION_ENVS
    evaluator.evaluate(*arguments, weights=PlayerWeights(PARAMS, None))
    assert MAX_EVALUATION_ENVS - others <= made.there <= MAX_EVALUATION_ENVS
    evaluator.close()
    assert made.there == 0


class NotesItsEnd:
    """A plan of an actor that notes that it was closed."""

    def __init__(self, file):
        self._file = file

    def make(self):
        return self

    def is_ready(self):
        return True

    def begin(self, *arguments):
        pass

    def close(self):
        self._file.write_text("closed")


def test_a_player_that_was_asked_to_play_closes_its_environments(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    file = tmp_path / "end"
    players = started(ProcessActor(NotesItsEnd(file))).ready()
    players.begun(PlayerWeights(PARAMS, None), {0: 0, 1: 1})
    players.close()
    assert file.read_text() == "closed"


@pytest.mark.parametrize(
    ("step_seconds", "env_steps", "cpus", "expected"),
    [
        (32e-6, 250_000, 2, 1),
        (40e-6, 250_000, 1, 0),
        (40e-6, 250_000, 16, 3),
        (40e-6, 20_000, 2, 0),
        (5e-6, 10_000_000, 16, 0),
        (1e-3, 10_000, 4, 3),
        (1e-3, 10_000, 64, 8),
    ],
)
def test_players_are_started_where_they_pay(
    num_started, monkeypatch, step_seconds, env_steps, cpus, expected
):
    monkeypatch.setattr(module, "visible_cpus", lambda: cpus)
    assert num_started(step_seconds, env_steps) == expected


@pytest.fixture
def num_started(monkeypatch):
    """Returns how many players are started on a machine of 64 CPUs and much memory."""

    class Started(ProcessActor):
        def __init__(self, plan):
            pass

        def ask(self, method, *arguments):
            return lambda: True

    monkeypatch.setattr(module, "ProcessActor", Started)
    monkeypatch.setattr(module, "visible_cpus", lambda: 64)
    monkeypatch.setattr(module, "available_memory", lambda: 2**40)

    def count(step_seconds=1e-3, env_steps=10_000, most_envs=MAX_EVALUATION_ENVS):
        return len(start_players(plan(), step_seconds, env_steps, most_envs))

    return count


@pytest.mark.parametrize(("free", "expected"), [(900e6, 0), (1e9, 1), (3.9e9, 3), (None, 8)])
def test_players_take_a_quarter_of_the_free_memory(num_started, monkeypatch, free, expected):
    monkeypatch.setattr(module, "available_memory", lambda: free)
    assert num_started() == expected


@pytest.mark.parametrize(("most_envs", "expected"), [(1, 0), (2, 1), (5, 4), (25, 8)])
def test_each_player_has_an_environment_of_those_allowed(num_started, most_envs, expected):
    assert num_started(most_envs=most_envs) == expected


def test_one_of_several_runs_starts_no_player(num_started):
    with one_of_several():
        assert num_started() == 0
    assert num_started() == 8


@pytest.mark.parametrize("do", [do_job, publish_job])
def test_a_job_is_one_of_several_runs(num_started, monkeypatch, do):
    started = []
    # What they do first.
    monkeypatch.setattr(work, "is_done_as", lambda job: not started.append(num_started()))
    monkeypatch.setattr(
        work, "publish_or_take_over", lambda *_, **__: started.append(num_started())
    )
    job = Job("CartPole-v1", "classic", load_preset("CartPole-v1"), 0, Path("/nowhere"))
    do(job, *(["/nowhere"] if do is publish_job else []))
    assert started == [0]


@pytest.mark.parametrize("of_several", [False, True])
def test_a_run_in_a_program_of_several_starts_no_player(monkeypatch, of_several):
    started = []

    def start(*_):
        started.append(1)
        return NO_PLAYERS

    monkeypatch.setattr(parts, "start_players", start)
    settings = load_preset("CartPole-v1")
    description = RunDescription("CartPole-v1", "classic", 0, settings)
    experiment = checked_experiment("CartPole-v1", settings.resolved(), 0)
    others = {"make_rounds": lambda *_: iter(())} if of_several else {}
    Trainer(description, experiment, None, **others).close()
    assert started == ([] if of_several else [1])
