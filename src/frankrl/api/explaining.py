"""`frankrl.explain`: every number of one update."""

import dataclasses
import os
from typing import TYPE_CHECKING, Any

from frankrl.agent import Agent
from frankrl.api.arguments import check_switches
from frankrl.config import check_code_names
from frankrl.opening import check_transition, open_run, open_update
from frankrl.training.result import TrainingResult

if TYPE_CHECKING:
    from frankrl.explaining import CloningRecord, UpdateRecord


def explain(
    run: Agent | TrainingResult | str | os.PathLike[str],
    *,
    update: int,
    transition: int = 0,
    sequence: int | None = None,
    env: Any = None,
    allow_code: bool = False,
    progress: bool = True,
    **code: Any,
) -> "UpdateRecord | CloningRecord":
    """Every number of one update of a run, recomputed from the nearest checkpoint.

    Args:
        run: the run, by its folder, its result or its agent.
        update: number of the update, from 1.
        transition: position in the batch of the transition that its `document` follows, from 0; of
            a run with memory, position of a learned step in its sequence.
        sequence: of a run with memory, position of that sequence in the batch; None: the first.
        env: as for `resume`.
        allow_code: as for `resume`.
        progress: as for `train`.
        **code: objects that the run was made from, by the names of their settings, such as
            `network`.

    Raises:
        FrankError: the run has no such update, or it cannot be recomputed exactly.
    """
    from frankrl.explaining.narrative import about_run, narrate

    check_code_names(code)
    check_switches(progress=progress)
    folder = open_run(run, env, allow_code, code)
    check_transition(folder, transition, sequence)
    reopened, came_from = open_update(folder, update, progress=progress)
    record, settings = reopened.record, folder.description.settings
    index = record.followed(transition, sequence)
    document = narrate(record, came_from, index, reopened.spec, settings, about_run(folder))
    return dataclasses.replace(record, document=document)
