"""`frank cluster`: by which resource a Ray cluster tells this machine's CPU model apart."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from frankrl.cli.output import print_result
from frankrl.cli.parsing import parse


@dataclass(frozen=True)
class ClusterOptions:
    """Options of `frank cluster`: none."""


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    description = (
        "Print this machine's CPU model as a resource for Ray, so that a run that moves stays on "
        'its CPU model and keeps its bits: ray start --address=HOST:PORT --resources "$(frank '
        'cluster)"'
    )
    parse(ClusterOptions, arguments, "cluster", description)

    from frankrl.cluster.nodes import cpu_resource
    from frankrl.core.cpu import cpu_model

    print_result(json.dumps({cpu_resource(cpu_model()): 1}))
    return 0
