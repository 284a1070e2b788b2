"""PQN on the device: against a plain loop, resumed, opened, and refused where it cannot be."""

import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from in_memory import experiment_of

import frankrl
from frankrl.config import Settings
from frankrl.core.device_random import episode_seeds, random_bits, seed_words
from frankrl.core.errors import SettingError
from frankrl.core.random import RESET_SEEDS, Use
from frankrl.environments import describe
from frankrl.environments.functional import functional_of
from frankrl.environments.functional.protocol import episode_key, step_key
from frankrl.environments.nine_squares import ORDINARY
from frankrl.experience import linear_epsilon
from frankrl.experience.device import acting_draws, epsilon_greedy
from frankrl.explaining import reopen
from frankrl.explaining.plain import plain
from frankrl.learning import learning_rate_at
from frankrl.runs import RunFolder, list_checkpoints, load_checkpoint
from frankrl.tabular import model_of, optimal_q_values
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
        self.q_values = jax.jit(lambda params, seen: self.network.q_values(params, seen, None))
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
        q_values = self.q_values(params, np.stack(self.seen))
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
                value = float(self.q_values(params, arrived[None]).max())
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

    @jax.jit
    def moved(params, opt_state, picked):
        gradient = jax.grad(loss)(params, picked)
        steps, opt_state = optimiser_of(settings).update(gradient, opt_state)
        return jax.tree.map(lambda old, step: old - rate * step, params, steps), opt_state

    for picked in order:
        params, opt_state = moved(params, opt_state, picked)
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
    whole = [learner for _, (_, learner) in some_rounds(experiment, 1, 8)][-1]
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


RUN = {
    **SMALL,
    "preset": "default",
    "log_every_env_steps": 48,
    "final_evaluation_episodes": 2,
    "checkpoint_every_env_steps": 72,
    "keep_checkpoints": 100,
    "total_env_steps": 360,
}


def trained(out, **changes):
    return frankrl.train(ENV, out=out, seed=5, **RUN | changes).run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("pqn") / "run")


def tensors(run, env_steps=360):
    """The arrays of a checkpoint, by file and name."""
    (path,) = [p for p in list_checkpoints(run / "checkpoints") if int(p.name) == env_steps]
    found = load_checkpoint(path, dict.fromkeys(("q_network", "optimiser", "environments"), 10**7))
    return {
        (file, name): array for file, own in found.tensors.items() for name, array in own.items()
    }


def test_a_checkpoint_holds_neither_transitions_nor_a_frozen_copy(run):
    path = list_checkpoints(run / "checkpoints")[-1]
    names = {file.stem for file in path.iterdir()}
    assert {"q_network", "optimiser", "environments"} <= names
    assert not names & {"target_network", "replay"}


@pytest.mark.parametrize("stop", [48, 120, 312])
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(run, tmp_path, stop):
    out = trained(tmp_path / "stopped", total_env_steps=stop, log_every_env_steps=24)
    frankrl.resume(out, total_env_steps=360)
    ours, theirs = tensors(out), tensors(run)
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=str(name))


@pytest.mark.as_compiled_for_users
@pytest.mark.parametrize("update", [1, 46, 120])
def test_an_update_can_be_opened_and_all_that_the_run_recorded_comes_out_again(run, update):
    found = reopen(RunFolder.open(run), update)
    record = found.record
    number, learning = record.update, RunFolder.open(run).description.settings.learning
    assert (number, len(record.losses)) == (update, SIZE // 4)
    assert record.updates_since_refresh == (update - 1) % 8
    assert record.refreshes_target == (update % 8 == 0)
    round_begins = (update - 1) // 8 * SIZE
    assert ((record.transition_env_steps - round_begins) < SIZE).all()
    following = record.following_returns
    mixed = np.where(
        np.isnan(following),
        record.next_values,
        (1 - learning.trace_decay) * record.next_values + learning.trace_decay * following,
    )
    expected = record.batch.reward + record.batch.discount * mixed
    np.testing.assert_allclose(record.targets, expected, rtol=1e-5)
    np.testing.assert_allclose(record.losses, (record.targets - record.chosen_q) ** 2, rtol=1e-4)


def test_the_page_of_an_update_says_what_it_does_without(run):
    page = str(frankrl.explain(run, update=46).document)
    for words in ("no replay buffer", "no target network", "epoch 2 of 2", "λ-return"):
        assert words in page


@pytest.mark.parametrize(
    ("env_id", "changes", "sentence"),
    [
        (
            "CartPole-v1",
            {},
            r"^algorithm pqn steps environments in compiled code, and CartPole-v1 is no functional "
            r"environment: set algorithm to dqn$",
        ),
        (ENV, {"source": "host"}, r"^pqn acts, steps and learns in one compiled call: set source"),
        (ENV, {"normalize_rewards": True}, r"^algorithm pqn .*normalize_rewards keeps"),
        (ENV, {"distribution": "qr"}, r"^pqn learns from λ-returns, which are numbers"),
        (
            ENV,
            {"minibatches": 7},
            r"^minibatches \(7\) must divide the 24 env steps of a round .*set minibatches to 6",
        ),
        (ENV, {"batch_size": 4}, r"^batch_size \(4\) changes nothing because algorithm is pqn"),
        (ENV, {"n_step": 3}, r"^n_step \(3\) changes nothing because algorithm is pqn"),
    ],
)
def test_what_does_not_go_with_it_is_refused_in_one_sentence(tmp_path, env_id, changes, sentence):
    with pytest.raises(SettingError, match=sentence):
        frankrl.train(env_id, out=tmp_path / "run", **RUN | changes)


def worst_error(trace_decay):
    """The largest error of the Q-values of NineSquares' ordinary squares after a training."""
    experiment = experiment_of(
        "frankrl/NineSquares-functional-v0",
        Settings().with_changes(
            **SMALL | {"num_envs": 8, "hidden_widths": (32,), "activation": "relu"},
            source="device",
            trace_decay=trace_decay,
            gamma=0.9,
            epsilon_start=0.5,
            epsilon_end=0.5,
            learning_rate_end=1e-5,
            total_env_steps=12_800,
        ),
        100,
    )
    state, source = init_train_state(experiment), source_on_device(experiment)
    for result in device_rounds(experiment, source, state, lambda env_steps: 12_800):
        if result.ticks == 12_800:
            break
    params = experiment.network.layout.unflatten(result.output().params)
    found = experiment.network.q_values(params, jnp.arange(9), None)
    exact = optimal_q_values(model_of(describe("frankrl/NineSquares-v0", {})), 0.9)
    return np.abs(found - exact)[list(ORDINARY)].max()


@pytest.mark.slow
def test_without_a_trace_a_network_comes_to_the_exact_q_values_of_the_grid():
    assert worst_error(0.0) < 1e-3


@pytest.mark.slow
def test_with_a_trace_its_q_values_are_in_part_those_of_the_exploring_policy():
    """Peng's Q(λ) follows the actions taken, so ε = ½ leaves it far from the best policy's."""
    assert worst_error(0.9) > 0.1


def test_the_numbers_of_an_update_are_valid_json(run):
    """An end of the round has no following return: null, and not NaN."""
    # The updates of an epoch have each step of the round, its last ones too, once.
    found = next(
        record
        for record in (frankrl.explain(run, update=number) for number in (4, 3, 2, 1))
        if np.isnan(record.following_returns).any()
    )
    numbers = json.loads(json.dumps(plain(found, []), allow_nan=False))
    is_end = np.isnan(found.following_returns)
    assert [one is None for one in numbers["following_returns"]] == is_end.tolist()
