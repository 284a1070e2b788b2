"""How JAX is started: one thread for its computations on the CPU, and compiled code kept.

**One thread.** An update of a small network is a chain of operations of a few
microseconds; handing them from thread to thread costs more than it saves, and takes the
other core from the environments. Measured on 2 CPUs: an env step with one update of a
128×128 network took 0.66 ms with XLA's default pool and 0.51 ms with one thread; at
256×256 there was no difference.

**Compiled code is kept** in the user's cache folder, so that only the first run of its
kind waits for the compiler. What the code depends on beside the program is part of the
folder's name; deleting it costs nothing but the next compilation.
"""

import hashlib
import os
import platform
from pathlib import Path

_VARIABLE = "NPROC"
"""XLA reads the size of its CPU thread pool from here, once, when the backend starts."""

_found = "unknown: JAX was in use before Frank"


def start_backend(*, on_cpu: bool = False) -> str:
    """Start JAX's backend with the threads asked for; one that runs already stays as it is.

    Args:
        on_cpu: compute on the CPU even if JAX could use something else, unless the user has set
            JAX_PLATFORMS. In this process JAX then knows of the CPU alone.

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
    if on_cpu and not jax.config.jax_platforms:  # pyright: ignore[reportAttributeAccessIssue]
        jax.config.update("jax_platforms", "cpu")
    before = os.environ.get(_VARIABLE)
    _found = os.environ[_VARIABLE] = before or "1"
    try:
        _keep_compiled_code()
        jax.devices()
    finally:
        if before is None:
            del os.environ[_VARIABLE]
    return _found


def _keep_compiled_code() -> None:
    """Let JAX keep what it compiles, unless the user has said where, or there is no room for it."""
    import jax

    if jax.config.jax_compilation_cache_dir is not None:  # pyright: ignore[reportAttributeAccessIssue]
        return
    try:
        folder = cache_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return
    if os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def cache_folder() -> Path:
    """Where compiled code is kept: one folder for each machine, jaxlib and number of threads.

    XLA compiles for the CPU it finds and the threads it has, and JAX's own names for
    what it keeps leave both out.

    Raises:
        RuntimeError: the user has no home folder.
    """
    from jaxlib.version import __version__ as jaxlib_version

    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    facts = (_cpu_features(), platform.machine(), str(os.cpu_count()), str(visible_cpus()), _found)
    digest = hashlib.blake2b("\n".join(facts).encode(), digest_size=6).hexdigest()
    return Path(base) / "frank" / f"jaxlib-{jaxlib_version}-{digest}"


def visible_cpus() -> int:
    """How many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_features() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    wanted = ("model name", "flags", "Features")
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(wanted)))
