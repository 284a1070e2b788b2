"""An actor that runs freely, beside a plain loop over each of its environments."""

import jax
import numpy as np
import pytest
import test_source
from test_source import ACTIONS, PlainEnv, assert_leaves

from frankrl.config import Settings
from frankrl.core.random import Use, uniforms
from frankrl.environments import describe
from frankrl.experience import FreeActor, epsilon_ladder
from frankrl.experience.first_errors import first_errors
from frankrl.learning import network_for

SEED, NUM_ENVS, ACTORS, STEPS = test_source.SEED, 6, 3, 5
SIZE = NUM_ENVS // ACTORS
GAMMA = 0.9


def settings(**changes):
    chosen = {
        "num_envs": NUM_ENVS,
        "asynchronous_actors": ACTORS,
        "vector_steps_per_round": STEPS,
        "hidden_widths": (4,),
        "replay_sampling": "prioritised",
        "gamma": GAMMA,
        "n_step": 2,
        "ladder_epsilon": 0.7,
        "ladder_exponent": 1.5,
    }
    return Settings().with_changes(**(chosen | changes)).resolved()


def actor_of(env_id, number, **changes):
    spec, made = describe(env_id, {}), settings(**changes)
    return (
        FreeActor(made, network_for(made, spec), spec, SEED, number),
        spec,
        network_for(made, spec),
    )


def test_the_ladder_is_that_of_the_paper():
    """Horgan et al. (2018), section 4.1: ε_i = ε^(1 + α · i / (N - 1)), ε = 0.4, α = 7."""
    usual = Settings().with_changes(asynchronous_actors=1)
    found = epsilon_ladder(usual.exploration, 360)
    assert found[0] == 0.4
    assert found[-1] == pytest.approx(0.4**8)
    assert found[100] == pytest.approx(0.4 ** (1 + 700 / 359))
    assert epsilon_ladder(usual.exploration, 1).tolist() == [0.4]


class LadderEnv(PlainEnv):
    """One environment with an ε of its own, which acts by a network."""

    def __init__(self, env_id, index, spec, act):
        super().__init__(env_id, index, spec)
        self._act, self._taken = act, 0

    def step(self, env_step):
        observation, mask = self.observation, self.mask
        row = self._taken * NUM_ENVS + self.index
        coin, choice = uniforms(SEED, Use.EXPLORATION, row, 1, width=2)[0]
        epsilon = 0.7 ** (1 + 1.5 * self.index / (NUM_ENVS - 1))
        allowed = np.flatnonzero(np.ones(self.spec.num_actions) if mask is None else mask)
        q_values = self._act(observation, mask)
        random = allowed[int(choice * len(allowed))]
        action = random if coin < epsilon else int(np.argmax(q_values))
        self._taken += 1
        arrived, reward, terminated, truncated, info = self.env.step(action)
        self.rewards.append(reward)
        last_mask = self._mask(info)
        ended = terminated or truncated
        told = {
            "observation": observation,
            "mask": mask,
            "action": action,
            "reward": reward,
            "terminated": terminated,
            "ended": ended,
            "arrived": (arrived, last_mask),
            "q": q_values[action],
            "value": 0.0 if terminated else self._act(arrived, last_mask).max(),
            "episode": (self.index, self.episode, sum(self.rewards), len(self.rewards)),
        }
        self._now = arrived, info
        if ended:
            self._begin()
        return told


@pytest.mark.parametrize("number", range(ACTORS))
@pytest.mark.parametrize("env_id", test_source.KINDS)
def test_a_chunk_is_what_a_plain_loop_over_each_environment_gives(env_id, number):
    actor, spec, network = actor_of(env_id, number)
    params = network.init(SEED)
    vector = np.asarray(network.layout.flatten(params))

    def act(observation, mask):
        one = jax.tree.map(lambda leaf: np.asarray(leaf)[None], observation)
        given = None if mask is None else mask[None]
        return np.asarray(network.q_values(params, one, given))[0]

    plain = [LadderEnv(env_id, number * SIZE + place, spec, act) for place in range(SIZE)]
    num_ended = 0
    for count in range(10):
        steps, episodes, _, logs, _ = actor.collect(count, vector)
        rows = [env.step(0) for _ in range(STEPS) for env in plain]
        assert steps.action.tolist() == [row["action"] for row in rows]
        assert steps.terminated.tolist() == [row["terminated"] for row in rows]
        is_last = [row["ended"] or at >= (STEPS - 1) * SIZE for at, row in enumerate(rows)]
        assert steps.is_last.tolist() == is_last
        assert_leaves(
            steps.observation,
            [row["observation"] for row in rows] + [env.observation for env in plain],
        )
        last = [row["arrived"] for row, ends in zip(rows, is_last, strict=True) if ends]
        assert_leaves(steps.last_observation, [observation for observation, _ in last])
        ended = [(at + 1, *row["episode"]) for at, row in enumerate(rows) if row["ended"]]
        assert [tuple(episode) for episode in episodes] == ended
        assert [log.episode for log in logs] == [env.episode for env in plain]
        np.testing.assert_allclose(steps.errors, naive_errors(rows), rtol=1e-5, atol=1e-5)
        num_ended += len(ended)
    actor.close()
    assert num_ended > 3


def naive_errors(rows, n_step=2):
    """|y - Q(s, a)| of each step, by following it as far as the chunk goes."""
    found = []
    for at, row in enumerate(rows):
        target, discount, here = 0.0, 1.0, at
        for taken in range(1, n_step + 1):
            target += discount * rows[here]["reward"]
            discount *= GAMMA
            if rows[here]["ended"] or taken == n_step or here + SIZE >= len(rows):
                break
            here += SIZE
        found.append(abs(target + discount * rows[here]["value"] - row["q"]))
    return found


def test_errors_by_hand():
    """Three steps of one environment, n = 2, γ = 0.5; the second ends its episode at value 8."""
    taken, reward = np.float32([[1], [2], [3]]), np.float32([[10], [20], [30]])
    following, is_end = np.float32([[4], [8], [16]]), np.array([[False], [True], [False]])
    found = first_errors(taken, reward, following, is_end, 2, 0.5)
    # 10 + 0.5 · 20 + 0.25 · 8 - 1;  20 + 0.5 · 8 - 2;  30 + 0.5 · 16 - 3.
    assert found.ravel().tolist() == [21, 22, 35]


@pytest.mark.parametrize("env_id", test_source.KINDS)
def test_a_restored_actor_goes_on_as_if_it_had_never_stopped(env_id):
    actor, _, network = actor_of(env_id, 1)
    other, *_ = actor_of(env_id, 1)
    vector = np.asarray(network.layout.flatten(network.init(SEED)))
    for number in range(4):
        logs = actor.collect(number, vector).logs
    other.restore(logs)
    for number in range(4, 7):
        one, another = actor.collect(number, vector), other.collect(number, vector)
        jax.tree.map(np.testing.assert_array_equal, one, another)
    for each in (actor, other):
        each.close()


def test_actions_of_the_probe():
    """So that the loops above explore among several."""
    assert ACTIONS == 3
