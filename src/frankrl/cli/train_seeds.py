"""`frank train` with several seeds, or as a job of a cluster or a batch system."""

import json

from frankrl.cli.output import print_result
from frankrl.cli.parsing import say, say_run
from frankrl.cli.train_options import TrainOptions
from frankrl.config import Settings
from frankrl.core.errors import SettingError
from frankrl.core.text import given
from frankrl.core.wording import option


def is_several(options: TrainOptions, settings: Settings) -> bool:
    """Whether the runs are jobs, each in a process of its own; one seed alone can be a job, too."""
    return bool(_cause(options, settings))


def train_several(options: TrainOptions, preset: str, settings: Settings) -> int:
    """Train with several seeds; returns the command's exit status."""
    from frankrl.experiments.seeds import run_seeds
    from frankrl.jobs import seeds_from

    _check_alone(options, settings)
    result = run_seeds(
        options.env,
        preset,
        settings,
        seeds_from(options.seed, options.seeds),
        options.out or None,
        options.processes,
        ray=options.ray,
        on_run=say_run,
        print_command=print_result if options.print else None,
    )
    if result is not None:
        say(repr(result))
        if options.json:
            print_result(json.dumps({"runs": result.report()}, allow_nan=False))
    return 0


def _cause(options: TrainOptions, settings: Settings) -> str:
    """The option that makes runs of their own of the seeds; empty: none does."""
    has_actors = (options.actors, settings.environment.asynchronous_actors) != (None, None)
    causes = {
        "seeds": options.seeds != 1,
        "print": options.print,
        "processes": options.processes,
        # Else it says where the actors are.
        "ray": options.ray and not has_actors,
    }
    return next((name for name, is_given in causes.items() if is_given), "")


def _check_alone(options: TrainOptions, settings: Settings) -> None:
    """Refuse options that several runs cannot share.

    Raises:
        SettingError: one was given.
    """
    for name in ("init_from", "init_best", "overwrite", "dashboard", "publish", "actors"):
        if value := getattr(options, name):
            raise SettingError(
                f"{option(_cause(options, settings))} trains runs of their own from their "
                f"beginning, so {option(name)} cannot be given with it, got {given(value)}"
            )
