"""A run folder's note of the claim under which it is written.

By it a process that begins again knows whether the folder on its disk continues what is published.
"""

import contextlib
import json
from pathlib import Path

from frankrl.core.errors import RunFolderError
from frankrl.runs.disk import read_regular, replace_durably
from frankrl.runs.publishing.records import Claim

_NOTE = "publish.json"
_MAX_BYTES = 1 << 12


def write_note(run: Path, claim: Claim) -> None:
    """Note the claim under which a run folder is written from now on.

    Raises:
        RunFolderError: it cannot be written.
    """
    try:
        replace_durably(run / _NOTE, (json.dumps({"claim": claim.sha256}) + "\n").encode())
    except OSError as error:
        raise RunFolderError(f"the run folder {run} cannot be written: {error}") from error


def noted_claim(run: Path) -> str:
    """The hash of the claim under which a run folder was written last; empty if there is none."""
    with contextlib.suppress(RunFolderError, ValueError, KeyError, TypeError, RecursionError):
        return str(json.loads(read_regular(run / _NOTE, _MAX_BYTES))["claim"])
    return ""
