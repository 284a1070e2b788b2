"""What is exported: a trained Q-network, with what is known of it."""

import importlib.metadata
import json
from pathlib import Path
from typing import Any, NamedTuple

from frankrl.core.types import Params
from frankrl.environments import EnvironmentSpec, spec_to_data
from frankrl.networks import QNetwork
from frankrl.runs import RunFolder


class TrainedNetwork(NamedTuple):
    """A Q-network of a run."""

    network: QNetwork
    params: Params
    """Parameters for greedy acting, as NumPy arrays."""
    spec: EnvironmentSpec
    folder: RunFolder
    """Its run; only the description is read."""
    env_steps: int
    """Env steps of the run after which it had these parameters."""

    def metadata(self) -> dict[str, str]:
        """Facts that say what the network is and how it is used, as texts by name."""
        description, spec = self.folder.description, self.spec
        settings, prepared = description.settings, spec.preprocessing
        facts: dict[str, Any] = {
            "frank_version": importlib.metadata.version("frankrl"),
            "run": self.folder.path.name,
            "env_id": spec.env_id,
            "env_kwargs": dict(spec.env_kwargs),
            "preset": Path(description.preset).name,
            "seed": description.seed,
            "env_steps": self.env_steps,
            "gamma": settings.learning.gamma,
            "distribution": settings.network.distribution,
            "first_action": spec.first_action,
            "action_names": list(spec.action_names),
            "action_mask": spec.mask_place,
            "frame_stack": prepared.frame_stack,
            "resize": prepared.resize,
            "grayscale": prepared.grayscale,
        }
        return {name: _text(fact) for name, fact in facts.items()}

    def description(self) -> dict[str, str]:
        """All settings of the run and its environment's stored description, as JSON by name."""
        return {
            "settings": _text(self.folder.description.settings.to_tables()),
            "environment": _text(spec_to_data(self.spec)),
        }


def _text(fact: Any) -> str:
    """A text as it is, anything else as JSON."""
    return fact if isinstance(fact, str) else json.dumps(fact, ensure_ascii=False)
