"""In what a run goes on, and what of it may change the bits of a run that was elsewhere before."""

from typing import Any, NamedTuple

from frankrl.runs import all_versions, differences
from frankrl.training.checkpoint_metadata import CheckpointMetadata
from frankrl.training.replay_place import machine_facts_of
from frankrl.training.state import Experiment

_ALONE = "it was one program with the runs of other seeds, and goes on alone"
_TOGETHER = "it was alone, and goes on as one program with the runs of other seeds"


class Surroundings(NamedTuple):
    """The process that trains."""

    versions: dict[str, Any]
    machine: dict[str, Any]
    in_lane: bool
    """Whether the run is one program with the runs of other seeds."""

    @classmethod
    def now(cls, experiment: Experiment, *, in_lane: bool) -> "Surroundings":
        """Those of this process."""
        return cls(all_versions(experiment.settings), machine_facts_of(experiment), in_lane)

    def differ_from(self, metadata: CheckpointMetadata) -> list[str]:
        """What differs from the process that wrote a checkpoint, as reasons in words."""
        before = metadata.versions | metadata.machine
        reasons = differences(before, self.versions | self.machine)
        if metadata.in_lane != self.in_lane:
            reasons.append(_ALONE if metadata.in_lane else _TOGETHER)
        return reasons
