"""The same training with several seeds."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from frankrl.cluster import check_engine, check_processes, engine_for
from frankrl.config import Settings
from frankrl.config.presets import default_preset, load_preset
from frankrl.core.errors import check_type
from frankrl.core.figures import counted, figure
from frankrl.core.paths import given_path
from frankrl.core.wording import option
from frankrl.display.progress_bar import progress_bar
from frankrl.experiments.results import FEWEST_FOR_INTERVAL, score
from frankrl.jobs import Engine, Job, Outcome, do_missing, outcome_of, seeds_from
from frankrl.runs import check_preset
from frankrl.training.session import file_name_of


@dataclass(frozen=True, repr=False)
class SeedsResult:
    """The outcomes of the runs, which differ in their seeds alone; it prints as a table."""

    runs: list[Path]
    """Their folders, in the order of the seeds."""
    seeds: tuple[int, ...]
    outcomes: list[Outcome]

    def __repr__(self) -> str:
        rows = [
            f"  seed {seed}: {_in_words(outcome)}"
            for seed, outcome in zip(self.seeds, self.outcomes, strict=True)
        ]
        return "\n".join([self._summary(), *rows])

    def _summary(self) -> str:
        returns = [each.final_return for each in self.outcomes if each.final_return is not None]
        count = counted(len(self.seeds), "seed")
        if not returns:
            return f"{count}: no final evaluations"
        middle, low, high = score(np.array(returns))
        words = [figure(value, (high - low) / 2) for value in (middle, low, high)]
        if len(returns) < FEWEST_FOR_INTERVAL:
            return f"{count}: mean return {words[0]} (range {words[1]} … {words[2]})"
        return (
            f"{count}: interquartile mean of the returns {words[0]} "
            f"(95 % interval {words[1]} … {words[2]})"
        )

    def report(self) -> list[dict[str, Any]]:
        """The outcomes as JSON data, a record for each seed."""
        return [
            {"run": str(run), "seed": seed, **outcome._asdict()}
            for run, seed, outcome in zip(self.runs, self.seeds, self.outcomes, strict=True)
        ]


def train_seeds(
    env: str,
    *,
    seeds: int,
    first_seed: int = 0,
    preset: str | None = None,
    out: str | os.PathLike[str] | None = None,
    processes: int = 0,
    ray: str = "",
    progress: bool = True,
    on_run: Callable[[Path, int, int], None] = lambda run, done, of: None,
    **settings: Any,
) -> SeedsResult:
    """Train with several seeds, each run in a process of its own.

    Runs that are done are not repeated, so the same call continues what was interrupted.

    Args:
        env: name of the environment, as for `train`.
        seeds: number of seeds.
        first_seed: the first seed; the others follow it.
        preset: as for `train`.
        out: folder of the run folders; None: `runs/<env>/<preset>`.
        processes: number of runs in parallel, which changes no result; 0: one per processor core.
        ray: address of a Ray cluster for the runs, `HOST:PORT` or `auto`; empty: this machine.
        progress: as for `train`.
        on_run: called for each finished run with its folder, the number of runs that are finished,
            and that of all.
        **settings: as for `train`.

    Raises:
        FrankError: an argument is not allowed, or a run fails.
    """
    check_type(env, "env", str, "the name of an environment")
    preset = preset or default_preset(env, settings.get("q_function", "network"))
    check_preset(preset, settings)
    chosen = load_preset(preset).with_changes(**settings)
    result = run_seeds(
        *(env, preset, chosen, seeds_from(first_seed, seeds), out, processes),
        ray=ray,
        progress=progress,
        on_run=on_run,
    )
    assert result is not None
    return result


def run_seeds(
    env_id: str,
    preset: str,
    settings: Settings,
    seeds: tuple[int, ...],
    out: str | os.PathLike[str] | None,
    processes: int,
    *,
    ray: str = "",
    progress: bool = True,
    on_run: Callable[[Path, int, int], None] = lambda run, done, of: None,
    print_command: Callable[[str], None] | None = None,
) -> SeedsResult | None:
    """Do the runs of some seeds; arguments and errors as for `train_seeds`.

    Returns:
        The outcomes; None if only commands were printed.
    """
    check_processes(processes)
    check_engine(ray, printed=print_command is not None)
    where = Path("runs") / file_name_of(env_id) / file_name_of(Path(preset).stem)
    folder = (where if out is None else given_path(out, option("out"))).absolute()
    settings = settings.resolved()
    jobs = [Job(env_id, preset, settings, seed, folder / f"s{seed}") for seed in seeds]
    done = 0
    with progress_bar("training", "runs", progress=progress) as show:

        def finished(job: Job) -> None:
            nonlocal done
            done += 1
            show(done, len(jobs))
            on_run(job.run, done, len(jobs))

        def engine() -> Engine:
            return engine_for(processes, folder, ray=ray, print_command=print_command)

        is_complete = do_missing(jobs, folder, engine, finished)
    if not is_complete:
        return None
    outcomes = [outcome_of(job.run) for job in jobs]
    complete = [outcome for outcome in outcomes if outcome is not None]
    return SeedsResult([job.run for job in jobs], seeds, complete)


def _in_words(outcome: Outcome) -> str:
    words = []
    if outcome.final_return is not None:
        words.append(f"mean return {figure(outcome.final_return, 0.05)}")
    if outcome.solved_env_steps is not None:
        words.append(f"solved at env step {outcome.solved_env_steps:,}")
    return ", ".join(words) or f"{outcome.env_steps:,} env steps"
