"""On a process's path, this makes the chunks of its checkpoints so small that short runs have some.

Python imports it by itself when it starts. It changes nothing until Frank's module is imported.
"""

import importlib.abc
import importlib.machinery
import os
import sys
from types import ModuleType

_MODULE = "frankrl.replay.chunks"


class _Loader(importlib.machinery.SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        module.CHUNK_BYTES = int(os.environ["FRANK_CHUNK_BYTES"])  # type: ignore[attr-defined]


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname, path, target=None):  # type: ignore[no-untyped-def]
        if fullname != _MODULE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin)
        return spec


sys.meta_path.insert(0, _Finder())
