"""How the tests run: shapes and types checked, one thread for JAX, compiled code shared.

`pytest` gives its files to several processes, each of which has one thread for its
computations. They share one cache of compiled code, which stays in pytest's own cache for the
next session (`--cache-clear` empties it). What JAX holds in memory is kept from file to file up
to a number of programs, so that a process does not grow with the number of tests.
"""

import atexit
import compileall
import contextlib
import functools
import gc
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import jax
import pytest
import typechecking
import zstandard
from jax import monitoring
from jaxtyping import install_import_hook

import frankrl
from frankrl.core.backend import start_backend, visible_cpus

_CHECKED = ("core.types", "environments.masks", "replay", "learning")
"""Modules whose shapes and types are checked at run time."""
_CHECKED_IN_LONG_FORMS = ("experience", "networks", "training")
"""Those that are called in every acting step or round; to check them takes a while."""
_QUICKLY_COMPILED = (
    "--xla_backend_optimization_level=0",
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_cpu_parallel_codegen_split_count=1",
)
_MAX_PROCESSES = 4
_NEW_OBJECTS = 20_000
"""How many objects Python allocates before it looks for garbage; by itself it looks after 700."""
_MARKED_BY = {
    "slow": ("mark.slow", "some_of("),
    "as_compiled_for_users": ("mark.as_compiled_for_users",),
}
"""What a file with a test of that mark holds; a session for one mark imports no other file."""
_MAX_COMPILED_BYTES = 1 << 30
"""Of the cache that stays; a session that finds more begins with an empty one."""
_COMPILED = "/jax/core/compile/backend_compile_duration"
_MAX_PROGRAMS = 300
"""How many compiled programs a process holds before it forgets them, at the end of a file. One
takes one or two megabytes; the next file traces anew, and loads from the disk, what it shares."""
_LONG_FIRST = ("robustness", "training", "explaining", "learning", "dashboard")
"""The folders whose files take longest: begun first, none of them is waited for at the end."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """As many processes as there are CPUs; none beside this one if only files are asked for.

    Long forms have one more, because much of their time they wait for other processes.
    """
    if all(".py" in argument for argument in config.args):
        return 0
    more = 1 if _first_mark(config) == "slow" else 0
    return min(visible_cpus() + more, _MAX_PROCESSES)


def _first_mark(config: pytest.Config) -> str:
    """Of what is asked for by `-m`: `slow` also of `slow and not as_compiled_for_users`."""
    return config.option.markexpr.partition(" ")[0]


def pytest_configure(config: pytest.Config) -> None:
    """Prepare this process for tests, unless it only gives them to others."""
    # Tests use nobody's key for marking runs, and those of this process no other one's.
    _set_to_new_folder("XDG_STATE_HOME")
    if not hasattr(config, "workerinput"):
        # Tests neither read nor fill anybody's own cache; other processes inherit this one.
        cache = Path(_set_to_new_folder("XDG_CACHE_HOME"))
        if getattr(config, "cache", None):
            # Where nothing can be kept, or linked to, this session fills a folder of its own.
            with contextlib.suppress(OSError):
                (cache / "frank").symlink_to(_kept_compiled_code(config.cache.mkdir("compiled")))
        # For GPUs alone; with it the path of this session's cache would be part of all keys.
        os.environ["JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES"] = "none"
        jax.config.update("jax_persistent_cache_enable_xla_caches", "none")
        # Hundreds of processes are started, each of which would compile all of Frank's modules.
        # Those that are checked here are written in a form that no other process reads.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        sys.dont_write_bytecode = False
        compileall.compile_dir(Path(frankrl.__file__).parent, quiet=2)
        # Compiling takes most of the time of the tests, and these two thirds of compiling.
        if "XLA_FLAGS" not in os.environ:
            os.environ["XLA_FLAGS"] = " ".join(_known_to_xla(_QUICKLY_COMPILED))
        if config.option.dist != "no":
            return
    long_forms = _first_mark(config) == "slow"
    checked = (*_CHECKED, *_CHECKED_IN_LONG_FORMS) if long_forms else _CHECKED
    checker = "check_in_long_forms" if long_forms else "check"
    names = [f"frankrl.{name}" for name in checked]
    install_import_hook(names, f"typechecking.{checker}").__enter__()
    # As on the command line, before any test uses JAX otherwise: a run knows how many threads it
    # had.
    start_backend(on_cpu=True)
    monitoring.register_event_duration_secs_listener(_count_programs)
    gc.disable()  # until all tests are collected


def _known_to_xla(flags: Sequence[str]) -> Sequence[str]:
    """The flags that this version of XLA has; it ends the process for any other one."""
    if _are_taken(flags):
        return flags
    return [flag for flag in flags if _are_taken([flag])]


def _are_taken(flags: Sequence[str]) -> bool:
    code = "import jax; jax.config.update('jax_platforms', 'cpu'); jax.devices()"
    variables = os.environ | {"XLA_FLAGS": " ".join(flags)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=variables, capture_output=True).returncode == 0


def _set_to_new_folder(variable: str) -> str:
    os.environ[variable] = folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _kept_compiled_code(folder: Path) -> Path:
    """This folder, whose files JAX names by all that they depend on.

    What a killed process has written in part is removed; so is all, if it is much. Another session
    may be doing the same, or write there; what it misses it compiles anew.

    Raises:
        OSError: nothing can be kept.
    """
    checked = folder.with_suffix(".checked")
    since = checked.stat().st_mtime if checked.exists() else 0.0
    checked.touch()
    found: dict[Path, os.stat_result] = {}
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file():
                found[path] = path.stat()
    is_much = sum(status.st_size for status in found.values()) > _MAX_COMPILED_BYTES
    for path, status in found.items():
        with contextlib.suppress(OSError):
            # Files do not change, so those of earlier sessions were found to be whole.
            if is_much or (status.st_mtime >= since and not _is_whole(path)):
                path.unlink()
    return folder


def _is_whole(compiled: Path) -> bool:
    try:
        zstandard.ZstdDecompressor().decompress(compiled.read_bytes())
    except zstandard.ZstdError:
        return False
    return True


_programs: Counter[str] = Counter()
"""How often each event was since JAX has last forgotten its programs."""


def _count_programs(event: str, duration: float, **_: object) -> None:
    _programs[event] += 1


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out files without a test of the mark that is asked for: to import all takes long."""
    words = _MARKED_BY.get(_first_mark(config))
    if words is None or not collection_path.match("test_*.py"):
        return None
    source = collection_path.read_text("utf-8")
    return True if not any(word in source for word in words) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; the order within a file stays."""
    items.sort(key=lambda item: _rank(item.path))


@functools.cache
def _rank(file: Path) -> int:
    folder = file.relative_to(Path(__file__).parent).parts[0]
    return _LONG_FIRST.index(folder) if folder in _LONG_FIRST else len(_LONG_FIRST)


def pytest_collection_finish() -> None:
    """What all tests consist of is no garbage, and need not be looked through again and again."""
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
    gc.enable()
    # From here on none is written: tests change modules of their own faster than bytecode notices.
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True


@pytest.fixture(scope="session", autouse=True)
def _nothing_waits_for_the_disk():
    """No test cuts the power; those of a disk that fails do so in processes of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(autouse=True)
def _types_are_checked_again():
    typechecking.check_again()


@pytest.fixture(scope="module", autouse=True)
def _forgotten_where_there_are_many():
    """Compiled code stays on the disk, from where the next file takes what it needs."""
    yield
    if _programs[_COMPILED] > _MAX_PROGRAMS:
        jax.clear_caches()
        _programs.clear()
