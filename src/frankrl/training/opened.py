"""The Q-network of a run, from its checkpoints; of what the run names, only a network of the user's
own is imported."""

from typing import Any, NamedTuple

from frankrl.core.errors import warn
from frankrl.core.normalisation import Scales
from frankrl.core.numerics import own_numerics
from frankrl.core.types import Params
from frankrl.runs import RunFolder, check_settings_code, list_checkpoints, load_newest
from frankrl.runs.no_checkpoint import no_checkpoint
from frankrl.training.codec import eval_file, most_agent_bytes, statistics_in
from frankrl.training.memory import check_weights
from frankrl.training.records import filled
from frankrl.training.resuming import stored_spec
from frankrl.training.state import Experiment


class OpenedNetwork(NamedTuple):
    """The Q-network of a checkpoint."""

    experiment: Experiment
    params: Params
    """Parameters for greedy acting, as NumPy arrays."""
    info: dict[str, Any]
    """Metadata of the checkpoint."""
    scales: Scales | None
    """How observations are normalised before they get into the network; None: they are not."""


@own_numerics()
def open_network(folder: RunFolder, *, best: bool = False) -> OpenedNetwork:
    """The Q-network of a run.

    Raises:
        RunFolderError: there is no usable checkpoint.
    """
    checkpoints = folder.best if best else folder.checkpoints
    if not list_checkpoints(checkpoints):
        raise no_checkpoint(folder, best=best)
    check_settings_code(folder, ("network", "torso"))
    description = folder.description
    spec = stored_spec(folder, load_newest(checkpoints, {})[0].info)
    experiment = Experiment.of(description.settings, spec, description.seed, description.data)
    file = eval_file(description.settings.learning)
    check_weights(experiment)
    network = experiment.network
    loaded, damaged = load_newest(checkpoints, {file: most_agent_bytes(experiment)})
    for error in damaged:
        warn(f"{error}; the checkpoint before it is used")
    params = filled(network.shapes, loaded.tensors[file])
    statistics = statistics_in(loaded.tensors[file], experiment, loaded.path)
    scales = statistics and statistics.scales(description.settings.environment)
    return OpenedNetwork(experiment, params, loaded.info, scales)
