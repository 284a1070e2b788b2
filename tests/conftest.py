"""The code that handles arrays runs with its shapes and types checked while it is tested."""

import sys
from pathlib import Path

from jaxtyping import install_import_hook

sys.path.insert(0, str(Path(__file__).parent))
CHECKED = ("records", "exploration", "networks", "replay", "learning", "training")
install_import_hook([f"frankrl.{name}" for name in CHECKED], "typechecking.check").__enter__()
