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

_found = "unknown: JAX was in use before Frank"


def start_backend() -> str:
    """Start JAX's backend with the threads asked for; one that runs already stays as it is.

    Returns:
        How many threads it has: a number, or that this is not known.
    """
    import jax

    global _found
    devices = jax.config.jax_num_cpu_devices  # pyright: ignore[reportAttributeAccessIssue]
    try:
        # A change is refused once the backend runs: the one public way to ask whether it does.
        jax.config.update("jax_num_cpu_devices", 3 if devices == 2 else 2)
    except RuntimeError:
        return _found
    jax.config.update("jax_num_cpu_devices", devices)
    before = os.environ.get(_VARIABLE)
    _found = os.environ[_VARIABLE] = before or "1"
    try:
        jax.devices()
    finally:
        if before is None:
            del os.environ[_VARIABLE]
    return _found
