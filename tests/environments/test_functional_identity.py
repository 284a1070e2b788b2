"""What is compiled for a functional environment belongs to what it computes now."""

import gc
import weakref

import functional_stand_ins as own
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import frankrl
from frankrl.core.numerics import own_numerics
from frankrl.environments import describe, functional_of, make_environment, named_env


class Paid(own.FrankWalk):
    """A step pays what an attribute says, which may change between two trainings."""

    bonus = 1.0

    def step(self, state, action, key):
        after, step = super().step(state, action, key)
        return after, step._replace(reward=jnp.float32(self.bonus))


class PaidByTable(own.FrankWalk):
    """What it pays is a constant of a compiled function in its step."""

    table = (1.0, 1.0)

    def step(self, state, action, key):
        table = np.array(self.table, np.float32)
        after, step = super().step(state, action, key)
        paid = jax.jit(lambda one: jnp.asarray(table)[one])(action)
        return after, step._replace(reward=paid)


def rewards_of(env_id):
    """The reward of a step of its Gymnasium face, and what it equals."""
    env = make_environment(env_id, {})
    env.reset(seed=0)
    return env.step(1)[1], functional_of(describe(env_id, {}))


@pytest.mark.parametrize("form", ["class", "object", "function"])
def test_a_value_that_changes_between_two_uses_counts(form, monkeypatch):
    monkeypatch.setattr(Paid, "bonus", 1.0)
    held = Paid()
    given = {"class": Paid, "object": held, "function": lambda: Paid()}[form]
    env_id, _ = named_env(given)
    paid, first = rewards_of(env_id)
    assert paid == 1
    assert functional_of(describe(env_id, {})) == first
    monkeypatch.setattr(held if form == "object" else Paid, "bonus", 5.0)
    paid, then = rewards_of(env_id)
    assert paid == 5
    assert then != first
    monkeypatch.setattr(held if form == "object" else Paid, "bonus", 1.0)
    assert functional_of(describe(env_id, {})) == first


def test_the_constants_of_functions_in_it_count(monkeypatch):
    monkeypatch.setattr(PaidByTable, "table", (1.0, 1.0))
    env_id, _ = named_env(PaidByTable)
    paid, first = rewards_of(env_id)
    assert paid == 1
    monkeypatch.setattr(PaidByTable, "table", (1.0, 7.0))
    paid, then = rewards_of(env_id)
    assert paid == 7
    assert then != first


@pytest.mark.slow
def test_a_second_training_in_the_changed_environment_learns_from_that_one(tmp_path, monkeypatch):
    monkeypatch.setattr(Paid, "bonus", 1.0)
    scores = []
    for bonus in (1.0, 5.0):
        monkeypatch.setattr(Paid, "bonus", bonus)
        run = frankrl.train(
            Paid, preset="default", num_envs=2, hidden_widths=(4,), total_env_steps=32,
            learning_starts_env_steps=1_000, evaluate_every_env_steps=None,
            final_evaluation_episodes=2, out=tmp_path / str(bonus), progress=False,
        )  # fmt: skip
        scores.append(run.evaluation["mean_return"])
    assert scores[1] == pytest.approx(5 * scores[0])


def test_an_environment_that_was_only_described_is_let_go():
    given = Paid()
    describe(named_env(given)[0], {})
    reference = weakref.ref(given)
    del given
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize(
    "settings",
    [
        lambda: jax.default_prng_impl("rbg"),
        lambda: jax.threefry_partitionable(False),
        lambda: jax.enable_x64(True),
    ],
)
def test_jaxs_settings_of_the_process_change_no_episode(settings):
    def shown(env_id):
        env = make_environment(env_id, {})
        return [np.array(env.reset(seed=seed)[0]).tolist() for seed in range(6)], env.step(1)[:2]

    names = ("frankrl/CartPole-functional-v0", "functional_stand_ins:FrankWalk")
    wanted = [str(shown(name)) for name in names]
    jax.clear_caches()
    with settings():
        assert [str(shown(name)) for name in names] == wanted
        with own_numerics():
            jax.clear_caches()
            assert [str(shown(name)) for name in names] == wanted
