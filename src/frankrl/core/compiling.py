"""How programs are compiled that XLA's own defaults do not suit."""

import contextlib
import functools
import os
from typing import Any

_LARGE = 100_000_000
"""Multiplications from which on products of matrices are left to cuBLAS."""

_OWN_KERNELS = "xla_gpu_enable_triton_gemm"


def compiler_options(products: int) -> dict[str, Any] | None:
    """XLA's options for a program that does updates; None: as for all programs.

    On a GPU, XLA writes kernels of its own for products of matrices. It has to time them to choose
    good ones, which Frank forbids because the bits would depend on it. Those of cuBLAS are chosen
    by rules, and are faster for large products. Small ones are faster with XLA's, which do what
    surrounds a product, too, so that there are fewer kernels to start. If `XLA_FLAGS` says which to
    take, that holds.

    Args:
        products: multiplications of numbers with weights that the network takes to compute one
            batch, of all runs of the program.
    """
    import jax

    if products < _LARGE or jax.default_backend() != "gpu":
        return None
    if _OWN_KERNELS in os.environ.get("XLA_FLAGS", ""):
        return None
    return {_OWN_KERNELS: False}


@functools.cache
def compiled_quickly() -> dict[str, Any] | None:
    """XLA's options for a program that runs a few times.

    On the CPU compiling takes half as long with little optimisation and with XLA's older emitters.
    Without any optimisation numbers would be rounded otherwise than in other programs: LLVM then
    does not join a product and a sum. An option that a version of XLA does not have is left out.
    """
    import jax

    if jax.default_backend() != "cpu":
        return None
    known = {}
    for option in ({"xla_backend_optimization_level": 1}, {"xla_cpu_use_fusion_emitters": False}):
        with contextlib.suppress(RuntimeError):
            jax.jit(lambda: 0, compiler_options=option).lower().compile()
            known |= option
    return known
