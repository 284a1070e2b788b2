"""MinAtar's games beside its own `Environment` class, played by the same seeds and actions."""

import contextlib
import json
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from minatar import Environment

from frankrl.core.errors import EnvironmentUnusableError, MissingExtraError
from frankrl.environments import CheckedEnv, GymnasiumVector, describe, make_environment, try_out
from frankrl.environments.env_group import start_workers
from frankrl.environments.minatar import RepeatableGame

GAMES = ["asterix", "breakout", "freeway", "seaquest", "space_invaders"]
NAMES = {game: f"MinAtar/{game.title().replace('_', '')}-v1" for game in GAMES}


def actions_of(seed, count, num_actions):
    return np.random.default_rng(seed).integers(num_actions, size=count).tolist()


def fresh_episode(game, seed, actions, **kwargs):
    """The states and rewards of a game that has never been played."""
    env = Environment(game, **kwargs)
    env.seed(seed)
    env.reset()
    choices = env.minimal_action_set()
    states, rewards = [env.state()], []
    for action in actions:
        reward, done = env.act(choices[action])
        states.append(env.state())
        rewards.append((float(reward), done))
        if done:
            break
    return states, rewards


@pytest.mark.parametrize("game", GAMES)
def test_whatever_was_played_before_an_episode_is_that_of_a_new_game(game):
    spec = describe(NAMES[game], {})
    assert spec.num_actions == len(Environment(game).minimal_action_set())
    with contextlib.closing(CheckedEnv(spec)) as env:
        for seed in range(6):
            actions = actions_of(seed, 300, spec.num_actions)
            states, rewards = fresh_episode(game, seed, actions)
            np.testing.assert_array_equal(env.reset(seed, 0), states[0])
            for action, state, reward in zip(actions, states[1:], rewards, strict=False):
                step = env.step(action)
                np.testing.assert_array_equal(step.row, state)
                assert (step.reward, step.terminated) == reward
                assert (step.truncated, step.life_lost) == (False, False)


@pytest.mark.parametrize("game", GAMES)
def test_after_a_reset_nothing_is_left_of_the_episode_before(game):
    env, new = make_environment(NAMES[game], {}), Environment(game)
    env.reset(seed=1)
    for action in actions_of(1, 400, env.action_space.n):
        if env.step(action)[2]:
            env.reset()
    env.reset(seed=9)
    new.seed(9)
    new.reset()
    for played, other in ((env.unwrapped.game, new), (env.unwrapped.game.env, new.env)):
        states = [dict(vars(each)) for each in (played, other)]
        for state in states:
            state["random"] = state["random"].get_state()
            state.pop("env", None)
        np.testing.assert_equal(*states)


def test_its_own_reset_lets_an_action_stick_over_the_end_of_an_episode():
    """What Frank mends: with MinAtar's own reset the last action of an episode is remembered."""
    env = Environment("breakout", sticky_action_prob=1.0)
    env.seed(0)
    env.reset()
    env.last_action = 3
    env.reset()
    assert env.last_action == 3


def test_the_official_rules_are_the_default_and_can_be_changed():
    game = make_environment(NAMES["asterix"], {}).unwrapped.game
    assert (game.sticky_action_prob, game.env.ramping) == (0.1, True)
    easy = {"sticky_action_prob": 0.0, "difficulty_ramping": False}
    game = make_environment(NAMES["asterix"], easy).unwrapped.game
    assert (game.sticky_action_prob, game.env.ramping) == (0.0, False)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_vector_restored_from_its_logs_goes_on_to_the_same_bits(num_workers):
    spec, workers = describe(NAMES["asterix"], {}), start_workers(num_workers)
    random = np.random.default_rng(2)
    try:
        vector = GymnasiumVector(spec, 3, 5, workers)
        for _ in range(200):
            vector.step(random.integers(5, size=3), 0)
        restored = GymnasiumVector(spec, 3, 5, workers)
        assert restored.restore(vector.logs()) == []
        for _ in range(200):
            actions = random.integers(5, size=3)
            vector.step(actions, 0)
            restored.step(actions, 0)
        assert vector.digests() == restored.digests()
        assert min(log.episode for log in vector.logs()) > 0
        vector.close()
        restored.close()
    finally:
        for worker in workers:
            worker.close()


def test_what_is_known_of_a_game():
    spec = describe("MinAtar/SpaceInvaders-v1", {})
    assert spec.action_names == ("do nothing", "left", "right", "fire")
    names = ("do nothing", "left", "up", "right", "down", "fire")
    assert describe("MinAtar/SpaceInvaders-v0", {}).action_names == names
    assert spec.leaves[0].shape == (10, 10, 6)
    assert spec.leaves[0].dtype == np.uint8
    assert spec.leaves[0].scaling(to_bounds=False).factor == (1.0,)
    assert (spec.has_time_limit, spec.reward_threshold) == (False, None)
    assert try_out(spec).repeats


@pytest.mark.parametrize("game", GAMES)
def test_films_show_each_kind_of_thing_in_a_colour_of_its_own_without_seaborn(game, monkeypatch):
    monkeypatch.setitem(sys.modules, "seaborn", None)
    with contextlib.closing(CheckedEnv(describe(NAMES[game], {}), render_mode="rgb_array")) as film:
        state = film.reset(0, 0)
        for action in actions_of(0, 8, film.spec.num_actions):
            state = film.step(action).row
        picture = film.picture()
    assert picture.shape == (160, 160, 3)
    squares = picture.reshape(10, 16, 10, 16, 3).swapaxes(1, 2).reshape(10, 10, 256, 3)
    assert (squares == squares[:, :, :1]).all()
    shown: dict[int, set] = {}
    for row, column in np.ndindex(10, 10):
        there = np.flatnonzero(state[row, column])
        top = int(there[-1]) if len(there) else -1
        shown.setdefault(top, set()).add(tuple(squares[row, column, 0].tolist()))
    assert all(len(colours) == 1 for colours in shown.values())
    assert len(set.union(*shown.values())) == len(shown) > 1
    assert shown[-1] == {(0, 0, 0)}


def test_an_unknown_game_is_answered_by_the_nearest_one():
    with pytest.raises(EnvironmentUnusableError, match=r"did you mean 'MinAtar/Breakout-v1'\?"):
        describe("MinAtar/Brakeout-v1", {})


def test_a_game_named_with_its_package_is_the_same_game():
    spec = describe("minatar:MinAtar/Breakout-v1", {})
    assert spec.leaves == describe("MinAtar/Breakout-v1", {}).leaves
    assert spec.action_names == ("do nothing", "left", "right")
    env = CheckedEnv(spec)
    assert isinstance(env._env, RepeatableGame)
    env.close()


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "minatar"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "minatar", None)
    match = r"'minatar', .* pip install \"frankrl\[minatar\]\""
    with pytest.raises(MissingExtraError, match=match):
        describe(NAMES["breakout"], {})


def test_its_import_says_nothing_and_its_games_are_registered_only_when_they_are_named():
    program = (
        "import json, gymnasium; from frankrl.environments import describe;"
        "before = len([n for n in gymnasium.registry if n.startswith('MinAtar')]);"
        "describe('MinAtar/Breakout-v1', {});"
        "after = len([n for n in gymnasium.registry if n.startswith('MinAtar')]);"
        "print(json.dumps([before, after]))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(found.stdout) == [0, 10]
    assert found.stderr == ""
    assert not gymnasium.spec(NAMES["breakout"]).max_episode_steps
