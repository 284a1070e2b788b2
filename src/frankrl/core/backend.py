"""Starts JAX with one thread for its computations on the CPU, and keeps compiled code.

**One thread.** An update of a small network is a chain of operations of a few
microseconds; handing them from thread to thread costs more than it saves, and takes the
other core from the environments. Measured on 2 CPUs: an env step with one update of a
128×128 network took 0.66 ms with XLA's default pool and 0.51 ms with one thread, one of a
256×256 network 1.73 ms with two threads and 1.25 ms with one.

**Compiled code is kept** in the user's cache folder, so that only the first run of its
kind waits for the compiler. Everything the code depends on besides the program is part of the
folder's name. Deleting the folder only costs the next compilation.

**A GPU** gives the same bits in every process only if XLA does not choose its kernels by timing
them, and takes none whose sums depend on the order of threads: `--xla_gpu_deterministic_ops`.
There XLA's threads compile, so it gets all of them.
"""

import contextlib
import hashlib
import os
import pkgutil
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

from frankrl.core.errors import FrankError, SettingError
from frankrl.core.system import user_folder

_THREADS = "NPROC"
"""XLA reads the size of its CPU thread pool from this variable, once, when the backend starts."""
_PREALLOCATE = "XLA_PYTHON_CLIENT_PREALLOCATE"
"""Whether XLA takes three quarters of a GPU's memory when it starts. If not, an update can be
opened on a GPU on which a run is training."""

_FLAGS, _SAME_BITS = "XLA_FLAGS", "--xla_gpu_deterministic_ops"

_ONLY_COMPILING = "any: they compile for a GPU, or draw batches for it"

_found = "unknown: JAX was in use before Frank"
_held_to_cpu = False
_threads_are_ours = False
"""Whether the user has left the number of XLA's threads to Frank."""
_is_forked = False
"""Whether this process was forked from one in which JAX's backend ran."""


@contextlib.contextmanager
def prepared() -> Iterator[None]:
    """Within this context JAX's backend starts as Frank wants, even if an environment starts it.

    A backend that is already running stays as it is.
    """
    global _found, _threads_are_ours
    check_not_forked()
    if _runs():
        yield
        return
    before = {name: os.environ.get(name) for name in (_THREADS, _PREALLOCATE, _FLAGS)}
    _threads_are_ours = _threads_are_ours or not before[_THREADS]
    _found = os.environ[_THREADS] = before[_THREADS] or "1"
    os.environ.setdefault(_PREALLOCATE, "false")
    if _SAME_BITS not in (flags := before[_FLAGS] or ""):
        os.environ[_FLAGS] = f"{flags} {_SAME_BITS}=true".strip()
    try:
        _keep_compiled_code()
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def start_backend(*, on_cpu: bool = False) -> str:
    """Start JAX's backend with the requested threads; one that is already running stays as it is.

    Args:
        on_cpu: compute on the CPU even if JAX could use another device, unless the user has set
            `jax_platforms`. In this process JAX then only knows the CPU.

    Returns:
        The number of threads, or that it is unknown.

    Raises:
        SettingError: `jax_platforms` names a device that does not exist.
    """
    import jax

    global _found, _held_to_cpu
    with prepared():
        if not on_cpu and not _runs() and _threads_are_ours and _has_gpu():
            os.environ[_THREADS], _found = str(visible_cpus()), _ONLY_COMPILING
        if on_cpu and not _runs() and not jax.config.jax_platforms:  # pyright: ignore[reportAttributeAccessIssue]
            jax.config.update("jax_platforms", "cpu")
            _held_to_cpu = True
        try:
            jax.devices()
        except (RuntimeError, AssertionError) as error:
            # JAX fails an assertion if it knows the platform and finds no such device.
            platforms = jax.config.jax_platforms  # pyright: ignore[reportAttributeAccessIssue]
            why = " ".join(str(error).split()) or "there is no such device"
            raise SettingError(
                f"JAX cannot start with JAX_PLATFORMS={platforms!r}: {why}; unset it, or install "
                "JAX for that device"
            ) from error
    return _found


def check_not_forked() -> None:
    """Refuse to compute in a process that was forked from one that has computed.

    Raises:
        FrankError: JAX's threads have stayed behind, so a computation would never end.
    """
    if _is_forked:
        raise FrankError(
            "this process was forked from one that has used JAX, whose threads have stayed there, "
            "so nothing can be computed here: start it by multiprocessing.get_context('spawn')"
        )


def _note_fork() -> None:
    global _is_forked
    _is_forked = _is_forked or ("jax" in sys.modules and _runs())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


def held_to_cpu() -> bool:
    """Whether `start_backend` has limited JAX to the CPU in this process."""
    return _held_to_cpu


def _has_gpu() -> bool:
    """Whether JAX will probably compute on a GPU of NVIDIA's."""
    import jax

    platforms = jax.config.jax_platforms or "cuda"  # pyright: ignore[reportAttributeAccessIssue]
    if not {"cuda", "gpu"} & set(platforms.split(",")):
        return False
    try:
        import jax_plugins  # pyright: ignore[reportMissingImports]
    except ImportError:
        return False
    plugins = {found.name for found in pkgutil.iter_modules(jax_plugins.__path__)}
    is_there = any(Path("/dev").glob("nvidia[0-9]*"))
    return is_there and any("cuda" in name for name in plugins)


def _runs() -> bool:
    """Whether JAX's backend has been started."""
    import jax

    devices = jax.config.jax_num_cpu_devices  # pyright: ignore[reportAttributeAccessIssue]
    try:
        # A running backend refuses a change; JAX has no other public way to find out.
        jax.config.update("jax_num_cpu_devices", 3 if devices == 2 else 2)
    except RuntimeError:
        return True
    jax.config.update("jax_num_cpu_devices", devices)
    return False


def _keep_compiled_code() -> None:
    """Let JAX cache compiled code, unless the user has set a cache folder or none can be made."""
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
    """The cache of compiled code: one folder for each machine, jaxlib and number of threads.

    XLA compiles for the CPU that it finds and for its threads; JAX's own cache keys contain
    neither.

    Raises:
        RuntimeError: the user has no home folder.
    """
    from jaxlib.version import __version__ as jaxlib_version

    facts = (_cpu_features(), platform.machine(), str(os.cpu_count()), str(visible_cpus()), _found)
    digest = hashlib.blake2b("\n".join(facts).encode(), digest_size=6).hexdigest()
    base = user_folder("XDG_CACHE_HOME", ".cache")
    return base / "frank" / f"jaxlib-{jaxlib_version}-{digest}"


def visible_cpus() -> int:
    """Number of CPUs that this process may use."""
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
