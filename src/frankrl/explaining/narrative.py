"""An update as a document, in the order of the notes."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from frankrl.config import Settings
from frankrl.environments import EnvironmentSpec
from frankrl.explaining.cloning_narrative import cloning_sections
from frankrl.explaining.cloning_record import CloningRecord
from frankrl.explaining.document import Document
from frankrl.explaining.origin import Origin, TransitionInData
from frankrl.explaining.q_narrative import q_sections
from frankrl.explaining.record import UpdateRecord
from frankrl.explaining.transition_narrative import transition_section
from frankrl.runs import RunFolder


def about_run(folder: RunFolder) -> str:
    """One line that says which run it is."""
    run = folder.description
    return f"{run.env_id}, preset {run.preset}, seed {run.seed}: {folder.path}"


def narrate(
    record: UpdateRecord | CloningRecord,
    origins: Sequence[Origin | TransitionInData],
    index: int,
    spec: EnvironmentSpec,
    settings: Settings,
    about: str,
    saliency: Sequence[Float[np.ndarray, "height width"]] = (),
) -> Document:
    """The document of `frank explain RUN --update N`.

    Args:
        record: the update.
        origins: where each transition of the batch came from.
        index: position in the batch of the transition to follow, from 0.
        spec: the environment.
        settings: the run's settings.
        about: one line that says which run it is.
        saliency: for each picture leaf, the map that is laid over the newest picture of s; empty:
            none.
    """
    title = f"Update {record.update:,}{record.done_at}"
    transition = transition_section(record, origins[index], index, spec, settings, saliency)
    own = (
        cloning_sections(record, origins, index, spec, settings)
        if isinstance(record, CloningRecord)
        else q_sections(record, origins, index, spec, settings)
    )
    return Document(title, about, (transition, *own))
