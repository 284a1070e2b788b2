"""Checkpoints with a byte changed or an end missing: always noticed, the one before is used."""

import contextlib
import io
import random
import shutil
import warnings
from pathlib import Path

from frankrl.cli.main import main as frank
from frankrl.core.backend import start_backend
from frankrl.core.errors import FrankError, FrankWarning
from frankrl.environments import describe
from frankrl.runs import RunFolder, list_checkpoints, read_newest
from frankrl.training import Experiment
from frankrl.training.resuming import read_checkpoint
from robustness.outcome import Outcome
from robustness.runs import Case, contents, small_chunks, train

_CASE = Case("LunarLander-v3", 8, True, 0)
_PAGE = 4096


def study(work: Path, flips: int, resumes: int) -> list[Outcome]:
    """Damage the newest of two checkpoints, and read.

    Args:
        work: a folder for the run.
        flips: how many single bytes to change, one at a time.
        resumes: how many of the damaged runs to continue to their end on the command line.
    """
    with small_chunks():
        return _study(work, flips, resumes)


def _study(work: Path, flips: int, resumes: int) -> list[Outcome]:
    run = work / "damaged"
    train(_CASE, run)
    read, newest = _reader(run)
    flipped = Outcome("flips", "one byte of a checkpoint changed: noticed, the one before used")
    positions = random.Random(0)
    files = sorted(newest.iterdir())
    sizes = [file.stat().st_size for file in files]
    for number in range(flips):
        # Half of them spread over the bytes, half over the files, of which some are small.
        file = positions.choices(files, sizes)[0] if number % 2 else files[number // 2 % len(files)]
        content = bytearray(file.read_bytes())
        whole = bytes(content)
        at = positions.randrange(len(content))
        content[at] ^= positions.randrange(1, 256)
        _write(file, content)
        flipped.note(read(file.name), f"byte {at} of {file.name}")
        _write(file, whole)
    cut = Outcome("truncations", "a file of it cut off at every 4 KiB: noticed, likewise")
    for file in files:
        whole = file.read_bytes()
        for length in range(0, len(whole), _PAGE):
            _write(file, whole[:length])
            cut.note(read(file.name), f"{file.name} cut at {length}")
        _write(file, whole)
    return [flipped, cut, _resumed(work, run, resumes)]


def _reader(run: Path):
    """A function that says whether damage to a file of the newest checkpoint is noticed."""
    start_backend()
    folder = RunFolder.open(run)
    experiment = Experiment.of(folder.description.settings, describe(_CASE.env_id, {}), 0)
    before, newest = list_checkpoints(folder.checkpoints)[-2:]

    def read(name: str) -> bool:
        try:
            found, damaged = read_newest(
                folder.checkpoints, lambda path: read_checkpoint(folder, experiment, path)
            )
        except FrankError:
            return False
        told = [str(error) for error in damaged]
        return found.loaded.path == before and len(told) == 1 and str(newest) in told[0]

    return read, newest


def _write(file: Path, content: bytes | bytearray) -> None:
    """Damage one checkpoint: a chunk is the same file in the checkpoint before it."""
    file.unlink()
    file.write_bytes(content)


def _resumed(work: Path, run: Path, resumes: int) -> Outcome:
    outcome = Outcome(
        "damaged resumes", "`frank train --resume` with it: file named, same bits, no traceback"
    )
    whole, positions = contents(run), random.Random(1)
    for number in range(resumes):
        again = work / f"damaged-{number}"
        shutil.copytree(run, again)
        newest = list_checkpoints(again / "checkpoints")[-1]
        file = positions.choice(sorted(newest.iterdir()))
        content = bytearray(file.read_bytes())
        content[positions.randrange(len(content))] ^= 1
        file.write_bytes(content)
        told = io.StringIO()
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stderr(told),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            warnings.simplefilter("always", FrankWarning)
            status = frank(["train", "--resume", str(again)])
        # A manifest with another hash in it speaks of the file whose hash that is.
        named = newest.name in told.getvalue() and "set aside" in told.getvalue()
        holds = status == 0 and named and contents(again) == whole
        outcome.note(holds, f"{file.name}: exit {status}: {told.getvalue()[-300:]}")
        shutil.rmtree(again)
    return outcome
