"""How updates are compiled for a GPU."""

import jax
import jax.numpy as jnp
import pytest

from frankrl.core.compiling import compiler_options

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
