"""Frank computes alike whatever the process has set for JAX."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from long_forms import some_of
from safetensors.numpy import load

import frankrl
from frankrl.core.numerics import own_numerics, users_numerics
from frankrl.runs import list_checkpoints

SET = {
    "64 bits": lambda: jax.enable_x64(True),
    "transfer guard": lambda: jax.transfer_guard("disallow"),
    "stricter transfer guard": lambda: jax.transfer_guard("disallow_explicit"),
    "strict types": lambda: jax.numpy_dtype_promotion("strict"),
    "strict ranks": lambda: jax.numpy_rank_promotion("raise"),
    "infinities": lambda: jax.debug_infs(True),
    "precision": lambda: jax.default_matmul_precision("bfloat16"),
}
SMALL = {"total_env_steps": 200, "learning_starts_env_steps": 100, "hidden_widths": [8]}
SMALL |= {"final_evaluation_episodes": 1, "double": True}


def bytes_of(run):
    (checkpoint,) = list_checkpoints(run / "checkpoints")
    return {file.name: file.read_bytes() for file in checkpoint.glob("*.safetensors")}


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    path = tmp_path_factory.mktemp("usual") / "run"
    frankrl.train("CartPole-v1", preset="default", out=path, **SMALL)
    return path


SOME = ("64 bits", "stricter transfer guard", "precision")


@pytest.mark.parametrize("name", some_of(SET, SOME))
def test_a_run_comes_to_the_same_bits_whatever_the_process_has_set(name, usual, tmp_path):
    with SET[name]():
        before = [getattr(jax.config, f"jax_{flag}") for flag in ("enable_x64", "debug_infs")]
        result = frankrl.train("CartPole-v1", preset="default", out=tmp_path / "run", **SMALL)
        record = frankrl.explain(result.run, update=50)
        evaluated = frankrl.evaluate(frankrl.load(result.run), episodes=2)
        assert before == [
            getattr(jax.config, f"jax_{flag}") for flag in ("enable_x64", "debug_infs")
        ]
    assert bytes_of(tmp_path / "run") == bytes_of(usual)
    assert result.not_reproducible == []
    assert record.loss == frankrl.explain(usual, update=50).loss
    expected = frankrl.evaluate(frankrl.load(usual), episodes=2).returns
    np.testing.assert_array_equal(evaluated.returns, expected)


RANDOM_NUMBERS = {
    "generator": lambda: jax.default_prng_impl("rbg"),
    "its parts": lambda: jax.threefry_partitionable(False),
}


def test_random_numbers_of_functional_environments_are_frank_s_whatever_is_set(tmp_path):
    def trained(name, source):
        path = tmp_path / name
        how = dict(SMALL, preset="default", source=source, evaluate_every_env_steps=100)
        frankrl.train("frankrl/CartPole-functional-v0", out=path, **how)
        agent = frankrl.load(path)
        return bytes_of(path), frankrl.evaluate(agent, episodes=2).returns.tolist()

    for source in ("device", "host"):
        usual = trained(f"usual-{source}", source)
        for name, context in RANDOM_NUMBERS.items():
            with context():
                assert trained(f"{name}-{source}", source) == usual


@pytest.mark.parametrize(("acting", "workers"), [("host", 0), ("device", 0), ("host", 1)])
def test_an_environment_and_the_caller_compute_as_the_process_has_set(acting, workers, tmp_path):
    seen = []

    def look(event):
        seen.append(jnp.arange(1.0).dtype.itemsize)

    with jax.enable_x64(True):
        result = frankrl.train(
            "numeric_env:FrankNumeric-v0",
            preset="default",
            out=tmp_path / "run",
            acting=acting,
            worker_processes=workers,
            num_envs=2,
            on_event=look,
            **SMALL,
        )
        agent = frankrl.load(result.run)
        assert agent.q_values(np.zeros(2)).dtype == np.float32
    replay = bytes_of(tmp_path / "run")["replay.safetensors"]
    states = load(replay)[".steps.observation"].reshape(-1, 2)
    assert set(states[:150, 0].tolist()) == {8.0}
    assert set(seen) == {8}


def test_what_was_set_comes_back_inside_and_outside():
    widths = []
    with jax.enable_x64(True):
        for context in (contextlib.nullcontext, own_numerics, contextlib.nullcontext):
            with context():
                widths.append(jnp.arange(1.0).dtype.itemsize)
        with own_numerics(), own_numerics(), users_numerics():
            widths.append(jnp.arange(1.0).dtype.itemsize)
    with own_numerics(), users_numerics():
        widths.append(jnp.arange(1.0).dtype.itemsize)
    assert widths == [8, 4, 8, 8, 4]
