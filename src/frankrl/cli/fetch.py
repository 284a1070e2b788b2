"""`frank fetch`: a run folder from shared storage."""

from collections.abc import Sequence
from dataclasses import dataclass

import tyro

from frankrl.cli.output import print_result
from frankrl.cli.parsing import parse
from frankrl.core.errors import FrankError

_DESCRIPTION = (
    "Copy the newest state of a run that `frank train --publish` has published into a run folder. "
    "The run itself may go on."
)


@dataclass(frozen=True)
class FetchOptions:
    """Options of `frank fetch`."""

    address: tyro.conf.Positional[str] = ""
    """Shared storage: a folder, or an address such as `s3://bucket/folder`."""
    out: str = ""
    """The run folder to make."""
    overwrite: bool = False
    """Replace a run that is already there, unless that holds other files as well."""


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    options = parse(FetchOptions, arguments, "fetch", _DESCRIPTION)
    if not options.address or not options.out:
        raise FrankError(
            "name the shared storage and the run folder to make, for example: frank fetch "
            "/shared/lander --out runs/lander"
        )

    from frankrl.runs.publishing import fetch

    print_result(str(fetch(options.address, options.out, overwrite=options.overwrite)))
    return 0
