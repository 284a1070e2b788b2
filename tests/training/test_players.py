import contextlib
import time

import numpy as np
import pytest

from frankrl.config.presets import load_preset
from frankrl.core.errors import FrankWarning
from frankrl.core.random import Use
from frankrl.environments import describe
from frankrl.experience import HostPolicy
from frankrl.experience.remote.processes import ProcessActor
from frankrl.learning import network_for
from frankrl.training import players as module
from frankrl.training.evaluation import Evaluator
from frankrl.training.players import PlayerPlan, Players, PlayerWeights, start_players

SPEC = describe("CartPole-v1", {})
NETWORK = network_for(load_preset("CartPole-v1").resolved(), SPEC)
PARAMS = NETWORK.layout.flatten(NETWORK.init(3))
MOST_STEPS = 300
HANGS_AFTER_SECONDS = 120


def plan(spec=SPEC):
    return PlayerPlan(spec, NETWORK, 25, MOST_STEPS)


@pytest.fixture(scope="module")
def player():
    actor = ProcessActor(plan())
    yield actor
    actor.process.kill()
    actor.close()


def started(*actors):
    """Players that have all started."""
    players = Players(actors)
    end = time.monotonic() + HANGS_AFTER_SECONDS
    while not all(actor.has_answered() for actor in actors):
        assert time.monotonic() < end
        time.sleep(0.01)
    return players


def evaluated(players, episodes, hopeless_below=-np.inf):
    policy = HostPolicy(NETWORK)
    policy.load(PARAMS)
    evaluator = Evaluator(SPEC, players=players)
    evaluator._settings = evaluator._settings.__class__(evaluation_max_episode_steps=MOST_STEPS)
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
    with pytest.warns(FrankWarning, match="lost"):
        found = evaluated(players, 6)
    np.testing.assert_array_equal(found.returns, evaluated(Players(), 6).returns)


def test_a_player_that_cannot_make_its_environment_is_not_asked():
    other = SPEC.__class__(**{**vars_of(SPEC), "num_actions": 3})
    players = started(ProcessActor(plan(other)))
    with contextlib.closing(players), pytest.warns(FrankWarning, match="another environment"):
        assert len(players.ready()) == 0


def vars_of(spec):
    return {name: getattr(spec, name) for name in spec.__dataclass_fields__}


@pytest.mark.parametrize(
    ("step_seconds", "env_steps", "cpus", "expected"),
    [
        (32e-6, 250_000, 2, 1),
        (40e-6, 250_000, 1, 0),
        (40e-6, 250_000, 16, 3),
        (40e-6, 20_000, 2, 0),
        (5e-6, 10_000_000, 16, 0),
        (1e-3, 10_000, 4, 3),
    ],
)
def test_players_are_started_where_they_pay(monkeypatch, step_seconds, env_steps, cpus, expected):
    class Started(ProcessActor):
        def __init__(self, plan):
            pass

        def ask(self, method, *arguments):
            return lambda: True

    monkeypatch.setattr(module, "ProcessActor", Started)
    monkeypatch.setattr(module, "visible_cpus", lambda: cpus)
    assert len(start_players(plan(), step_seconds, env_steps)) == expected
