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
    """Start JAX's backend with the threads asked for; one that runs already stays as it is."""
    import jax

    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = threads_asked_for()
    try:
        jax.devices()
    finally:
        if before is None:
            del os.environ[_VARIABLE]


def threads_asked_for() -> str:
    """The number of threads: the user's, in the environment variable NPROC, or one."""
    return os.environ.get(_VARIABLE, "1")
