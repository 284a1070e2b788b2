"""`frank train` with several seeds, or as a job of a cluster or a batch system."""

import json

from frankrl.cli.output import print_result
from frankrl.cli.parsing import say, say_run
from frankrl.cli.train_options import TrainOptions
from frankrl.config import Settings


def is_several(options: TrainOptions, settings: Settings) -> bool:
    """Whether the runs are jobs, each in a process of its own.

    With `--ray`, one run is a job of the cluster, unless `--ray` says where its actors are.
    """
    has_actors = (options.actors, settings.environment.asynchronous_actors) != (None, None)
    on_cluster = bool(options.ray) and not has_actors
    return options.seeds != 1 or options.print or bool(options.processes) or on_cluster


def train_several(options: TrainOptions, preset: str, settings: Settings) -> int:
    """Train with several seeds."""
    from frankrl.experiments.seeds import check_alone, run_seeds
    from frankrl.jobs import seeds_from

    names = ("init_from", "init_best", "overwrite", "dashboard", "publish", "actors")
    check_alone({name: getattr(options, name) for name in names})
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
