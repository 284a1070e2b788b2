"""PQN on the device: against a plain loop, resumed, opened, and refused where it cannot be."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from in_memory import experiment_of

from frankrl.config import Settings
from frankrl.core.device_random import episode_seeds, random_bits, seed_words
from frankrl.core.random import RESET_SEEDS, Use
from frankrl.environments.functional import functional_of
from frankrl.environments.functional.protocol import episode_key, step_key
from frankrl.experience import linear_epsilon
from frankrl.experience.device import acting_draws, epsilon_greedy
from frankrl.learning import learning_rate_at
from frankrl.training import init_train_state
from frankrl.training.device.rounds import device_rounds, source_on_device

ENV = "frankrl/CartPole-functional-v0"
NUM_ENVS, STEPS, SEED = 3, 8, 3
SIZE = NUM_ENVS * STEPS
SMALL = {
    "algorithm": "pqn",
    "num_envs": NUM_ENVS,
    "vector_steps_per_round": STEPS,
    "minibatches": 4,
    "epochs_per_round": 2,
    "hidden_widths": (8,),
    "activation": "tanh",
    "layer_norm": True,
    "optimiser": "radam",
    "learning_rate": 0.01,
    "epsilon_decay_env_steps": 60,
    "evaluate_every_env_steps": None,
    "final_evaluation_episodes": None,
}


def small_experiment(limit=12, **changes):
    given = {**SMALL, "env_kwargs": {"max_episode_steps": limit}, "source": "device", **changes}
    return experiment_of(ENV, Settings().with_changes(**given), SEED)


def some_rounds(experiment, *sizes):
    """The results of chunks of so many rounds each."""
    ends = [SIZE * number for number in itertools.accumulate(sizes)]
    source = source_on_device(experiment)
    state = init_train_state(experiment)
    results = device_rounds(
        experiment, source, state, lambda env_steps: min(end for end in ends if end > env_steps)
    )
    for result in itertools.islice(results, len(sizes)):
        yield result, jax.tree.map(np.array, (result.output().sample, result.state().learner))


class Loop:
    """A plain loop over environments one by one, with the same draws."""

    def __init__(self, experiment):
        self.experiment, self.network = experiment, experiment.network
        functional = functional_of(experiment.spec)
        self.step, self.reset = jax.jit(functional.step), jax.jit(functional.reset)
        self.seed = jnp.asarray(seed_words(SEED))
        self.episode, self.length = np.zeros(NUM_ENVS, np.uint32), [0] * NUM_ENVS
        self.states, self.seen, self.seeds = ([None] * NUM_ENVS for _ in range(3))
        for env in range(NUM_ENVS):
            self.begin(env)

    def begin(self, env):
        most = len(RESET_SEEDS[Use.TRAINING_RESET])
        found = episode_seeds(self.seed, Use.TRAINING_RESET, jnp.asarray(self.episode), most)
        self.seeds[env], self.length[env] = found[env], 0
        self.states[env], shown, _ = self.reset(step_key(episode_key(found[env]), 0))
        self.seen[env] = np.asarray(shown)

    def act(self, params, env_steps):
        """One step of each: observation, action, reward, terminated, truncated, s′."""
        q_values = self.network.q_values(params, jnp.asarray(np.stack(self.seen)), None)
        epsilon = linear_epsilon(
            self.experiment.settings.exploration, env_steps + np.arange(NUM_ENVS)
        )
        draws = acting_draws(self.seed, jnp.uint32(env_steps), NUM_ENVS)
        actions = np.asarray(epsilon_greedy(q_values, jnp.float32(epsilon), draws))
        rows = []
        for env, action in enumerate(actions.tolist()):
            before = self.seen[env]
            self.length[env] += 1
            key = step_key(episode_key(self.seeds[env]), self.length[env])
            self.states[env], shown = self.step(self.states[env], jnp.int32(action), key)
            arrived = np.asarray(shown.observation)
            ends = bool(shown.terminated), bool(shown.truncated)
            rows.append((before, action, float(shown.reward), *ends, arrived))
            self.seen[env] = arrived
            if any(ends):
                self.episode[env] += 1
                self.begin(env)
        return rows

    def round(self, params, env_steps):
        """The steps of a round and the λ-return of each, [step][env]."""
        learning = self.experiment.settings.learning
        rows = [self.act(params, env_steps + NUM_ENVS * step) for step in range(STEPS)]
        targets = np.zeros((STEPS, NUM_ENVS))
        for env in range(NUM_ENVS):
            following = None
            for step in reversed(range(STEPS)):
                _, _, reward, terminated, truncated, arrived = rows[step][env]
                value = self.network.q_values(params, jnp.asarray(arrived[None]), None).max()
                if terminated:
                    following = reward
                elif truncated or following is None:
                    following = reward + learning.gamma * value
                else:
                    decay = learning.trace_decay
                    mixed = (1 - decay) * value + decay * following
                    following = reward + learning.gamma * mixed
                targets[step, env] = following
        return rows, targets


def learned(experiment, params, opt_state, rows, targets, env_steps):
    """Optax's RAdam over the minibatches, by a loop over pytrees."""
    settings, network = experiment.settings.learning, experiment.network
    flat = [row for step in rows for row in step]
    states = jnp.asarray(np.stack([row[0] for row in flat]))
    actions = jnp.asarray([row[1] for row in flat])
    goals = jnp.asarray(targets.reshape(-1).astype(np.float32))
    first = (env_steps // SIZE) * settings.epochs_per_round
    seed = jnp.asarray(seed_words(SEED))
    bits = random_bits(seed, Use.MINIBATCHES, first, settings.epochs_per_round, width=SIZE)
    order = np.argsort(np.asarray(bits), axis=1, kind="stable").reshape(-1, SIZE // 4)
    rate = learning_rate_at(settings, env_steps + SIZE)

    def loss(params, picked):
        found = network.q_values(params, states[picked], None)
        return jnp.mean((goals[picked] - found[jnp.arange(len(picked)), actions[picked]]) ** 2)

    optimiser = optimiser_of(settings)
    for picked in order:
        gradient = jax.grad(loss)(params, picked)
        steps, opt_state = optimiser.update(gradient, opt_state)
        params = jax.tree.map(lambda old, step: old - rate * step, params, steps)
    return params, opt_state


def optimiser_of(settings):
    return optax.chain(
        optax.clip_by_global_norm(settings.max_gradient_norm),
        optax.scale_by_radam(eps=settings.adam_epsilon),
    )


def test_rounds_are_those_of_a_plain_loop_over_environments_one_by_one():
    experiment = small_experiment()
    loop = Loop(experiment)
    params = jax.tree.map(jnp.asarray, experiment.network.init(SEED))
    opt_state = optimiser_of(experiment.settings.learning).init(params)
    ends = np.zeros(2, int)
    for number, (_, (sample, learner)) in enumerate(some_rounds(experiment, *[1] * 6)):
        rows, targets = loop.round(params, SIZE * number)
        rollout = sample.rollout
        for name, place in (("observation", 0), ("action", 1), ("reward", 2)):
            expected = [[row[place] for row in step] for step in rows]
            np.testing.assert_allclose(getattr(rollout, name), expected, rtol=1e-5, atol=1e-5)
        ends += np.sum([[row[3:5] for row in step] for step in rows], axis=(0, 1))
        params, opt_state = learned(experiment, params, opt_state, rows, targets, SIZE * number)
        expected = experiment.network.layout.flatten(params)
        np.testing.assert_allclose(learner.params, expected, rtol=2e-3, atol=2e-4)
    assert (ends > 2).all(), "episodes end in both ways"


def test_every_epoch_learns_from_each_step_once():
    (_, (sample, _)), *_ = some_rounds(small_experiment(), 1)
    epochs = sample.order.reshape(2, SIZE)
    np.testing.assert_array_equal(np.sort(epochs, axis=1), [np.arange(SIZE)] * 2)
    assert (epochs[0] != epochs[1]).any()


def test_where_chunks_end_changes_no_bit():
    experiment = small_experiment()
    whole = [learner for _, (_, learner) in some_rounds(experiment, 9)][-1]
    parts = [learner for _, (_, learner) in some_rounds(experiment, 1, 3, 5)][-1]
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("bootstrap_on", "at_truncation", "at_termination"),
    [("truncation", 0.99, 0.0), ("never", 0.0, 0.0), ("always", 0.99, 0.99)],
)
def test_which_ends_bootstrap_is_a_setting(bootstrap_on, at_truncation, at_termination):
    experiment = small_experiment(bootstrap_on=bootstrap_on)
    for _, (sample, _) in some_rounds(experiment, *[1] * 3):
        rollout = sample.rollout
        fallen = np.abs(rollout.next_observation[..., 2]) > 12 * np.pi / 180
        ended = rollout.is_last
        np.testing.assert_allclose(rollout.discount[ended & fallen], at_termination)
        np.testing.assert_allclose(rollout.discount[ended & ~fallen], at_truncation)
        np.testing.assert_allclose(rollout.discount[~ended], 0.99)
