"""`frank job`: do one job of a printed command."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from frankrl.cli.parsing import parse, say
from frankrl.core.errors import FrankError
from frankrl.core.paths import given_path
from frankrl.core.stopping import stop_signals


@dataclass(frozen=True)
class JobOptions:
    """Options of `frank job`."""

    file: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="FILE")]] = ""
    """File of the job, which `--print` of another command has written."""
    allow_code: bool = False
    """Import whatever module the job names, although somebody else wrote it."""


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    description = (
        "Do one job: train its run, or continue it where an earlier try ended. "
        "`frank sweep`, `frank experiment` and `frank train --seeds` print such commands."
    )
    options = parse(JobOptions, arguments, "job", description)
    if not options.file:
        raise FrankError("name the file of a job, as a command with --print has written it")
    from frankrl.jobs import Job, do_job

    job = Job.open(given_path(options.file, "the job"), allow_code=options.allow_code)
    with stop_signals() as signals:
        done = do_job(job, signals)
    say(f"{'done' if done else 'stopped; the same command continues'}: {job.run}")
    return 0 if done else signals.exit_status
