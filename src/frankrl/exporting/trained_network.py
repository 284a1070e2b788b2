"""What is exported: a trained Q-network, with what is known of it."""

import importlib.metadata
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from frankrl.config import Settings
from frankrl.core.normalisation import Scales
from frankrl.core.types import Params
from frankrl.environments import EnvironmentSpec
from frankrl.networks import QNetwork
from frankrl.runs import RunFolder


class TrainedNetwork(NamedTuple):
    """A Q-network of a run."""

    network: QNetwork
    params: Params
    """Parameters for greedy acting, as NumPy arrays."""
    scales: Scales | None
    """How observations are normalised before they get into it; None: they are not."""
    spec: EnvironmentSpec
    folder: RunFolder
    """Its run; only the description is read."""
    env_steps: int
    """Env steps of the run after which it had these parameters."""

    def facts(self) -> dict[str, Any]:
        """What the network is and how it is used, as JSON data."""
        description, spec = self.folder.description, self.spec
        settings, prepared = description.settings, spec.preprocessing
        units = self.network.memory_units
        return {
            "frank_version": importlib.metadata.version("frankrl"),
            "run": self.folder.path.name,
            "env_id": spec.env_id,
            "env_kwargs": dict(spec.env_kwargs),
            "preset": Path(description.preset).name,
            "seed": description.seed,
            "env_steps": self.env_steps,
            "gamma": settings.learning.gamma,
            "outputs": outputs_of(settings),
            "distribution": settings.network.distribution,
            "first_action": spec.first_action,
            "action_names": list(spec.action_names),
            "action_mask": spec.mask_place,
            "frame_stack": prepared.frame_stack,
            "resize": prepared.resize,
            "grayscale": prepared.grayscale,
        } | ({"memory_units": units} if units else {})


def outputs_of(settings: Settings) -> str:
    """What the numbers of an agent's actions are: `q_values`; `h(q_values)` with value rescaling;
    `logits` after behaviour cloning."""
    if settings.learning.algorithm == "bc":
        return "logits"
    return "h(q_values)" if settings.learning.value_rescaling else "q_values"


def as_texts(facts: Mapping[str, Any]) -> dict[str, str]:
    """Facts as metadata: a text as it is, anything else as JSON."""
    return {
        name: fact if isinstance(fact, str) else json.dumps(fact, ensure_ascii=False)
        for name, fact in facts.items()
    }
