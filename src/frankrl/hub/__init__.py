"""Runs on the Hub (huggingface.co): `frankrl.hub.push` and `frankrl.hub.pull`.

Everything is imported at its first use.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from frankrl.hub.download import pull
    from frankrl.hub.upload import Pushed, push

_HOME = {
    "Pushed": "frankrl.hub.upload",
    "pull": "frankrl.hub.download",
    "push": "frankrl.hub.upload",
}

__all__ = ["Pushed", "pull", "push"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'frankrl.hub' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
