"""Jobs as commands that are printed, for a batch system such as Slurm."""

import shlex
from collections.abc import Callable
from pathlib import Path

from frankrl.core.errors import RunFolderError
from frankrl.jobs.engine import Ended
from frankrl.jobs.job import Job
from frankrl.runs.disk import replace_durably

_NO_LIMIT = 1_000_000


class PrintEngine:
    """Writes each job into a file and prints the command that does it, one line each."""

    slots = _NO_LIMIT

    def __init__(self, folder: Path, write_line: Callable[[str], None]) -> None:
        """Print commands.

        Args:
            folder: where the files of the jobs lie; made if there is a job.
            write_line: prints a command.
        """
        self._folder, self._write_line = folder.absolute(), write_line
        self._printed: list[Ended] = []

    def begin(self, job: Job) -> None:
        """Print the command of a job.

        Raises:
            RunFolderError: its file cannot be written.
        """
        name = "-".join(job.run.parts[-2:])
        file = self._folder / f"{name}.json"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            replace_durably(file, f"{job.to_json()}\n".encode())
        except OSError as error:
            raise RunFolderError(f"the job {file} cannot be written: {error.strerror}") from error
        self._write_line(f"frank job {shlex.quote(str(file))}")
        self._printed.append(Ended(job, is_done=False))

    def ended(self, seconds: float) -> list[Ended]:
        """The jobs printed since the last call."""
        printed, self._printed = self._printed, []
        return printed

    def stop(self) -> None:
        """Nothing is under way."""

    def kill(self) -> None:
        """Nothing is under way."""

    def close(self) -> None:
        """Nothing is open."""
