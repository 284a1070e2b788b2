"""The code that handles arrays runs with its shapes and types checked while it is tested."""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

from jaxtyping import install_import_hook

# Nobody's own cache of compiled code is read or filled by tests.
os.environ["XDG_CACHE_HOME"] = cache = tempfile.mkdtemp()
atexit.register(shutil.rmtree, cache, ignore_errors=True)
# Compiling is most of the work here, so XLA leaves out what costs more time than it saves a short
# run. Set both variables to something else to compile as for users: XLA_FLAGS= and
# JAX_DISABLE_MOST_OPTIMIZATIONS=0.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
sys.path.insert(0, str(Path(__file__).parent))
CHECKED = (
    *("core.types", "environments.masks", "experience", "networks"),
    *("replay", "learning", "training"),
)
install_import_hook([f"frankrl.{name}" for name in CHECKED], "typechecking.check").__enter__()

# As on the command line, before any test uses JAX otherwise: a run knows how many threads it had.
from frankrl.core.backend import start_backend  # noqa: E402 - only after the hook

start_backend(on_cpu=True)
