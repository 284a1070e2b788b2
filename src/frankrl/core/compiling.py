"""How updates are compiled for a GPU."""

from typing import Any

_LARGE = 100_000_000
"""Multiplications of an update from which on its matrix products are left to cuBLAS."""


def compiler_options(products: int) -> dict[str, Any] | None:
    """XLA's options for a function that does updates; None: as for all functions.

    On a GPU, XLA writes kernels of its own for products of matrices. It has to time them to choose
    good ones, which Frank forbids because the bits would depend on it. Those of cuBLAS are chosen
    by rules, and are faster for large products. Small ones are faster with XLA's, which do what
    surrounds a product, too, so that there are fewer kernels to start.

    Args:
        products: multiplications of numbers with weights in one update.
    """
    import jax

    if products < _LARGE or jax.default_backend() != "gpu":
        return None
    return {"xla_gpu_enable_triton_gemm": False}
