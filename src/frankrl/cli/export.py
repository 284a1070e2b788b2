"""`frank export`: a trained agent as a file for other programs."""

from collections.abc import Sequence
from dataclasses import dataclass

import tyro

from frankrl.cli.output import print_result
from frankrl.cli.parsing import parse


@dataclass(frozen=True)
class ExportOptions:
    """Options of `frank export`."""

    run: tyro.conf.Positional[str]
    """Run folder."""
    onnx: str = ""
    """File to write, .onnx: a graph from observations to Q-values and actions."""
    safetensors: str = ""
    """File to write, .safetensors: the network's parameters by name, with the run's settings."""
    best: bool = False
    """Use the agent with the best evaluation during training instead of the newest."""
    overwrite: bool = False
    """Replace existing files."""
    allow_code: bool = False
    """Import whatever network or torso the run names, although somebody else wrote the run."""


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    description = "Write an agent to a file for other programs. It needs no environment."
    options = parse(ExportOptions, arguments, "export", description)

    from frankrl.api import export

    written = export(
        options.run,
        onnx=options.onnx or None,
        safetensors=options.safetensors or None,
        best=options.best,
        overwrite=options.overwrite,
        allow_code=options.allow_code,
    )
    for path in written:
        print_result(str(path))
    return 0
