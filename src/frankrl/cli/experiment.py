"""`frank experiment`: test a claim over several seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import tyro

from frankrl.cli.output import print_result
from frankrl.cli.parsing import parse, say, say_run


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
    """Number of processes in parallel, which changes no result. With 0, the default, it is one per
    processor core, and all seeds of a functional environment are one program, whose runs differ
    from those of processes in rounding."""
    ray: str = ""
    """Train on this Ray cluster: HOST:PORT of its head, or auto. All its machines must share the
    folder `--out`, or see the storage of `--publish`."""
    publish: str = ""
    """With `--ray`: shared storage for the runs while they go on, a folder or an address such as
    `s3://bucket/folder`, so that `--out` may be a folder of this machine; empty: in `--out`."""
    device: Literal["auto", "cpu", "gpu"] = "cpu"
    """What the runs learn on; auto takes a GPU if there is one, which computes all seeds of a
    functional environment together."""
    print: bool = False
    """Print a command for each run that is missing instead of training here, one line each, for a
    batch system; the same command without it then gives the results."""
    out: str = "experiments"
    """Folder for the runs, the table and the figure."""


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    description = (
        "Train with one thing changed and everything else equal, over several seeds, and write a "
        "table and a figure. Runs that are done are not repeated, but all seeds of a functional "
        "environment are one program, so that other seeds are other runs."
    )
    options = parse(ExperimentOptions, arguments, "experiment", description)

    if not options.name:
        from frankrl.experiments import EXPERIMENTS

        for name, experiment in EXPERIMENTS.items():
            print_result(f"{name}: {experiment.claim}")
            for arm in experiment.arms:
                print_result(f"    {arm.name}")
        return 0

    from frankrl.experiments.run import run_experiment

    result = run_experiment(
        options.name,
        envs=options.envs,
        seeds=options.seeds,
        first_seed=options.first_seed,
        processes=options.processes,
        ray=options.ray,
        publish=options.publish,
        device=options.device,
        out=options.out,
        on_run=say_run,
        print_command=print_result if options.print else None,
    )
    if result is None:
        return 0
    print_result(result.markdown)
    say(", ".join(map(str, result.paths)))
    return 0
