"""`frank experiment`: test a claim over several seeds."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import tyro

from frankrl.cli.output import print_result
from frankrl.cli.parsing import parse
from frankrl.core.errors import FrankError, SettingError, nearest
from frankrl.core.paths import given_path

MAX_SEEDS = 1_000


@dataclass(frozen=True)
class ExperimentOptions:
    """Options of `frank experiment`."""

    name: tyro.conf.Positional[str] = ""
    """Name of the experiment; empty: list all."""
    envs: tuple[str, ...] = ()
    """Environments to test on; empty: those of the experiment."""
    seeds: int = 5
    """Number of seeds per arm. [seeds]"""
    first_seed: int = 0
    """The first seed; the others follow it. [seed]"""
    processes: int = 0
    """Number of runs in parallel, which changes no result. 0: one per processor core."""
    out: str = "experiments"
    """Folder for the runs, the table and the figure."""


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    description = (
        "Train with one thing changed and everything else equal, over several seeds, and write a "
        "table and a figure. Runs that are done are not repeated."
    )
    options = parse(ExperimentOptions, arguments, "experiment", description)

    from frankrl.core.backend import visible_cpus
    from frankrl.core.random import check_seed
    from frankrl.experiments import EXPERIMENTS, Study, results_of, run_study
    from frankrl.experiments.claims import ENVIRONMENTS
    from frankrl.experiments.writing import as_markdown, check_can_draw, write

    if not options.name:
        for name, experiment in EXPERIMENTS.items():
            print_result(f"{name}: {experiment.claim}")
            for arm in experiment.arms:
                print_result(f"    {arm.name}")
        return 0
    if options.name not in EXPERIMENTS:
        raise FrankError(
            f"there is no experiment {options.name!r}{nearest(options.name, EXPERIMENTS)} "
            f"(experiments: {', '.join(EXPERIMENTS)})"
        )
    experiment = EXPERIMENTS[options.name]
    env_ids = tuple(dict.fromkeys(options.envs or experiment.env_ids))
    for env_id in env_ids:
        if env_id not in ENVIRONMENTS:
            raise SettingError(
                f"the experiments have settings for {', '.join(ENVIRONMENTS)}; "
                f"got {env_id!r}{nearest(env_id, ENVIRONMENTS)}"
            )
    if not 1 <= options.seeds <= MAX_SEEDS or options.processes < 0:
        raise SettingError(
            f"seeds must be at least 1 and at most {MAX_SEEDS:,} and processes at least 0, got "
            f"{options.seeds} and {options.processes}"
        )
    check_seed(options.first_seed)
    check_seed(options.first_seed + options.seeds - 1)
    check_can_draw()
    out = given_path(options.out, "--out")
    study = Study(
        experiment,
        env_ids,
        tuple(range(options.first_seed, options.first_seed + options.seeds)),
        out / "runs",
    )
    with _progress(len(study.jobs())) as done:
        run_study(study, options.processes or visible_cpus(), lambda job: done(str(job.path)))
    results = results_of(study)
    paths = write(study, options.name, results, out)
    print_result(as_markdown(study, results))
    print(", ".join(map(str, paths)), file=sys.stderr)
    return 0


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """A callback for each finished run: a bar on a terminal, a line elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        count = iter(range(1, total + 1))
        yield lambda run: print(f"run {next(count)} of {total}: {run}", file=sys.stderr)
        return
    columns = ("runs", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda run: bar.advance(task)
