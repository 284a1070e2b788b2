"""Evaluations of a network with a memory: each episode remembers itself and nothing else."""

import contextlib

import failing_envs
import gymnasium
import numpy as np
import pytest

from frankrl.config import MAX_EVALUATION_ENVS, EvaluationSettings, Settings
from frankrl.core.errors import FrankWarning
from frankrl.core.random import RESET_SEEDS, Use, reset_seed
from frankrl.environments import CheckedEnv, EnvGroup, describe
from frankrl.experience import HostPolicy, NormalisedQValues
from frankrl.learning import network_for
from frankrl.training.evaluator import Evaluator
from frankrl.training.players import Player, PlayerPlan, PlayerWeights
from frankrl.training.playing import Playing

USE, SEED, MOST_STEPS = Use.EVALUATION_RESET, 3, 90
SPEC = describe("CartPole-v1", {})
SETTINGS = {"memory": "gru", "memory_units": 5, "hidden_widths": (8,), "dueling": True}
NETWORK = network_for(Settings().with_changes(**SETTINGS).resolved(), SPEC)
PARAMS = NETWORK.layout.flatten(NETWORK.init(1)) * np.float32(2)
EPISODES = 40


def q_values():
    policy = HostPolicy(NETWORK)
    policy.load(PARAMS)
    return NormalisedQValues(policy, None)


def played_alone(episode):
    """Length of an episode that is played by itself, with the network's own steps."""
    params, memory = NETWORK.layout.unflatten(PARAMS), NETWORK.initial_memory(1)
    with contextlib.closing(CheckedEnv(SPEC)) as env:
        row = env.reset(reset_seed(SEED, USE, 0, episode), episode)
        for steps in range(1, MOST_STEPS + 1):
            values, memory = NETWORK.q_step(params, row[None], None, memory)
            step = env.step(int(np.argmax(values)))
            row = step.row
            if step.terminated or step.truncated:
                return steps
    return MOST_STEPS


@pytest.fixture(scope="module")
def lengths():
    found = [played_alone(episode) for episode in range(EPISODES)]
    assert len(set(found)) > 10
    return found


@pytest.mark.parametrize("at_once", [1, 4, 25])
def test_episodes_played_together_are_those_played_alone(at_once, lengths):
    settings = EvaluationSettings(evaluation_envs=at_once, evaluation_max_episode_steps=MOST_STEPS)
    with contextlib.closing(Evaluator(SPEC, settings=settings)) as evaluator:
        found = evaluator.evaluate(q_values(), EPISODES, USE, SEED)
    assert found.lengths.tolist() == lengths


def test_a_player_in_another_process_plays_them_too(lengths):
    player = Player(PlayerPlan(SPEC, NETWORK, MOST_STEPS))
    with contextlib.closing(player):
        for some in (range(20), range(20, EPISODES)):
            seeds = {n: reset_seed(SEED, USE, 0, n) for n in some}
            player.begin(PlayerWeights(PARAMS, None), seeds, 6)
            found = {}
            while len(found) < len(seeds):
                found |= {each.episode: each.length for each in player.advance()}
            assert [found[n] for n in some] == lengths[some.start : some.stop]


class FailsOnce(failing_envs.Failing):
    """Fails in the fourth step of its third episode, the first time that it is played."""

    has_failed = False

    def reset(self, *, seed=None, options=None):
        self.is_third = seed == RESET_SEEDS[USE].start + 2
        return super().reset(seed=seed)

    def step(self, action):
        if self.is_third and self.steps == 3 and not FailsOnce.has_failed:
            FailsOnce.has_failed = True
            raise RuntimeError("the wheel came off")
        return super().step(action)


gymnasium.register("FailsOnce-v0", FailsOnce)


def test_an_episode_that_is_played_again_begins_anew_and_the_others_go_on(monkeypatch):
    """The memory counts the observations that were acted on; the observation tells the step."""
    monkeypatch.setattr(FailsOnce, "has_failed", False)
    spec = describe("FailsOnce-v0", {"share": 0.0})
    seeds = {n: RESET_SEEDS[USE].start + n for n in range(30)}
    seen = []

    def counting(observation, mask=None, *, memory=None):
        memory = np.zeros((MAX_EVALUATION_ENVS, 1)) if memory is None else memory
        seen.append((observation[:, 1].copy(), memory[:, 0].copy()))
        return np.zeros((MAX_EVALUATION_ENVS, 3)), memory + 1

    def play_all(play):
        ended = []
        while play.is_running:
            rows = [episode % MAX_EVALUATION_ENVS for episode in play._playing.values()]
            ended += play.step(counting)
            steps, memory = seen[-1]
            np.testing.assert_array_equal(memory[rows], steps[rows])
        return ended

    with contextlib.closing(EnvGroup(spec, 7)) as envs:
        play = Playing(spec, envs, 7, seeds, 100, restarts=True)
        with pytest.warns(FrankWarning, match="played again"):
            ended = play_all(play)
    assert FailsOnce.has_failed
    assert [episode.length for episode in ended] == [failing_envs.LENGTH] * 30
