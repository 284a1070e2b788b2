"""The host's source beside a plain loop over each environment on its own."""

from typing import Any

import gymnasium
import jax
import numpy as np
import probe_envs  # noqa: F401 - registers environments
import pytest
from gymnasium import spaces

from frankrl.config import Settings
from frankrl.core.random import Use, reset_seed, uniforms
from frankrl.environments import GymnasiumVector, describe, describe_for
from frankrl.experience import HostSource, PolicyOutput, acting_noise, steps_of
from frankrl.learning import network_for

SEED, NUM_ENVS, LIMIT, ACTIONS = 7, 3, 4, 3
DECAY = 40


class PictureProbe(gymnasium.Env):
    """A picture, numbers and a mask that tell the reset's seed and the step.

    Action 2 ends the world and is allowed at every other step; time runs out after `LIMIT`.
    """

    observation_space = spaces.Dict(
        {
            "picture": spaces.Box(0, 255, (2, 2), np.uint8),
            "numbers": spaces.Box(-np.inf, np.inf, (2,), np.float32),
        }
    )
    action_space = spaces.Discrete(ACTIONS)

    def __init__(self, render_mode=None) -> None:
        pass

    def _gives(self) -> tuple[dict, dict]:
        picture = np.full((2, 2), 10 * self._steps, np.uint8)
        numbers = np.array([self._seed % 977, self._steps], np.float32)
        mask = np.array([1, 1, self._steps % 2], np.int8)
        return {"picture": picture, "numbers": numbers}, {"action_mask": mask}

    def reset(self, *, seed=None, options=None) -> tuple[dict, dict]:
        super().reset(seed=seed)
        self._steps, self._seed = 0, seed
        return self._gives()

    def step(self, action: Any) -> tuple[dict, float, bool, bool, dict]:
        self._steps += 1
        observation, info = self._gives()
        return observation, float(action - 1), action == 2, self._steps == LIMIT, info


gymnasium.register("FrankPicture-v0", PictureProbe)
KINDS = ["FrankPicture-v0", "FrankCounting-v0"]


class SinePolicy:
    """Q-values that depend on every number of the observation; remembers the noise."""

    def __init__(self, num_actions):
        self._num_actions, self.noise = num_actions, []

    def load(self, params):
        raise AssertionError("a source does not choose the parameters that act")

    def q_values(self, observation, mask=None, noise=None, memory=None):
        self.noise.append(noise)
        return PolicyOutput(self.of(observation, mask), memory)

    def start(self, observation, mask=None, noise=None, memory=None):
        found = self.q_values(observation, mask, noise)
        return lambda: found

    def of(self, observation, mask):
        leaves = [np.reshape(leaf, (len(leaf), -1)) for leaf in jax.tree.leaves(observation)]
        numbers = np.concatenate(leaves, axis=1).sum(axis=1)
        q_values = np.sin(numbers[:, None] * np.arange(1, self._num_actions + 1))
        return (q_values if mask is None else np.where(mask, q_values, -np.inf)).astype(np.float32)


def settings(**changes):
    small = {"num_envs": NUM_ENVS, "hidden_widths": (4,), "vector_steps_per_round": 2}
    if not changes.get("noisy"):
        small["epsilon_decay_env_steps"] = DECAY
    return Settings().with_changes(**(small | changes)).resolved()


def source(env_id, **changes):
    spec = describe(env_id, {})
    made = settings(**changes)
    network = network_for(made, spec)
    return HostSource(made, network, SEED, GymnasiumVector(spec, NUM_ENVS, SEED)), spec, network


class PlainEnv:
    """One environment, which acts and begins its episodes by the written rules."""

    def __init__(self, env_id, index, spec):
        self.env, self.index, self.spec = gymnasium.make(env_id), index, spec
        self.policy = SinePolicy(spec.num_actions)
        self.episode = -1
        self._begin()

    def _begin(self):
        self.episode += 1
        seed = reset_seed(SEED, Use.TRAINING_RESET, self.index, self.episode)
        self._now = self.env.reset(seed=seed)
        self.rewards = []

    @property
    def observation(self):
        return self._now[0]

    @property
    def mask(self):
        return self._mask(self._now[1])

    def _mask(self, info):
        return np.array(info["action_mask"], bool) if self.spec.is_masked else None

    def step(self, env_step):
        observation, mask = self.observation, self.mask
        coin, choice = uniforms(SEED, Use.EXPLORATION, env_step, 1, width=2)[0]
        epsilon = 1 + min(env_step / DECAY, 1) * (0.05 - 1)
        allowed = np.flatnonzero(np.ones(self.spec.num_actions) if mask is None else mask)
        one = jax.tree.map(lambda leaf: np.asarray(leaf)[None], observation)
        q_values = self.policy.of(one, mask)[0]
        explores = coin < epsilon
        action = allowed[int(choice * len(allowed))] if explores else int(np.argmax(q_values))
        arrived, reward, terminated, truncated, info = self.env.step(action)
        self.rewards.append(reward)
        told = {
            "observation": observation,
            "mask": mask,
            "action": action,
            "reward": reward,
            "terminated": terminated,
            "truncated": truncated,
            "last": None,
            "episode": None,
        }
        self._now = arrived, info
        if terminated or truncated:
            told["last"] = arrived, self._mask(info)
            told["episode"] = (self.index, self.episode, sum(self.rewards), len(self.rewards))
            self._begin()
        return told


def assert_leaves(found, expected):
    """One pytree with a leading axis, and a list of pytrees."""
    for number, one in enumerate(expected):
        row = jax.tree.map(lambda leaf, n=number: leaf[n], found)
        assert jax.tree.structure(row) == jax.tree.structure(one)
        jax.tree.map(np.testing.assert_array_equal, row, one)


@pytest.mark.parametrize("vector_steps", [1, 2, 5])
@pytest.mark.parametrize("env_id", KINDS)
def test_a_round_is_what_a_plain_loop_over_each_environment_gives(env_id, vector_steps):
    host, spec, _ = source(env_id, vector_steps_per_round=vector_steps)
    policy = SinePolicy(spec.num_actions)
    plain = [PlainEnv(env_id, index, spec) for index in range(NUM_ENVS)]
    env_steps, num_ended = 0, 0
    for _ in range(60 // vector_steps):
        steps, episodes, *_ = host.collect(policy, env_steps)
        rows = []
        for _ in range(vector_steps):
            rows += [env.step(env_steps + env.index) for env in plain]
            env_steps += NUM_ENVS
        last = [row["last"] for row in rows if row["last"]]
        assert steps.action.tolist() == [row["action"] for row in rows]
        np.testing.assert_array_equal(steps.reward, np.float32([row["reward"] for row in rows]))
        assert steps.terminated.tolist() == [row["terminated"] for row in rows]
        assert steps.is_last.tolist() == [row["terminated"] or row["truncated"] for row in rows]
        seen = [row["observation"] for row in rows] + [env.observation for env in plain]
        assert_leaves(steps.observation, seen)
        assert_leaves(steps.last_observation, [observation for observation, _ in last])
        for leaf in jax.tree.leaves(steps.last_observation):
            assert len(leaf) == len(rows)
            assert not leaf[len(last) :].any()
        if spec.is_masked:
            masks = [row["mask"] for row in rows] + [env.mask for env in plain]
            assert steps.mask.tolist() == [mask.tolist() for mask in masks]
            assert steps.last_mask[: len(last)].tolist() == [mask.tolist() for _, mask in last]
        else:
            assert steps.mask is steps.last_mask is None
        first = env_steps - len(rows)
        assert [(e.env_index, e.episode, e.episode_return, e.length) for e in episodes] == [
            row["episode"] for row in rows if row["episode"]
        ]
        assert [e.env_steps for e in episodes] == [
            first + number + 1 for number, row in enumerate(rows) if row["episode"]
        ]
        num_ended += len(episodes)
    host.close()
    assert num_ended > 5


def test_terminations_and_truncations_and_both_at_once_were_seen():
    """So that the test above says something of each."""
    spec = describe("FrankPicture-v0", {})
    plain = [PlainEnv("FrankPicture-v0", index, spec) for index in range(NUM_ENVS)]
    rows = [env.step(3 * step + env.index) for step in range(60) for env in plain]
    found = {(row["terminated"], row["truncated"]) for row in rows}
    assert found == {(False, False), (True, False), (False, True), (True, True)}


@pytest.mark.parametrize("bootstrap_on", ["truncation", "never", "always"])
def test_the_future_counts_at_the_ends_that_the_setting_names(bootstrap_on):
    """`truncation` is right; of the other two one takes every end for the world's, one none."""
    usual, spec, _ = source("FrankPicture-v0")
    host, *_ = source("FrankPicture-v0", bootstrap_on=bootstrap_on)
    policy = SinePolicy(spec.num_actions)
    kinds = set()
    for number in range(30):
        expected, *_ = usual.collect(policy, 6 * number)
        found, *_ = host.collect(policy, 6 * number)
        np.testing.assert_array_equal(found.is_last, expected.is_last)
        ends = {
            "truncation": expected.terminated,
            "never": expected.is_last,
            "always": np.zeros_like(expected.is_last),
        }[bootstrap_on]
        np.testing.assert_array_equal(found.terminated, ends)
        assert found.terminated.dtype == np.bool_
        kinds |= set(zip(expected.is_last.tolist(), expected.terminated.tolist(), strict=True))
    assert kinds == {(False, False), (True, False), (True, True)}


def test_noisy_layers_act_under_one_draw_of_noise_for_each_vector_step():
    host, spec, network = source("CartPole-v1", noisy=True)
    policy = SinePolicy(spec.num_actions)
    for number in range(3):
        host.collect(policy, 6 * number)
    assert len(policy.noise) == 6
    for vector_step, noise in enumerate(policy.noise):
        np.testing.assert_array_equal(noise, acting_noise(network, SEED, vector_step))
    assert not np.array_equal(policy.noise[0], policy.noise[1])


def test_without_noisy_layers_there_is_no_noise():
    host, spec, network = source("CartPole-v1")
    policy = SinePolicy(spec.num_actions)
    host.collect(policy, 0)
    assert policy.noise == [None, None]
    assert acting_noise(network, SEED, 0) is None


@pytest.mark.parametrize("env_id", KINDS)
def test_a_restored_source_goes_on_as_if_it_had_never_stopped(env_id):
    host, spec, _ = source(env_id)
    policy = SinePolicy(spec.num_actions)
    for number in range(7):
        host.collect(policy, 6 * number)
    other, *_ = source(env_id)
    assert other.restore(host.snapshot()) == []
    for number in range(7, 12):
        one, another = host.collect(policy, 6 * number), other.collect(policy, 6 * number)
        jax.tree.map(np.testing.assert_array_equal, one, another)


@pytest.mark.parametrize("noisy", [False, True])
def test_looking_ahead_computes_the_first_actions_of_a_round_early_and_changes_none(noisy):
    ahead, spec, _ = source("FrankPicture-v0", noisy=noisy)
    plain, _, _ = source("FrankPicture-v0", noisy=noisy)
    policies = SinePolicy(spec.num_actions), SinePolicy(spec.num_actions)
    for env_steps in range(0, 60, 2 * NUM_ENVS):
        ahead.look_ahead(policies[0], env_steps)
        assert len(policies[0].noise) == len(policies[1].noise) + 1
        found, expected = (
            each.collect(policy, env_steps)
            for each, policy in zip((ahead, plain), policies, strict=True)
        )
        jax.tree.map(np.testing.assert_array_equal, found, expected)
    jax.tree.map(np.testing.assert_array_equal, *(policy.noise for policy in policies))


def played(env_id, **changes):
    """Each vector step of a few games with random actions, as it was and as it is stored; then the
    episodes that ended."""
    made = Settings().with_changes(**changes).resolved()
    envs = GymnasiumVector(describe_for(env_id, made), 2, SEED)
    random, both, episodes = np.random.default_rng(0), [], []
    for number in range(250):
        actions = random.integers(envs.spec.num_actions, size=2)
        step, ended = envs.step(actions, 2 * number)
        both.append((step, steps_of(envs, [step], made.learning)))
        episodes += ended
    envs.close()
    return both, episodes


@pytest.mark.parametrize("counts", [False, True])
def test_a_lost_life_ends_the_world_of_the_learner_and_not_the_game(counts):
    both, episodes = played("ALE/Breakout-v5", life_loss_terminates=counts)
    for step, stored in both:
        ends = step.terminated | (step.life_lost & counts)
        np.testing.assert_array_equal(stored.terminated, ends)
        np.testing.assert_array_equal(stored.is_last, step.terminated | step.truncated)
    lost = sum(step.life_lost.sum() for step, _ in both)
    assert lost >= 5 * len(episodes) > 0


@pytest.mark.parametrize("clips", ["on", "off"])
def test_the_learners_rewards_are_clipped_and_returns_are_not(clips):
    both, episodes = played("ALE/SpaceInvaders-v5", clip_rewards=clips, game_time_limit=200)
    found = np.concatenate([stored.reward for _, stored in both])
    paid = np.concatenate([step.reward for step, _ in both])
    limits = (-1, 1) if clips == "on" else (-np.inf, np.inf)
    np.testing.assert_array_equal(found, np.clip(paid, *limits))
    assert found.dtype == np.float32
    assert paid.max() > 1
    assert [episode.length for episode in episodes] == [200, 200]
    for episode in episodes:
        scores = [step.reward[episode.env_index] for step, _ in both[:200]]
        assert episode.episode_return == sum(scores) > 1
