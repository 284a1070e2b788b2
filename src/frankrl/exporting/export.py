"""Writes a trained network to files."""

from pathlib import Path

from frankrl.core.errors import SettingError
from frankrl.core.wording import is_on_command_line, option
from frankrl.environments.extras import imported
from frankrl.exporting.trained_network import TrainedNetwork
from frankrl.runs.atomic_file import check_writable, write_whole
from frankrl.runs.layout import BEST, CHECKPOINTS

ONNX, SAFETENSORS = "onnx", "safetensors"
"""The options that name a file, and the endings of its name."""


def check_files(files: dict[str, Path], run: Path, *, overwrite: bool) -> None:
    """Check that files can be written, before anything is computed for them.

    Args:
        files: the path of each file to write, by the option that names it.
        run: the folder of the run, whose own files are never replaced.
        overwrite: replace existing files.

    Raises:
        SettingError: no file is named, or one cannot be written there.
        FrankError: a package is missing, or cannot be imported.
    """
    if not files:
        raise SettingError(
            f"name a file to write: {option(ONNX, 'agent.onnx')}, "
            f"{option(SAFETENSORS, 'agent.safetensors')}, or both; {_data_set()} writes "
            "episodes as a data set"
        )
    for name, path in files.items():
        _check_file(path, name, run, overwrite=overwrite)
    if ONNX in files:
        imported("onnx", option(ONNX), "onnx", "onnx")


def export_network(trained: TrainedNetwork, files: dict[str, Path]) -> None:
    """Write a trained network to files; each appears completely or not at all.

    Args:
        trained: the network.
        files: as for `check_files`, which has checked them.

    Raises:
        SettingError: the network cannot be written in that form, or a file cannot be written.
    """
    contents: dict[str, bytes] = {}
    if ONNX in files:
        from frankrl.exporting.onnx_file import onnx_file

        contents[ONNX] = onnx_file(
            trained.network, trained.params, trained.scales, trained.spec, trained.facts()
        )
    if SAFETENSORS in files:
        from frankrl.exporting.weights_file import weights_file

        contents[SAFETENSORS] = weights_file(trained)
    for name, content in contents.items():
        write_whole(files[name], content, option(name))


def _data_set() -> str:
    """How to write a data set."""
    data_set = option("minari", "lander/medium-v0")
    return data_set if is_on_command_line() else "frankrl.export_dataset"


def _check_file(path: Path, name: str, run: Path, *, overwrite: bool) -> None:
    ending = f".{name}"
    if path.suffix != ending:
        raise SettingError(
            f"{option(name)} must name a file that ends in {ending}, got {path}: "
            f"try {path.with_suffix(ending) if path.name else f'agent{ending}'}"
        )
    for own in (run / CHECKPOINTS, run / BEST):
        if path.resolve().is_relative_to(own.resolve()):
            raise SettingError(
                f"{option(name)} {path} belongs to the run, and would damage it: name a file "
                "elsewhere"
            )
    check_writable(path, option(name), f"agent{ending}")
    if path.exists() and not overwrite:
        raise SettingError(
            f"{option(name)} {path} exists already: replace it with "
            f"{option('overwrite', True)}, or name another file"
        )
