"""How programs are compiled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from frankrl.core.compiling import compiled_quickly, compiler_options

_BY_CUBLAS = {"xla_gpu_enable_triton_gemm": False}


@pytest.mark.parametrize(
    ("backend", "products", "found"),
    [
        ("gpu", 2_400_000_000, _BY_CUBLAS),
        ("gpu", 17_000_000, None),
        ("cpu", 2_400_000_000, None),
    ],
)
def test_only_large_products_on_a_gpu_are_left_to_cublas(monkeypatch, backend, products, found):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert compiler_options(products) == found


def test_xla_knows_the_option():
    doubled = jax.jit(lambda number: 2 * number, compiler_options=_BY_CUBLAS)
    assert doubled(jnp.float32(3)) == 6


def test_xla_flags_hold(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_enable_triton_gemm=true")
    assert compiler_options(2_400_000_000) is None


@pytest.fixture
def asked_anew():
    compiled_quickly.cache_clear()
    yield
    compiled_quickly.cache_clear()


def test_a_program_for_a_few_calls_computes_the_same(asked_anew):
    options = compiled_quickly()
    assert options is not None
    numbers = np.linspace(-3, 3, 7, dtype=np.float32)
    quick = jax.jit(jnp.sin, compiler_options=options)
    np.testing.assert_allclose(quick(numbers), np.sin(numbers), rtol=1e-6, atol=1e-6)


def test_an_option_that_xla_does_not_have_is_left_out(asked_anew, monkeypatch):
    compiled = jax.jit

    def without_emitters(function, compiler_options):
        renamed = {name.replace("emitters", "emitted"): on for name, on in compiler_options.items()}
        return compiled(function, compiler_options=renamed)

    monkeypatch.setattr(jax, "jit", without_emitters)
    assert compiled_quickly() == {"xla_backend_optimization_level": 1}


def test_a_gpu_compiles_all_programs_alike(asked_anew, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert compiled_quickly() is None
