"""An experiment from its name to its table."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from frankrl.cluster import check_engine, check_processes, engine_for
from frankrl.core.errors import FrankError, SettingError, check_type, nearest
from frankrl.core.paths import given_path
from frankrl.core.seeds import seeds_from
from frankrl.core.text import given
from frankrl.core.wording import option
from frankrl.display.progress_bar import progress_bar
from frankrl.experiments import EXPERIMENTS
from frankrl.experiments.claims import Experiment
from frankrl.experiments.results import ArmResult, results_of
from frankrl.experiments.study import Device, Study, run_study
from frankrl.experiments.writing import as_markdown, check_can_draw, write
from frankrl.jobs import Engine
from frankrl.seeds.train import HowToTrain


@dataclass(frozen=True, repr=False)
class ExperimentResult:
    """The results of an experiment; it prints as a table."""

    name: str
    markdown: str
    """The claim, and a table for each environment."""
    results: list[ArmResult]
    paths: list[Path]
    """The table, the data and the figure as files."""

    def __repr__(self) -> str:
        return self.markdown

    def _repr_markdown_(self) -> str:
        return self.markdown


def experiment(
    name: str,
    *,
    envs: Sequence[str] = (),
    seeds: int = 5,
    first_seed: int = 0,
    processes: int = 0,
    ray: str = "",
    publish: str | os.PathLike[str] = "",
    device: Device = "cpu",
    out: str | os.PathLike[str] = "experiments",
    progress: bool = True,
    on_run: Callable[[Path, int, int], None] = lambda run, done, of: None,
) -> ExperimentResult:
    """Train with one thing changed and everything else equal, over several seeds.

    Runs that are done are not repeated, so the same call continues what was interrupted.

    Args:
        name: name of the experiment (`frank experiment` lists all).
        envs: environments to test on; empty: those of the experiment.
        seeds: number of seeds for each arm.
        first_seed: the first seed; the others follow it.
        processes: number of processes in parallel, which changes no result; 0: one per processor
            core, and all seeds of a functional environment are one program, whose runs differ from
            those of processes in rounding.
        ray: address of a Ray cluster for the runs, `HOST:PORT` or `auto`; empty: this machine.
        publish: shared storage for the runs on a cluster while they go on: a folder that its
            machines share, or an address such as `s3://bucket/folder`, so that `out` may be a
            folder of this machine; empty: in `out`, which they must share.
        device: what the runs learn on; `auto` takes a GPU if there is one, which computes all seeds
            of a functional environment together. Runs of another device are other runs.
        out: folder for the runs, the table and the figure.
        progress: as for `train`.
        on_run: called for each finished run with its folder, the number of runs that are finished,
            and that of all.

    Raises:
        FrankError: an argument is not allowed, or a run fails.
    """
    result = run_experiment(
        name,
        envs=envs,
        seeds=seeds,
        first_seed=first_seed,
        processes=processes,
        ray=ray,
        publish=publish,
        device=device,
        out=out,
        progress=progress,
        on_run=on_run,
    )
    assert result is not None
    return result


def run_experiment(
    name: str,
    *,
    envs: Sequence[str],
    seeds: int,
    first_seed: int,
    processes: int,
    ray: str = "",
    publish: str | os.PathLike[str] = "",
    device: Device = "cpu",
    out: str | os.PathLike[str],
    progress: bool = True,
    on_run: Callable[[Path, int, int], None],
    print_command: Callable[[str], None] | None = None,
) -> ExperimentResult | None:
    """Do an experiment, or print the commands of its missing runs; arguments and errors as for
    `experiment`.

    Args:
        name: as for `experiment`.
        envs: likewise.
        seeds: likewise.
        first_seed: likewise.
        processes: likewise.
        ray: likewise.
        publish: likewise.
        device: likewise.
        out: likewise.
        progress: likewise.
        on_run: likewise.
        print_command: called with the command line of each run that is missing, instead of doing
            them here; call the function again when they have been done.

    Returns:
        The results; None if only commands were printed.
    """
    if name not in EXPERIMENTS:
        raise FrankError(
            f"there is no experiment {name!r}{nearest(str(name), EXPERIMENTS)} "
            f"(experiments: {', '.join(EXPERIMENTS)})"
        )
    chosen = EXPERIMENTS[name]
    check_type(envs, option("envs"), list | tuple, "a list of names of environments")
    env_ids = tuple(dict.fromkeys(envs or chosen.env_ids))
    _check(chosen, env_ids, seeds, first_seed, processes)
    check_engine(ray, publish, printed=print_command is not None)
    check_can_draw()
    folder = given_path(out, option("out"))
    study = Study(chosen, env_ids, seeds_from(first_seed, seeds), folder / "runs", device)
    total, done = study.num_runs, 0
    how = HowToTrain(processes, ray, publish, progress=False, print_command=print_command)
    with progress_bar("training", "runs", progress=progress) as show:

        def finished(run: Path) -> None:
            nonlocal done
            done += 1
            show(done, total)
            on_run(run, done, total)

        def engine() -> Engine:
            return engine_for(
                processes, folder, ray=ray, publish=publish, print_command=print_command
            )

        is_complete = run_study(study, engine, finished, how)
    if not is_complete:
        return None
    results = results_of(study)
    paths = write(study, name, results, folder)
    return ExperimentResult(name, as_markdown(study, results), results, paths)


def _check(
    chosen: Experiment, env_ids: Sequence[str], seeds: int, first_seed: int, processes: int
) -> None:
    """Refuse arguments that are not allowed.

    Raises:
        SettingError: one is not.
    """
    there = chosen.environments
    for env_id in env_ids:
        if env_id not in there:
            raise SettingError(
                f"this experiment has settings for {', '.join(there)}; "
                f"got {given(env_id)}{nearest(str(env_id), there)}"
            )
    check_processes(processes)
    seeds_from(first_seed, seeds)
