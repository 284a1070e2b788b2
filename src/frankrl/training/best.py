"""The agent whose look was the best so far: kept beside the newest, for whoever wants it."""

from typing import Any

import numpy as np
from jaxtyping import Float

from frankrl.environments import EnvironmentSpec
from frankrl.evaluation import Evaluation
from frankrl.networks import pack
from frankrl.runs import (
    RunDescription,
    RunFolder,
    Tensors,
    load_tensors,
    newest_checkpoint,
    remove_checkpoints,
    save_checkpoint,
)
from frankrl.training.events import Best
from frankrl.training.saving import BEST_FILE, filled, named, playing_file
from frankrl.training.state import initial_network


class BestAgent:
    """Weights of the best look, and the folder that holds them."""

    def __init__(self, description: RunDescription, spec: EnvironmentSpec) -> None:
        self.best: Best | None = None
        """None before the first look."""
        self._spec = spec
        self._file = playing_file(description.settings.learning)
        self._like = initial_network(description.settings, spec, description.seed)
        self._weights: np.ndarray | None = None

    def consider(
        self,
        folder: RunFolder,
        look: Evaluation,
        env_steps: int,
        weights: Float[np.ndarray, " weight"],
    ) -> None:
        """Keep the weights that played, if their look was better than all before it."""
        if self.best is None or look.mean_return > self.best.mean_return:
            self.best = Best(env_steps, look.mean_return, len(look.returns))
            self._weights = np.array(weights)
            self._write(folder)

    def take_up(self, folder: RunFolder, told: dict[str, Any] | None) -> None:
        """Bring the folder to what it was at the run's newest checkpoint.

        Args:
            folder: the run's.
            told: what the checkpoint says of the best look; none if there was no look.
        """
        if not told:
            remove_checkpoints(folder.best)
            return
        # Read before anything is replaced: a damaged checkpoint must cost nothing.
        tensors, _ = load_tensors(newest_checkpoint(folder.checkpoints), (BEST_FILE,))
        self.best = Best(**told)
        self._weights = pack(filled(self._like, tensors[BEST_FILE])).weights
        self._write(folder)

    def for_checkpoint(self) -> dict[str, Tensors]:
        """What a checkpoint of the run holds of it: a file of weights, or nothing."""
        return self._tensors(BEST_FILE)

    def _tensors(self, file: str) -> dict[str, Tensors]:
        if self._weights is None:
            return {}
        return {file: named(pack(self._like).with_weights(self._weights).network())}

    def _write(self, folder: RunFolder) -> None:
        assert self.best is not None
        path = save_checkpoint(
            folder.best,
            self.best.env_steps,
            self._tensors(self._file),
            {"env_id": self._spec.env_id, **self.best._asdict()},
        )
        remove_checkpoints(folder.best, but=(path,))
