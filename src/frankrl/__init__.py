"""Frank trains Deep Q-Networks.

`frankrl.train(env)` trains and returns the result; `frankrl.load(run)` returns the trained
agent. Everything is imported at its first use.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from frankrl import hub
    from frankrl.agent import Agent
    from frankrl.api import evaluate, explain, export, load, resume, train
    from frankrl.config import Settings
    from frankrl.core.errors import FrankError
    from frankrl.training.evaluation import Evaluation
    from frankrl.training.session import TrainingResult

_HOME = {
    "Agent": "frankrl.agent",
    "Evaluation": "frankrl.training.evaluation",
    "FrankError": "frankrl.core.errors",
    "Settings": "frankrl.config",
    "TrainingResult": "frankrl.training.session",
    "evaluate": "frankrl.api",
    "explain": "frankrl.api",
    "export": "frankrl.api",
    "load": "frankrl.api",
    "resume": "frankrl.api",
    "train": "frankrl.api",
}

__all__ = [
    "Agent",
    "Evaluation",
    "FrankError",
    "Settings",
    "TrainingResult",
    "evaluate",
    "explain",
    "export",
    "hub",
    "load",
    "resume",
    "train",
]


def __getattr__(name: str) -> Any:
    import importlib

    if name == "hub":
        return importlib.import_module("frankrl.hub")
    if name not in _HOME:
        raise AttributeError(f"module 'frankrl' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
