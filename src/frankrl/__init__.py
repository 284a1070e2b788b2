"""Frank trains Deep Q-Networks.

`frankrl.train(env)` trains and returns the result; `frankrl.load(run)` returns the trained
agent. Everything is imported at its first use.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from frankrl import hub
    from frankrl.agent import Agent
    from frankrl.api import estimate, evaluate, explain, export, export_dataset, load, resume, train
    from frankrl.config import Settings
    from frankrl.core.errors import FrankError
    from frankrl.dashboard.background import open_dashboard
    from frankrl.datasets import open_dataset
    from frankrl.experiments.run import experiment
    from frankrl.listing.comparison import compare_runs
    from frankrl.listing.run_list import list_runs
    from frankrl.networks import NetworkSpec
    from frankrl.plotting.run_plot import plot
    from frankrl.runs.publishing import fetch, published_status
    from frankrl.runs.remove import remove_run
    from frankrl.seeds.evaluation import SeedsEvaluation
    from frankrl.seeds.result import SeedsResult
    from frankrl.sweeps.run import sweep
    from frankrl.training import Stop
    from frankrl.training.estimate import Estimate
    from frankrl.training.evaluation import Evaluation
    from frankrl.training.result import TrainingResult
    from frankrl.video.run_film import film

_HOME = {
    "Agent": "frankrl.agent",
    "Estimate": "frankrl.training.estimate",
    "Evaluation": "frankrl.training.evaluation",
    "FrankError": "frankrl.core.errors",
    "NetworkSpec": "frankrl.networks",
    "SeedsEvaluation": "frankrl.seeds.evaluation",
    "SeedsResult": "frankrl.seeds.result",
    "Settings": "frankrl.config",
    "Stop": "frankrl.training",
    "TrainingResult": "frankrl.training.result",
    "compare_runs": "frankrl.listing.comparison",
    "estimate": "frankrl.api",
    "evaluate": "frankrl.api",
    "experiment": "frankrl.experiments.run",
    "explain": "frankrl.api",
    "export": "frankrl.api",
    "export_dataset": "frankrl.api",
    "fetch": "frankrl.runs.publishing",
    "film": "frankrl.video.run_film",
    "list_runs": "frankrl.listing.run_list",
    "load": "frankrl.api",
    "open_dashboard": "frankrl.dashboard.background",
    "open_dataset": "frankrl.datasets",
    "plot": "frankrl.plotting.run_plot",
    "published_status": "frankrl.runs.publishing",
    "remove_run": "frankrl.runs.remove",
    "resume": "frankrl.api",
    "sweep": "frankrl.sweeps.run",
    "train": "frankrl.api",
}

__all__ = [
    "Agent",
    "Estimate",
    "Evaluation",
    "FrankError",
    "NetworkSpec",
    "SeedsEvaluation",
    "SeedsResult",
    "Settings",
    "Stop",
    "TrainingResult",
    "compare_runs",
    "estimate",
    "evaluate",
    "experiment",
    "explain",
    "export",
    "export_dataset",
    "fetch",
    "film",
    "hub",
    "list_runs",
    "load",
    "open_dashboard",
    "open_dataset",
    "plot",
    "published_status",
    "remove_run",
    "resume",
    "sweep",
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
