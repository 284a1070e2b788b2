"""One thread for XLA's CPU computations.

An update of a small network is a chain of operations of a few microseconds; handing
them from thread to thread costs more than it saves, and takes the other core from the
environments. Measured on 2 CPUs: an env step with one update of a 128×128 network took
0.66 ms with XLA's default pool and 0.51 ms with one thread; at 256×256 there was no
difference.
"""

import os

_VARIABLE = "NPROC"
"""XLA reads the size of its CPU thread pool from here, once, when the backend starts."""


def start_backend() -> None:
    """Start JAX's backend with one CPU thread, unless it runs or the user chose a number."""
    import jax

    if _VARIABLE in os.environ:
        return
    os.environ[_VARIABLE] = "1"
    try:
        jax.devices()
    finally:
        del os.environ[_VARIABLE]
