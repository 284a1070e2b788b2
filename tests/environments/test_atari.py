"""Atari games beside Gymnasium's `AtariPreprocessing`, and beside a plain loop over the emulator.

What differs from Gymnasium, and is therefore not compared with it:
- After a game is over, Gymnasium gives the observation before it; Frank gives the last screen.
- `noop_max` there draws 1 … noop_max, here 0 … noop_max, as Mnih et al. (2015) say "up to".
- A lost life there ends the episode, and the action at once; here the game goes on.
- Gymnasium always pools two frames; Frank need not.
- ALE's own sticky actions draw from the emulator's random state; Frank's from the episode's seed.
"""

import contextlib
import json
import sys

import ale_py
import cv2
import gymnasium
import numpy as np
import pytest
from ale_py import roms
from gymnasium.wrappers import AtariPreprocessing
from long_forms import some_of
from robustness import games
from robustness.outcome import assert_all_held

from frankrl.config import AtariSettings, Settings
from frankrl.core.errors import EnvironmentUnusableError, FrankError, SettingError
from frankrl.environments import (
    CheckedEnv,
    GymnasiumVector,
    describe,
    describe_for,
    make_environment,
    spec_from_data,
    spec_to_data,
    try_out,
)
from frankrl.environments.env_group import start_workers
from frankrl.environments.preprocessing import preprocessing_for

EXACT = {"sticky_actions": 0}
"""Nothing but the actions decides."""


def spec_of(env_id, **changes):
    return describe_for(env_id, Settings().with_changes(**changes).resolved())


def made(env_id, render_mode=None, **changes):
    """The environment itself, without checks."""
    settings = Settings().with_changes(**changes)
    return make_environment(env_id, {}, render_mode, preprocessing_for(env_id, settings))


def gymnasiums(env_id, frame_skip, grayscale, full):
    """Gymnasium's environment with the same settings."""
    env = gymnasium.make(
        env_id,
        frameskip=1,
        repeat_action_probability=0,
        full_action_space=full,
        max_num_frames_per_episode=0,
    )
    return AtariPreprocessing(env, noop_max=0, frame_skip=frame_skip, grayscale_obs=grayscale)


CASES = [
    ("ALE/Pong-v5", 4, True, True, 300),
    ("ALE/Breakout-v5", 4, True, False, 500),
    ("ALE/SpaceInvaders-v5", 4, False, True, 200),
    ("ALE/Qbert-v5", 3, True, True, 300),
    ("ALE/Seaquest-v5", 1, True, False, 400),
    ("ALE/MontezumaRevenge-v5", 2, False, False, 200),
]


@pytest.mark.parametrize(
    ("env_id", "frame_skip", "grayscale", "full", "num_steps"), some_of(CASES, CASES[1:3])
)
def test_every_frame_reward_and_end_is_that_of_gymnasiums_preprocessing(
    env_id, frame_skip, grayscale, full, num_steps
):
    ours = made(
        env_id,
        frame_skip=frame_skip,
        full_action_set=full,
        grayscale="on" if grayscale else "off",
        **EXACT,
    )
    theirs = gymnasiums(env_id, frame_skip, grayscale, full)
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    random, num_over, before = np.random.default_rng(0), 0, None
    np.testing.assert_array_equal(ours.reset(seed=1)[0], theirs.reset(seed=1)[0])
    for _ in range(num_steps):
        action = random.integers(ours.action_space.n)
        found, expected = ours.step(action), theirs.step(action)
        assert found[1:4] == expected[1:4]
        assert found[4]["lives"] == expected[4]["lives"]
        if expected[2]:
            num_over += 1
            np.testing.assert_array_equal(expected[0], before)
            found, expected = ours.reset(seed=1), theirs.reset(seed=1)
        np.testing.assert_array_equal(found[0], expected[0])
        before = expected[0]
    assert num_over > 0 or env_id != "ALE/Breakout-v5"


class PlainGame:
    """A game by the written rules, on a bare emulator."""

    def __init__(self, env_id, **changes):
        self.rom = roms.get_rom_path(gymnasium.registry[env_id].kwargs["game"])
        self.settings = AtariSettings(**changes)
        self.ale = ale_py.ALEInterface()
        self.ale.setFloat("repeat_action_probability", 0.0)
        self.ale.loadROM(self.rom)
        self.actions = [*self.ale.getLegalActionSet()]
        if not self.settings.full_action_set:
            self.actions = [*self.ale.getMinimalActionSet()]

    def reset(self, seed):
        self.coins = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
        self.ale.loadROM(self.rom)
        self.ale.reset_game()
        if self.settings.noop_max:
            for _ in range(self.coins.integers(0, self.settings.noop_max, endpoint=True)):
                self.ale.act(0)
        self.before = 0
        if self.settings.fire_reset and ale_py.Action.FIRE in self.ale.getMinimalActionSet():
            for _ in range(self.settings.frame_skip):
                self.ale.act(1)
            self.before = 1
        return self.shown([self.ale.getScreenGrayscale()])

    def step(self, action):
        screens, rewards = [], []
        coins = [1.0] * self.settings.frame_skip
        if self.settings.sticky_actions:
            coins = self.coins.random(self.settings.frame_skip)
        for coin in coins:
            if coin >= self.settings.sticky_actions:
                self.before = self.actions[action].value
            rewards.append(self.ale.act(self.before))
            screens.append(self.ale.getScreenGrayscale())
            if self.ale.game_over():
                break
        pooled = 2 if self.settings.max_pool and len(screens) == self.settings.frame_skip else 1
        return self.shown(screens[-pooled:]), sum(rewards), self.ale.game_over()

    def shown(self, screens):
        return cv2.resize(np.max(screens, axis=0), (84, 84), interpolation=cv2.INTER_AREA)


PLAYED = {
    "sticky": ("ALE/Breakout-v5", {"sticky_actions": 0.25}),
    "very sticky": ("ALE/Freeway-v5", {"sticky_actions": 0.9, "frame_skip": 3}),
    "no-ops": ("ALE/Pong-v5", {"noop_max": 30}),
    "fire": ("ALE/Breakout-v5", {"fire_reset": True, "full_action_set": False}),
    "no fire": ("ALE/MsPacman-v5", {"fire_reset": True, "sticky_actions": 0.5}),
    "all": ("ALE/SpaceInvaders-v5", {"fire_reset": True, "noop_max": 9, "sticky_actions": 0.5}),
    "unpooled": ("ALE/SpaceInvaders-v5", {"max_pool": False, "sticky_actions": 0}),
    "each frame": ("ALE/Pong-v5", {"frame_skip": 1}),
}


@pytest.mark.parametrize("case", some_of(PLAYED, ["fire", "all", "unpooled"]))
def test_sticky_actions_no_ops_and_fire_are_those_of_a_plain_loop_with_the_same_coins(case):
    env_id, changes = PLAYED[case]
    ours, plain = made(env_id, **changes), PlainGame(env_id, **changes)
    random, num_over = np.random.default_rng(1), 0
    for seed in (5, 6):
        np.testing.assert_array_equal(ours.reset(seed=seed)[0], plain.reset(seed))
        for _ in range(70):
            action = random.integers(ours.action_space.n)
            observation, reward, terminated, _, _ = ours.step(action)
            expected, score, is_over = plain.step(action)
            np.testing.assert_array_equal(observation, expected)
            assert (reward, terminated) == (score, is_over)
            if is_over:
                num_over += 1
                break


def test_sticky_actions_repeat_as_often_as_the_setting_says():
    """UP and DOWN in turns, of which 60 % of the frames repeat what was done before.

    What is done is what was asked for in a share q of the frames: q = 0.4 + 0.6 · (1 - q), so
    q = 0.625. It changes in those of them in which the coin lets it: 0.4 · 0.625 = 0.25.
    """
    env, done = made("ALE/Freeway-v5", sticky_actions=0.6, frame_skip=1), []
    env.reset(seed=0)
    for number in range(4_000):
        env.step(2 + 3 * (number % 2))
        done.append(env.unwrapped._held)
    asked = [2 + 3 * (number % 2) for number in range(4_000)]
    assert np.mean(np.array(done) == asked) == pytest.approx(0.625, abs=0.03)
    assert np.mean(np.diff(done) != 0) == pytest.approx(0.25, abs=0.03)


SOME = ["Pong", "Qbert", "Assault", "KungFuMaster", "ElevatorAction"]
"""Of the last three an episode differs after others, unless the console's memory is put back."""


def test_an_episode_depends_on_its_seed_and_actions_only_in_another_process_too():
    assert_all_held(games.study([f"ALE/{name}-v5" for name in SOME], 50), at_least=len(SOME))


def test_another_mode_and_difficulty_last_over_resets():
    spec = describe("ALE/Breakout-v5", {"mode": 4, "difficulty": 1})
    usual = describe("ALE/Breakout-v5", {})
    assert spec.made_by != usual.made_by
    with (
        contextlib.closing(CheckedEnv(spec)) as env,
        contextlib.closing(CheckedEnv(usual)) as other,
    ):
        first = games.digest_in(env, 3, 60)
        assert games.digest_in(other, 3, 60) != first
        games.digest_in(env, 4, 200)
        assert games.digest_in(env, 3, 60) == first


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_vector_restored_from_its_logs_goes_on_to_the_same_bits(num_workers):
    spec = spec_of("ALE/Breakout-v5", noop_max=9, game_time_limit=60)
    workers = start_workers(num_workers)
    random = np.random.default_rng(2)
    try:
        vector = GymnasiumVector(spec, 3, 5, workers)
        finished = []
        for env_steps in range(0, 3 * 90, 3):
            finished += vector.step(random.integers(18, size=3), env_steps)[1]
        assert {episode.length for episode in finished} <= set(range(61))
        logs = vector.logs()
        restored = GymnasiumVector(spec, 3, 5)
        assert restored.restore(logs) == []
        for _ in range(40):
            actions = random.integers(18, size=3)
            (one, ends), (other, others) = vector.step(actions, 0), restored.step(actions, 0)
            for field, same in zip(one, other, strict=True):
                np.testing.assert_array_equal(field, same)
            assert ends == others
        assert vector.digests() == restored.digests()
        vector.close()
        restored.close()
    finally:
        for worker in workers:
            worker.close()


def test_at_the_time_limit_an_episode_is_truncated_unless_the_game_is_over_then():
    env = made("ALE/Breakout-v5", game_time_limit=40, fire_reset=True, noop_max=9)
    for seed in range(2):
        env.reset(seed=seed)
        ends = [env.step(0)[2:4] for _ in range(40)]
        assert ends == [(False, False)] * 39 + [(False, True)]
    # A game that is over at its last step is over.
    endless = made("ALE/Breakout-v5", **EXACT)
    random = np.random.default_rng(0)
    actions, over, length = random.integers(18, size=2_000), False, 0
    endless.reset(seed=0)
    while not over:
        _, _, over, truncated, _ = endless.step(actions[length])
        length += 1
    assert not truncated
    same = made("ALE/Breakout-v5", game_time_limit=length, **EXACT)
    same.reset(seed=0)
    assert [same.step(action)[2:4] for action in actions[:length]][-1] == (True, False)


@pytest.mark.parametrize("env_id", ["ALE/Breakout-v5", "ALE/Seaquest-v5", "ALE/Pong-v5"])
def test_a_life_is_lost_where_the_emulator_counts_one_less(env_id):
    with contextlib.closing(CheckedEnv(spec_of(env_id, frame_skip=8))) as env:
        ale = env._env.unwrapped._ale
        random, num_lost = np.random.default_rng(0), 0
        for seed in range(2):
            env.reset(seed, 0)
            lives = ale.lives()
            for _ in range(300):
                step = env.step(int(random.integers(18)))
                assert step.life_lost == (ale.lives() < lives)
                num_lost += step.life_lost
                lives = ale.lives()
                if step.terminated:
                    break
    assert (num_lost > 3) == (env_id != "ALE/Pong-v5")


def test_films_show_the_games_own_screen_in_real_time():
    with contextlib.closing(CheckedEnv(spec_of("ALE/Pong-v5"), render_mode="rgb_array")) as film:
        film.reset(3, 0)
        film.step(2)
        picture = film.picture()
        ale = film._env.unwrapped._ale
        np.testing.assert_array_equal(picture, ale.getScreenRGB())
        assert picture.shape == (210, 160, 3)
        assert film.frames_per_second == 15
    assert made("ALE/Pong-v5", frame_skip=1).metadata["render_fps"] == 60


def test_what_is_known_of_a_game():
    spec = spec_of("ALE/Pong-v5", full_action_set=False)
    assert spec.action_names == (
        *("do nothing", "fire", "right", "left", "right fire", "left fire"),
    )
    assert len(set(spec_of("ALE/Pong-v5").action_names)) == 18
    assert spec_of("ALE/Pong-v5").action_names[14] == "up right fire"
    assert (spec.has_time_limit, spec.can_be_filmed, spec.reward_threshold) == (True, True, None)
    assert spec.leaves[0].scaling(to_bounds=False).factor == (1 / 255,)
    assert try_out(spec).repeats
    assert spec_of("ALE/Pong").leaves == spec_of("ale_py:ALE/Pong-v5").leaves == spec.leaves
    default = describe("ALE/Pong-v5", {})
    assert default == spec_of("ALE/Pong-v5")
    for changes in ({"sticky_actions": 0}, {"resize": 64}, {"frame_skip": 3}, {"noop_max": 3}):
        assert spec_of("ALE/Pong-v5", **changes).made_by != default.made_by


REFUSED = {
    "a misspelt game": (
        "ALE/Pongg-v5",
        {},
        {},
        "unknown Atari game 'ALE/Pongg-v5'; did you mean 'ALE/Pong-v5'?",
    ),
    "an old version": ("ALE/Pong-v4", {}, {}, "did you mean 'ALE/Pong-v5'?"),
    "an old name": ("ALE/PongNoFrameskip-v4", {}, {}, "did you mean 'ALE/Pong-v5'?"),
    "no game at all": ("ALE/Chess3D-v5", {}, {}, "unknown Atari game"),
    "a mode": ("ALE/Pong-v5", {"mode": 9}, {}, "the game pong has no mode 9; it has 0, 1"),
    "a difficulty": ("ALE/Pong-v5", {"difficulty": True}, {}, "no difficulty True; it has 0, 1, 2"),
    "ale's sticky actions": (
        "ALE/Pong-v5",
        {"repeat_action_probability": 0.1},
        {},
        "use the setting sticky_actions instead",
    ),
    "ale's frame skip": ("ALE/Pong-v5", {"frameskip": 1}, {}, "use the setting frame_skip instead"),
    "another argument": (
        "ALE/Pong-v5",
        {"sound_obs": True},
        {},
        "can hold mode and difficulty, not",
    ),
    "a setting of Atari games": ("CartPole-v1", {}, {"frame_skip": 2}, "frame_skip (2) belongs to"),
    "lost lives without an end": (
        "ALE/Pong-v5",
        {},
        {"life_loss_terminates": True, "bootstrap_on": "always"},
        "lost lives too",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_mistake_is_answered_by_one_sentence(case):
    env_id, env_kwargs, changes, words = REFUSED[case]
    with pytest.raises((EnvironmentUnusableError, SettingError)) as caught:
        spec_of(env_id, env_kwargs=env_kwargs, **changes)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("module", "package"), [("ale_py", "ale-py"), ("cv2", "opencv-python-headless")]
)
def test_a_missing_package_is_named_with_its_extra(monkeypatch, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    for name in [name for name in sys.modules if name.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(FrankError) as caught:
        spec_of("ALE/Pong-v5")
    assert f"needs the package '{package}'" in str(caught.value)
    assert 'pip install "frankrl[atari]"' in str(caught.value)


def test_the_settings_of_a_game_come_back_from_its_stored_description():
    for changes in (
        {"life_loss_terminates": True, "resize": 42},
        {"frame_skip": 1, "sticky_actions": 0, "clip_rewards": "off"},
        {"max_pool": False, "grayscale": "off", "full_action_set": False, "game_time_limit": 9},
    ):
        spec = spec_of("ALE/Pong-v5", **changes)
        again = spec_from_data(json.loads(json.dumps(spec_to_data(spec))), spec.env_id, {})
        assert again.preprocessing == spec.preprocessing
        assert (again.action_names, again.leaves) == (spec.action_names, spec.leaves)
